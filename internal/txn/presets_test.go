package txn

import (
	"net"
	"net/url"
	"testing"
	"time"

	"sinker/internal/local/localtest"
	"sinker/internal/local/relay"

	"github.com/jackc/pgx/v5"
)

// farAway returns the database's URL through a network on which everything that is sent to the server takes that long.
func (db *database) farAway(latency time.Duration) string {
	db.t.Helper()
	u, err := url.Parse(db.url)
	if err != nil {
		db.t.Fatal(err)
	}
	to := u.Host
	r, err := relay.Listen(func() (net.Conn, error) { return net.Dial("tcp", to) }, func(p *relay.Pair) (toServer, toClient func()) {
		move := func(from, to net.Conn, late time.Duration) {
			defer p.Close()
			for b := make([]byte, 64<<10); ; {
				n, err := from.Read(b)
				if err != nil {
					return
				}
				<-time.After(late)
				if _, err := to.Write(b[:n]); err != nil {
					return
				}
			}
		}
		return func() { move(p.Client, p.Server, latency) }, func() { move(p.Server, p.Client, 0) }
	})
	if err != nil {
		db.t.Fatal(err)
	}
	db.t.Cleanup(r.Close)
	u.Host = r.Addr().String()
	return u.String()
}

// TestPresetTimeouts: timeouts of transactions that a database presets, and that are shorter than the way to the server, end none
// of sinker's transactions between two statements.
func TestPresetTimeouts(t *testing.T) {
	db := empty(t)
	name := db.one(`SELECT current_database()`)
	db.exec("ALTER DATABASE " + name + " SET idle_in_transaction_session_timeout = 5")
	if localtest.Version(t) >= 170000 {
		db.exec("ALTER DATABASE " + name + " SET transaction_timeout = 25")
	}
	far := db.farAway(20 * time.Millisecond)
	ctx := t.Context()
	conn, err := Connect(ctx, far, "sinker test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for range 3 {
			if _, err := tx.Exec(ctx, `SELECT 1`); err != nil {
				return err
			}
		}
		return nil
	}); err == nil {
		t.Fatal("the presets end no transaction, so this test shows nothing")
	}

	do := func(what string, f func() error) {
		t.Helper()
		if err := f(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	do("migrate", func() error { _, _, err := Migrate(ctx, far, quiet); return err })
	db.exec(`CREATE TABLE orders (id bigint PRIMARY KEY, v int DEFAULT 7, at timestamptz DEFAULT now())`)
	made := orders(func(s *Sink) { s.Table, s.Create = "made", true })
	s := db.storeWith(Config{URL: far, Owner: "a", Sinks: []Sink{orders(keyed), made}})
	pos := db.take(s, claim(orders0, 0))[0]
	for range 2 { // insert and update, and a dead letter
		r := rangeOf(pos, `{"id":1}`, `{"id":2,"v":3}`, `no`)
		do("commit", func() error { _, err := commitBatch(ctx, s, Batch{r}, nil); return err })
		pos.NextOffset = r.To
	}
	db.want(`SELECT count(*) || ' ' || sum(v) FROM orders`, "2 10")
	db.want(`SELECT count(*) FROM made`, "4")
	db.want(`SELECT count(*) FROM sinker.dead_letters`, "4")

	operator := func() *pgx.Conn {
		conn, err := Connect(ctx, far, "sinker offsets")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(ctx) })
		return conn
	}
	do("books", func() error { _, err := ReadBooks(ctx, operator(), "p", orders0); return err })
	do("offsets set", func() error {
		_, err := ChangeOffset(ctx, operator(), "p", Change{TopicPartition: orders0, Action: "set", Offset: 9, SkipRecords: true})
		return err
	})
	do("status", func() error { _, err := Look(ctx, far, "p"); return err })
	s.Close()
	do("migrate down", func() error {
		d, err := PlanDowngrade(ctx, far, newest(t)-1)
		if err != nil {
			return err
		}
		return d.Run(ctx, far, quiet)
	})
}
