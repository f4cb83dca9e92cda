package txn

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sinker/internal/failpoint"
	"sinker/internal/record"
	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
)

// beginWriting forgets what an earlier attempt has found out about the batch.
func (t *Tx) beginWriting() {
	t.s.forgetFields()
	t.s.buf.reset(t.batch)
}

// writeRows brings the records that are not written yet into their tables, one table after the other on the one
// connection.
func (t *Tx) writeRows(ctx context.Context, careful bool) error {
	s := t.s
	if t.live != nil {
		w := t.live
		if err := w.finish(ctx); err != nil {
			return wrap(record.StepWrite, w.name(), err)
		}
		t.live = nil
		s.buf.tables = append(s.buf.tables, w.result)
		return wrap(record.StepWrite, "", failpoint.Hit(failpoint.Written))
	}
	t.beginWriting()
	if careful {
		if err := t.checkAtOnce(ctx); err != nil {
			return wrap(record.StepWrite, "", err)
		}
	}
	for _, w := range s.writers(t.conn, t.batch, careful) {
		if err := w.write(ctx); err != nil {
			return wrap(record.StepWrite, w.name(), err)
		}
	}
	return wrap(record.StepWrite, "", failpoint.Hit(failpoint.Written))
}

// checkAtOnce has deferred constraints checked by each statement: at COMMIT it would be too late to find the record.
func (t *Tx) checkAtOnce(ctx context.Context) error {
	s := t.s
	sql := "SET CONSTRAINTS ALL IMMEDIATE"
	if s.stuck.suspects(t.batch) { // each part may wait for the same lock
		limit := min(s.cfg.LockTimeout, s.cfg.StatementTimeout/2, 500*time.Millisecond)
		sql += fmt.Sprintf("; SET LOCAL lock_timeout = %d", limit.Milliseconds())
	}
	_, err := t.conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// writers are the parts of an attempt, one for each table that the batch has records for.
func (s *Store) writers(conn *pgx.Conn, b Batch, careful bool) (all []*writer) {
	for ti, t := range s.targets {
		w := &writer{store: s, conn: conn, batch: b, target: t, index: ti, careful: careful, suspect: s.stuck.suspects(b)}
		if w.wanted() {
			all = append(all, w)
		}
	}
	return all
}

// writer is one table's part of one attempt.
type writer struct {
	store   *Store
	conn    *pgx.Conn
	batch   Batch
	target  *target
	index   int
	careful bool
	suspect bool      // a record may be the cause of what looks like the moment's
	sum     *Checksum // of the current range; nil: another table's writer adds it up
	result  TableResult
	others  map[int]*writer // of a sink with several tables: the other tables' writers, by target

	feed    *feed // of an append: the COPY that is open
	main    transform.Shape
	pending []byte // encoded, and not given to the COPY yet
	rows    int    // given to the COPY, or pending
}

func (w *writer) name() string { return w.target.sink.Name() }

// wanted says whether any range of the batch has records for this table.
func (w *writer) wanted() bool {
	for i := range w.batch {
		if w.batch[i].Held() > 0 && w.takes(i) {
			return true
		}
	}
	return false
}

func (w *writer) takes(rng int) bool {
	return slices.Contains(w.store.of(w.batch[rng].Topic).sinks, w.index)
}

// forgets says whether the writer needs no record of its own again once it is encoded, nor does another one. An
// upsert would not either, but larger merges are slower ones (docs/decisions/0009-batches-that-go-on.md).
func (w *writer) forgets() bool {
	for i := range w.batch {
		if w.takes(i) && len(w.store.of(w.batch[i].Topic).tables) > 1 {
			return false
		}
	}
	return w.target.streamer() != nil
}

// enter begins with the records of a range, if the table takes them. The first table that does adds up the ledger's
// checksum on its way, while the bytes are near.
func (w *writer) enter(rng int) bool {
	sinks := w.store.of(w.batch[rng].Topic).sinks
	w.sum = nil
	if len(sinks) > 0 && sinks[0] == w.index {
		w.sum = &w.store.buf.sums[rng]
	}
	return slices.Contains(sinks, w.index)
}

// write writes all records of the table that the batch has now, and notes the result.
func (w *writer) write(ctx context.Context) (err error) {
	w.result.Table = w.name()
	if w.careful || w.target.streamer() == nil {
		err = w.target.mode.write(ctx, w)
	} else if err = w.startWith(ctx); err == nil {
		err = w.finish(ctx)
	} else {
		w.abort()
	}
	if err == nil {
		w.store.buf.tables = append(w.store.buf.tables, w.result)
	}
	return err
}

// Writing that goes on (see forgets) is in steps: startWith, add for each range that is given more, then finish or
// abort.

// startWith begins to write with the records that the batch has now.
func (w *writer) startWith(ctx context.Context) error {
	w.result.Table = w.name()
	w.target.streamer().start(ctx, w)
	for rng := range w.batch {
		if err := w.add(rng); err != nil {
			return err
		}
	}
	return nil
}

// add writes the records that a range has now, and needs them no more, unless there is a dead letter.
func (w *writer) add(rng int) error {
	if !w.enter(rng) {
		return nil
	}
	return w.target.streamer().add(w, rng)
}

// mayGoOn says whether more records may be added. Not after a dead letter, which is written at the end.
func (w *writer) mayGoOn() bool {
	return len(w.store.buf.letters)+len(w.store.buf.unready) == 0 && !w.target.streamer().full(w)
}

// finish ends the writing of what was added.
func (w *writer) finish(ctx context.Context) error { return w.target.streamer().finish(ctx, w) }

// abort leaves nothing running; the transaction is to be rolled back.
func (w *writer) abort() {
	if w.feed != nil {
		w.feed.abort()
		w.feed = nil
	}
}
