package txn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"sinker/internal/failpoint"
	"sinker/internal/mutant"
	"sinker/internal/pgbin"
	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// write brings the batch's records into their tables, one table after the other on the one connection.
func (s *Store) write(ctx context.Context, conn *pgx.Conn, b Batch, careful bool, more More) error {
	if careful {
		// A deferred constraint would speak up at COMMIT, when it is too late to find the record.
		sql := "SET CONSTRAINTS ALL IMMEDIATE"
		if s.stuck.suspects(b) { // each part may wait for the same lock
			sql += fmt.Sprintf("; SET LOCAL lock_timeout = %d", min(s.cfg.LockTimeout, s.cfg.StatementTimeout/2, 500*time.Millisecond).Milliseconds())
		}
		if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return wrap("write", "", err)
		}
	}
	for _, w := range s.writers(conn, b, careful, more) {
		if err := w.run(ctx); err != nil {
			return wrap("write", w.target.sink.Name(), err)
		}
		s.buf.tables = append(s.buf.tables, w.result)
		if mutant.On(mutant.TablesApart) {
			_, _ = conn.Exec(ctx, "COMMIT; BEGIN")
		}
	}
	return wrap("write", "", failpoint.Hit(failpoint.Written))
}

// writers are the parts of an attempt. If the batch may go on, a table that can go on comes last: the records of the
// others have to be there until they are written.
func (s *Store) writers(conn *pgx.Conn, b Batch, careful bool, more More) (all []*writer) {
	last := -1
	for ti, t := range s.targets {
		w := &writer{store: s, conn: conn, batch: b, target: t, index: ti, careful: careful, suspect: s.stuck.suspects(b)}
		if !w.wanted() {
			continue
		}
		if more != nil && w.forgets() {
			last = len(all)
		}
		all = append(all, w)
	}
	if last >= 0 {
		w := all[last]
		w.more = more
		all = append(slices.Delete(all, last, last+1), w)
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
	more    More      // nil: the batch does not go on
	sum     *Checksum // of the range in hand; nil: another table's writer adds it up
	result  TableResult
}

// wanted says whether any range of the batch has records for this table.
func (w *writer) wanted() bool {
	for i := range w.batch {
		if len(w.batch[i].Records) > 0 && w.takes(i) {
			return true
		}
	}
	return false
}

func (w *writer) takes(rng int) bool {
	return slices.Contains(w.store.route(w.batch[rng].Topic), w.index)
}

// forgets says whether the writer needs no record of its own again once it is encoded, nor does another one. An upsert would
// not either, but larger merges are slower ones (docs/decisions/0009-batches-that-go-on.md).
func (w *writer) forgets() bool {
	for i := range w.batch {
		if w.takes(i) && len(w.store.route(w.batch[i].Topic)) > 1 {
			return false
		}
	}
	return w.target.upsert == nil
}

// enter begins with the records of a range, if the table takes them. The first table that does adds up the ledger's
// checksum on its way, while the bytes are near.
func (w *writer) enter(rng int) bool {
	route := w.store.route(w.batch[rng].Topic)
	w.sum = nil
	if len(route) > 0 && route[0] == w.index {
		w.sum = &w.store.buf.sums[rng]
	}
	return slices.Contains(route, w.index)
}

func (w *writer) run(ctx context.Context) error {
	w.result.Table = w.target.sink.Name()
	switch {
	case w.target.aggregate != nil:
		return w.aggregate(ctx)
	case w.target.upsert != nil:
		return w.merge(ctx)
	}
	if w.careful {
		return w.appendCarefully(ctx)
	}
	return w.stream(ctx)
}

// place is a record's place in the batch: the range and the index within it.
type place struct{ rng, rec int }

// stream copies the rows straight into the table: each time Postgres is ready for more, the next records are encoded,
// so both work at the same time.
func (w *writer) stream(ctx context.Context) error {
	w.target.reshape()
	main := w.mainShape()
	src := &rowReader{w: w, main: main, pending: append(w.store.buf.rows[:0], pgbin.CopyHeader()...)}
	defer w.store.buf.aside.reset()
	tag, err := w.copyIn(ctx, src, w.target.copySQL(main))
	w.store.buf.rows = src.pending[:0]
	if err != nil {
		return err
	}
	w.sent(src.rows, tag.RowsAffected())
	w.target.shaped.main = w.store.buf.aside.common(main, src.rows)
	return w.writeAside(ctx)
}

// rowReader is the stream of a COPY: it encodes records as the connection asks for bytes.
type rowReader struct {
	w       *writer
	main    transform.Shape // rows of others are set aside
	at      place
	pending []byte // encoded and not yet read
	off     int
	rows    int // encoded so far
	done    bool
}

// Read fills p whole unless the records end: pgx sends each Read as one message.
func (r *rowReader) Read(p []byte) (n int, err error) {
	if len(r.pending) > 0 && r.off == len(r.pending) {
		if err := failpoint.Hit(failpoint.MidCopy); err != nil {
			return 0, err
		}
	}
	for n < len(p) {
		if r.off == len(r.pending) {
			if r.done {
				break
			}
			r.pending, r.off = r.pending[:0], 0
			r.fill(len(p) - n)
		}
		m := copy(p[n:], r.pending[r.off:])
		n, r.off = n+m, r.off+m
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// fill encodes records until there are at least want bytes or no more records.
func (r *rowReader) fill(want int) {
	for len(r.pending) < want {
		if r.encodeTo(want) && (r.w.store.buf.aside.size > mostAside || !r.w.goOn()) {
			r.pending = append(r.pending, pgbin.CopyTrailer()...)
			r.done = true
			return
		}
	}
}

// encodeTo encodes records until there are at least want bytes, or to the end of the batch: then it returns true, and is
// at the beginning again.
func (r *rowReader) encodeTo(want int) (end bool) {
	b := r.w.batch
	for ; r.at.rng < len(b); r.at = (place{rng: r.at.rng + 1}) {
		if r.at.rec == 0 && !r.w.enter(r.at.rng) {
			continue
		}
		for records := b[r.at.rng].Records; r.at.rec < len(records); r.at.rec++ {
			if len(r.pending) >= want {
				return false
			}
			before := len(r.pending)
			var op transform.Op
			if r.pending, op = r.w.encode(r.pending, r.at, records[r.at.rec]); op == transform.Filter {
				continue
			}
			if shape := r.w.target.encoder.Shape(); shape != r.main {
				r.w.store.buf.aside.add(shape, r.pending[before:])
				r.pending = r.pending[:before]
			} else {
				r.rows++
			}
		}
	}
	r.at = place{}
	return true
}

// goOn gets the batch more records when all it had are encoded. Not after a dead letter, which is written at the end.
func (w *writer) goOn() bool {
	st := &w.store.buf
	if w.more == nil || len(st.letters) > 0 || !w.more(w.batch, w.takes) {
		return false
	}
	for i := range w.batch {
		if w.takes(i) {
			st.fold(i)
			st.unmark(i, len(w.batch[i].Records))
		}
	}
	return true
}

// encode appends a record's row and notes what became of the record; when there is no row dst comes back as it was.
func (w *writer) encode(dst []byte, at place, r *kgo.Record) ([]byte, transform.Op) {
	rec := w.store.buf.wrap.Of(r)
	if w.sum != nil {
		w.sum.Add(rec)
	}
	out, op, err := w.target.encoder.Append(dst, rec)
	if err != nil {
		w.bury(at, err)
		return dst, transform.Filter
	}
	if op != transform.Filter {
		m := &w.store.buf.marks[at.rng][at.rec]
		*m = max(*m, written)
	}
	return out, op
}

// bury notes a dead letter. A record that fails in two tables leaves two letters and counts once.
func (w *writer) bury(at place, err error) {
	var bad *transform.BadRecord
	if !errors.As(err, &bad) {
		bad = refusal(err)
	}
	st := &w.store.buf
	st.marks[at.rng][at.rec] = dead
	st.letters = append(st.letters, letter{rng: at.rng, record: w.batch[at.rng].Records[at.rec], table: w.result.Table, bad: bad})
}
