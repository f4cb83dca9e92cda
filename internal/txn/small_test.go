package txn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sinker/internal/pgbin"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestPipeFailsAsOne: whichever statement of a pipe fails, none behind it is done, COMMIT above all, and the connection is
// of use afterwards.
func TestPipeFailsAsOne(t *testing.T) {
	ctx := context.Background()
	db := newDatabase(t)
	db.exec(`CREATE TABLE a (id int4 CHECK (id < 100)); CREATE TABLE b (id int4 UNIQUE DEFERRABLE INITIALLY DEFERRED)`)
	conn, err := pgx.Connect(ctx, db.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	number := func(n byte) []byte { return []byte{0, 0, 0, n} }
	copied := func(n byte) io.Reader {
		return strings.NewReader(string(pgbin.CopyHeader()) + "\x00\x01\x00\x00\x00\x04" + string(number(n)) + string(pgbin.CopyTrailer()))
	}
	// Each adds a good statement or a bad one.
	kinds := map[string]func(p *pipe, bad bool) error{
		"copy": func(p *pipe, bad bool) error {
			return p.copy(`COPY a FROM STDIN (FORMAT binary)`, copied(map[bool]byte{false: 1, true: 200}[bad]))
		},
		"binary": func(p *pipe, bad bool) error {
			return p.execBinary(ctx, `INSERT INTO a VALUES ($1)`, []uint32{23}, [][]byte{number(map[bool]byte{false: 2, true: 200}[bad])})
		},
		"exec": func(p *pipe, bad bool) error {
			return p.exec(ctx, `SELECT 1 / $1::int`, map[bool]int{false: 1, true: 0}[bad])
		},
		"broken copy": func(p *pipe, bad bool) error {
			if !bad {
				return p.copy(`COPY a FROM STDIN (FORMAT binary)`, copied(3))
			}
			return p.copy(`COPY a FROM STDIN (FORMAT binary)`, strings.NewReader("no header of a COPY"))
		},
	}
	var p pipe
	for name, add := range kinds {
		for at := range 4 { // 3: it is COMMIT that fails
			p.begin(conn)
			err := p.exec(ctx, "BEGIN")
			for i := range 3 {
				err = errors.Join(err, add(&p, i == at))
			}
			if at == 3 {
				err = errors.Join(err, p.copy(`COPY b FROM STDIN (FORMAT binary)`, copied(1)), p.copy(`COPY b FROM STDIN (FORMAT binary)`, copied(1)))
			}
			if err = errors.Join(err, p.exec(ctx, "COMMIT")); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(ctx, 10_000_000_000)
			deadline, _ := ctx.Deadline()
			err = p.send(deadline)
			cancel()
			if want := at + 1 + at/3*2; !isPgError(err) || p.done != want {
				t.Errorf("%s %d: %v after %d good statements, want it after %d", name, at, err, p.done, want)
			}
			if _, err := conn.Exec(context.Background(), "ROLLBACK"); err != nil {
				t.Fatalf("%s %d: the connection is of no use: %v", name, at, err)
			}
			if n := db.one(`SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)`); n != "0" {
				t.Errorf("%s %d: %s rows were committed", name, at, n)
			}
		}
	}
}

// TestSmallFailures: whatever refuses a small batch, and wherever on its way, nothing of it is there; and when the cause is
// gone the same batch is committed, each record once.
func TestSmallFailures(t *testing.T) {
	const die = `CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$; `
	const no = `CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no' USING ERRCODE = '40001'; END $$; `
	for name, c := range map[string]struct{ cause, tidy string }{
		"Rows":    {die + `CREATE TRIGGER t AFTER INSERT ON orders EXECUTE FUNCTION die()`, `DROP TRIGGER t ON orders`},
		"Letters": {no + `CREATE TRIGGER t AFTER INSERT ON sinker.dead_letters EXECUTE FUNCTION no()`, `DROP TRIGGER t ON sinker.dead_letters`},
		"Ledger": {no + `CREATE TRIGGER t AFTER INSERT ON sinker.batches EXECUTE FUNCTION no(); UPDATE sinker.offsets SET open_since = now() - interval '1 day'`,
			`DROP TRIGGER t ON sinker.batches`},
		"Move":   {no + `CREATE TRIGGER t AFTER UPDATE ON sinker.offsets EXECUTE FUNCTION no()`, `DROP TRIGGER t ON sinker.offsets`},
		"Commit": {die + `CREATE CONSTRAINT TRIGGER t AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()`, `DROP TRIGGER t ON orders`},
		"Locked": {no + `CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
			CREATE TRIGGER t AFTER INSERT ON orders EXECUTE FUNCTION wait()`, `DROP TRIGGER t ON orders`},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoader(t, `CREATE TABLE orders (id bigint)`, Config{Sinks: []Sink{orders()}, StatementTimeout: 500_000_000})
			l.mustCommit(`{"id":1}`)
			l.exec(c.cause)
			if _, err := l.commit(`{"id":2}`, `nonsense`); err == nil {
				t.Error("committed")
			}
			l.want(idsOfOrders, "1")
			l.want(`SELECT next_offset || ' ' || consumed || ' ' || (SELECT count(*) FROM sinker.dead_letters) FROM sinker.offsets`, "1 1 0")
			l.exec(c.tidy)
			l.mustCommit(`{"id":2}`, `nonsense`)
			l.want(idsOfOrders, "1 2")
			l.want(`SELECT next_offset || ' ' || consumed || ' ' || (SELECT count(*) FROM sinker.dead_letters) FROM sinker.offsets`, "3 3 1")
			l.ledgerTiles()
		})
	}
}

// TestSmallCounts: a trigger that takes rows away is counted, also when it comes between the look at the table and the batch.
func TestSmallCounts(t *testing.T) {
	l := newLoader(t, `CREATE TABLE orders (id bigint);
		CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN NEW.id = 2 THEN NULL ELSE NEW END; END $$;
		CREATE TRIGGER a AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION keep()`, Config{Sinks: []Sink{orders()}})
	l.mustCommit(`{"id":1}`)
	if !l.store.targets[0].takesAll {
		t.Error("a trigger after the row takes none away")
	}
	l.exec(`CREATE TRIGGER b BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION keep()`)
	if res := l.mustCommit(`{"id":2}`, `{"id":3}`); res.Suppressed != 1 || res.Written != 1 || res.Filtered != 1 {
		t.Errorf("%+v; want one written and one suppressed", res)
	}
	l.want(`SELECT consumed || ' ' || written || ' ' || filtered || ' ' || suppressed FROM sinker.offsets`, "3 2 1 1")
}

// TestSmallLikeLarge: what a small batch writes is what a large one writes, to the byte, of all families of types.
func TestSmallLikeLarge(t *testing.T) {
	const types = `CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN amount AS numeric(8,2) CHECK (VALUE < 1000); CREATE DOMAIN moods AS mood;
		CREATE TABLE orders (id bigint PRIMARY KEY, b boolean, i2 smallint, i4 int, f4 real, f8 double precision, n numeric, n2 numeric(10,3),
			t text, v varchar(10), c char(5), by bytea, d date, ts timestamp, tz timestamptz(3), tm time, iv interval, u uuid, j json, jb jsonb,
			ip inet, net cidr, mac macaddr, mo mood, am amount, mm moods, ai int[], at text[], number int GENERATED ALWAYS AS (i4 * 2) STORED,
			seq bigint GENERATED ALWAYS AS IDENTITY, made text DEFAULT 'x' || current_database()::text)`
	row := func(id int, more string) string { return fmt.Sprintf(`{"id":%d%s}`, id, more) }
	full := `,"b":true,"i2":-3,"i4":70000,"f4":1.5,"f8":-2.25,"n":"123456789012345.6789","n2":7.125,"t":"größe","v":"ten","c":"ab","by":"aGk=","d":"2026-11-26",
		"ts":"2026-11-26T12:34:56.789","tz":"2026-11-26T12:34:56.789+01:00","tm":"12:34:56","iv":"PT1H","u":"5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5b","j":{"a": 1},"jb":{"b":[1,2]},
		"ip":"192.168.0.1","net":"10.0.0.0/8","mac":"08:00:2b:01:02:03","mo":"happy","am":12.5,"mm":"sad","ai":[1,2,null],"at":["x","y"]`
	batches := [][]string{
		{row(1, full), row(2, ""), row(3, `,"t":"","mo":null,"seq":77`)},
		{row(4, full), `nonsense`, row(5, `,"mo":"angry"`), row(6, `,"am":5000`), row(7, `,"c":"too long for five"`)},
		{row(1, `,"t":"again"`), row(8, full), row(1, `,"t":"last"`), row(2, `,"i4":5`)},
	}
	for name, change := range map[string]func(*Sink){"Append": func(*Sink) {}, "Upsert": keyed} {
		t.Run(name, func(t *testing.T) {
			var all []string
			for _, small := range []bool{true, false} {
				ddl := strings.Replace(types, "ai int[], at text[], ", "", 1) // which have no arrays of their own
				if name == "Append" {
					ddl = strings.Replace(types, "bigint PRIMARY KEY", "bigint", 1)
				}
				l := newLoader(t, ddl, Config{Sinks: []Sink{orders(change)}})
				l.mustCommit(row(0, ""))
				l.store.targets[0].takesAll = small
				for _, values := range batches {
					l.store.careful = 0
					l.mustCommit(values...)
				}
				if !l.store.targets[0].mode.(piper).pipes() {
					t.Error("the small batches went the way of the large ones")
				}
				all = append(all, l.one(`SELECT string_agg(replace(o::text, current_database(), 'db'), E'\n' ORDER BY id, o::text) FROM orders o`)+"\n"+l.letters()+
					l.one(`SELECT next_offset || ' ' || written || ' ' || dead FROM sinker.offsets`))
				l.ledgerTiles()
			}
			if all[0] != all[1] {
				t.Errorf("small:\n%s\nlarge:\n%s", all[0], all[1])
			}
		})
	}
}

// TestSmallCuts cuts the connection in the middle of what is sent together, and everywhere in it: the same batch again is
// committed, and each record is there once.
func TestSmallCuts(t *testing.T) {
	db := newDatabase(t)
	db.exec(`CREATE TABLE orders (id bigint)`) // no unique key: it would hide duplicates
	through, cutter := startCutter(t, db.url)
	s := db.storeWith(Config{URL: through, Owner: "a", Sinks: []Sink{orders()}})
	p := db.take(s, claim(orders0, 0))[0]
	rounds := 0
	for at := int64(1); at < 2400; at += 61 {
		b := Batch{rangeOf(p, `{"id":1}`, `nonsense`, `{"id":2}`)}
		cutter.after.Store(0)
		tx, err := s.Begin(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		for _, each := range b[0].Batches {
			_ = tx.Write(t.Context(), 0, each)
		}
		cutter.after.Store(at) // bytes from now on
		_, err = tx.Commit(t.Context())
		tx.Rollback()
		cutter.after.Store(0)
		if err != nil {
			rounds++
			res, _ := commitUntilDone(t, s, b)
			if res.Consumed != 3 {
				t.Errorf("cut after %d bytes: %+v", at, res)
			}
		}
		p.NextOffset = b[0].To
	}
	if rounds < 20 {
		t.Errorf("only %d cuts", rounds)
	}
	db.want(`SELECT next_offset - consumed FROM sinker.offsets`, "0")
	db.want(`SELECT count(*) - (SELECT written FROM sinker.offsets) FROM orders`, "0")
	db.want(`SELECT count(*) - (SELECT dead FROM sinker.offsets) FROM sinker.dead_letters`, "0")
	db.ledgerTiles()
}

// cutter forwards connections, and breaks each of them after some bytes from the client.
type cutter struct{ after atomic.Int64 } // 0: never

func startCutter(t *testing.T, dbURL string) (string, *cutter) {
	t.Helper()
	cfg, err := pgx.ParseConfig(dbURL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { c.serve(client, cfg) })
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	u, err := url.Parse(dbURL)
	if err != nil {
		t.Fatal(err)
	}
	u.Host, u.RawQuery = l.Addr().String(), "sslmode=disable"
	return u.String(), c
}

func (c *cutter) serve(client net.Conn, cfg *pgx.ConnConfig) {
	defer client.Close()
	network, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	server, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(client, server)
		client.Close()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := client.Read(buf)
		if left := c.after.Load(); left > 0 {
			if int64(n) >= left {
				_, _ = server.Write(buf[:left])
				return
			}
			c.after.Store(left - int64(n))
		}
		if n > 0 {
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
