package txn

import (
	"context"
	"io"
	"testing"
	"time"

	"sinker/internal/local/await"
	"sinker/internal/local/pgproxy"
	"sinker/internal/pgbin"
)

// TestFrozenOwnerLetsGo plays an owner that is frozen while it holds an offset row: the server's timeouts free the row,
// the next owner takes the partition, and the frozen one writes nothing when it wakes up.
func TestFrozenOwnerLetsGo(t *testing.T) {
	ctx := context.Background()
	const ddl = `CREATE TABLE orders (id bigint)`
	setup := func(t *testing.T) *loader {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}, StatementTimeout: 500 * time.Millisecond})
		l.mustCommit(`{"id":1}`)
		return l
	}
	// taken waits until another store has the partition.
	taken := func(l *loader, lockTimeout time.Duration) Position {
		other := l.storeWith(Config{Owner: "b", Sinks: []Sink{orders()}, StatementTimeout: 500 * time.Millisecond, LockTimeout: lockTimeout})
		var p Position
		await.Until(l.t, "the partition to be free", func() bool {
			taken, err := other.Take(ctx, []Claim{claim(orders0, 0)})
			if err == nil {
				p = taken.Positions[0]
			}
			return err == nil
		})
		return p
	}

	t.Run("BetweenStatements", func(t *testing.T) {
		l := setup(t)
		conn, err := l.store.session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.store.begin(ctx, conn, Batch{rangeOf(l.pos, `{"id":2}`)}); err != nil {
			t.Fatal(err)
		}
		if p := taken(l, 300*time.Millisecond); p.NextOffset != 1 {
			t.Errorf("taken at %d", p.NextOffset)
		}
		_, err = l.commit(`{"id":2}`) // awake again: its connection is gone, its fence is old
		if err == nil {
			t.Error("the frozen owner wrote")
		}
		_, err = l.commit(`{"id":2}`)
		if m := missOf(t, err); m.Kind != Fenced {
			t.Errorf("%+v", m)
		}
		l.want(`SELECT count(*) FROM orders`, "1")
	})

	insideCopy := func(t *testing.T, lockTimeout time.Duration) {
		l := setup(t)
		conn, err := l.store.session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		r := rangeOf(l.pos, `{"id":2}`)
		if err := l.store.begin(ctx, conn, Batch{r}); err != nil {
			t.Fatal(err)
		}
		reader, writer := io.Pipe()
		copied := make(chan error, 1)
		go func() {
			_, err := conn.PgConn().CopyFrom(ctx, reader, l.store.targets[0].copySQL(0))
			copied <- err
		}()
		if _, err := writer.Write(pgbin.CopyHeader()); err != nil {
			t.Fatal(err)
		}
		if p := taken(l, lockTimeout); p.NextOffset != 1 {
			t.Errorf("taken at %d", p.NextOffset)
		}
		writer.Close() // awake again
		if err := <-copied; err == nil {
			t.Error("the COPY of the frozen owner went through")
		}
		l.store.rollback(conn)
		_, err = l.commit(`{"id":2}`)
		if m := missOf(t, err); m.Kind != Fenced {
			t.Errorf("%+v", m)
		}
		l.want(`SELECT count(*) FROM orders`, "1")
	}
	t.Run("InsideCopy", func(t *testing.T) { insideCopy(t, 300*time.Millisecond) })
	// The network falls silent between the move of the offset row and its COMMIT, which are sent together. The store must
	// get past the locks of its own former connection, which no timeout of Postgres frees.
	t.Run("BeforeCommit", func(t *testing.T) {
		l := setup(t)
		proxy, url := l.proxied()
		s := l.storeWith(Config{URL: url, Owner: "b", Sinks: []Sink{orders()}, StatementTimeout: 500 * time.Millisecond})
		p := l.take(s, claim(orders0, 0))[0]
		proxy.OnCommit(func(n int) pgproxy.Fate {
			if n == 1 { // after that of the take
				return pgproxy.HoleBefore
			}
			return pgproxy.Pass
		})
		await.Until(t, "the batch to be committed", func() bool {
			_, err := commitBatch(ctx, s, Batch{rangeOf(p, `{"id":2}`)}, nil)
			return err == nil
		})
		if n := proxy.Fates()[pgproxy.HoleBefore]; n != 1 {
			t.Errorf("%d connections fell silent, want 1", n)
		}
		l.want(`SELECT count(*) FROM orders`, "2")
	})
	// The Take that waits is ended by whichever timeout is the shorter: neither may leave it waiting forever.
	t.Run("InsideCopyLongLockTimeout", func(t *testing.T) { insideCopy(t, 5*time.Second) })
}
