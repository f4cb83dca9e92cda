package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jackc/pgx/v5"
)

// Only a kill in the middle of a transaction proves something, so a moment is not guessed but looked for: Postgres
// says that the loader has a transaction open and is inside COPY; the loader is frozen; Postgres is asked again; and
// only then comes SIGKILL. Afterwards Postgres must say that it rolled that very transaction back, or the kill does
// not count.
//
// A load may be too short to be met like this. When the loader has come through everything it was given, the table is
// locked before it is given more, so that its next transaction waits in COPY until it has been seen. If that is a small
// batch, its COMMIT is on the way with its rows, and Postgres commits it although the loader is dead. That counts: the
// next loader has to find out.

// openCopies are the loader's transactions that are inside COPY.
type openCopies struct {
	pids    []int32
	xids    []int64
	rows    int64 // that they have written so far
	waiting int   // of the transactions, for the table's lock
}

const openCopiesSQL = `
SELECT a.pid, a.backend_xid::text::bigint, coalesce(p.tuples_processed, 0),
a.wait_event_type IS NOT DISTINCT FROM 'Lock'
FROM pg_stat_activity a LEFT JOIN pg_stat_progress_copy p USING (pid)
WHERE a.datname = current_database() AND a.application_name LIKE 'sinker%' AND a.state = 'active'
AND a.query LIKE 'COPY%'
  AND a.backend_xid IS NOT NULL`

func (d *demo) openCopies(ctx context.Context) (c openCopies, err error) {
	rows, err := d.conn.Query(ctx, openCopiesSQL)
	if err != nil {
		return c, err
	}
	var pid int32
	var xid, written int64
	var waits bool
	_, err = pgx.ForEachRow(rows, []any{&pid, &xid, &written, &waits}, func() error {
		c.pids, c.xids, c.rows = append(c.pids, pid), append(c.xids, xid), c.rows+written
		if waits {
			c.waiting++
		}
		return nil
	})
	return c, err
}

// untilKilled runs the loader and kills it when it is past the point and in the middle of a transaction.
func (w *watch) untilKilled(ctx context.Context) error {
	var held *tableLock
	defer func() { held.release() }()
	if allowed, _ := w.d.feed.limit(); allowed > w.gate {
		// What an earlier life was given and lost could be all there is: this one must not get through it unseen.
		var err error
		if held, err = w.d.holdTable(ctx); err != nil {
			return err
		}
	}
	w.d.feed.allow(w.gate)
	if err := w.begin(ctx); err != nil {
		return err
	}
	for {
		pause(ctx, 2*time.Millisecond)
		if err := w.step(ctx); err != nil {
			return err
		}
		if held == nil && w.position >= w.gate && w.d.hasTable(ctx) {
			var err error
			if held, err = w.d.holdTable(ctx); err != nil {
				return err
			}
			w.d.feed.allow(w.next)
		}
		if allowed, _ := w.d.feed.limit(); held != nil && w.position >= allowed && allowed < w.total {
			w.d.feed.allow(allowed + 1) // what was given writes no row, such as a dead letter: nothing waited for the lock
		}
		if held == nil && w.position < w.point {
			continue
		}
		if dead, err := w.kill(ctx, held); dead || err != nil {
			return err
		}
	}
}

// kill kills the loader if it is in the middle of a transaction, and reports whether it is dead.
func (w *watch) kill(ctx context.Context, held *tableLock) (dead bool, err error) {
	inMiddle := func(c openCopies) bool { return c.rows >= w.want || held != nil && c.waiting > 0 }
	open, err := w.d.openCopies(ctx)
	if err != nil || !inMiddle(open) {
		return false, err
	}
	loader := w.d.child.cmd.Process
	if err := freeze(loader); err != nil {
		return false, err
	}
	if open, err = w.d.openCopies(ctx); err != nil {
		return false, err
	}
	if !inMiddle(open) {
		return false, thaw(loader)
	}
	committed, err := w.d.position(ctx)
	if err != nil {
		return false, err
	}
	w.seen()
	w.d.child.kill()
	held.release()
	rolledBack, err := w.d.rolledBack(ctx, open)
	if err != nil {
		return true, err
	}
	if rolledBack == 0 && held == nil {
		return true, nil // the COMMIT was under way already: this one does not count
	}
	w.d.load.kills++
	w.d.say(fmt.Sprint("kill ", w.d.load.kills), "%s records committed, and %s", humanize.Comma(committed), open)
	if rolledBack == 0 {
		w.d.say("", "SIGKILL; Postgres had the COMMIT with the rows already, and did it: nobody heard of that")
	} else {
		w.d.say("", "SIGKILL; Postgres rolled %s back", transactions(rolledBack))
	}
	return true, nil
}

func (c openCopies) String() string {
	if c.rows == 0 {
		return transactions(len(c.pids)) + " held inside COPY"
	}
	return fmt.Sprintf("%s inside COPY, %s rows in", transactions(len(c.pids)), humanize.Comma(c.rows))
}

func transactions(n int) string {
	if n == 1 {
		return "1 transaction"
	}
	return fmt.Sprint(n, " transactions")
}

// rolledBack waits until the dead loader's connections are gone, and counts its transactions that Postgres rolled back.
func (d *demo) rolledBack(ctx context.Context, c openCopies) (n int, err error) {
	deadline := time.Now().Add(patience)
	for left := 1; left > 0; {
		const alive = `SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1) AND application_name LIKE 'sinker%'`
		if err := d.conn.QueryRow(ctx, alive, c.pids).Scan(&left); err != nil {
			return 0, err
		}
		if time.Now().After(deadline) {
			return 0, errors.New("the killed loader's connections are still there")
		}
		if left > 0 {
			pause(ctx, 5*time.Millisecond)
		}
	}
	// A transaction's number has 64 bits; what pg_stat_activity shows is the lower half.
	const status = `
SELECT count(*) FROM unnest($1::bigint[]) x, pg_snapshot_xmax(pg_current_snapshot()) s,
LATERAL (SELECT s::text::bigint AS next) n
WHERE pg_xact_status((((n.next - x) >> 32 << 32) + x)::text::xid8) = 'aborted'`
	err = d.conn.QueryRow(ctx, status, c.xids).Scan(&n)
	return n, err
}

// tableLock keeps everybody from writing to the table.
type tableLock struct{ conn *pgx.Conn }

// hasTable says whether the loader has made the table.
func (d *demo) hasTable(ctx context.Context) (there bool) {
	err := d.conn.QueryRow(ctx, `SELECT to_regclass('orders') IS NOT NULL`).Scan(&there)
	return err == nil && there
}

// holdTable locks the table once nobody writes to it.
func (d *demo) holdTable(ctx context.Context) (*tableLock, error) {
	conn, err := d.database.connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "BEGIN; LOCK TABLE orders IN SHARE MODE"); err != nil {
		conn.Close(ctx)
		return nil, err
	}
	return &tableLock{conn}, nil
}

func (l *tableLock) release() {
	if l == nil || l.conn == nil {
		return
	}
	l.conn.Close(context.Background())
	l.conn = nil
}
