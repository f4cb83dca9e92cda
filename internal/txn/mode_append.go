package txn

import (
	"cmp"
	"context"

	"sinker/internal/pgbin"
	"sinker/internal/record"
	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// appends is the mode in which each record is a new row.
type appends struct{}

func newAppend(*transform.Rule) mode { return appends{} }

func (appends) traits() traits {
	return traits{name: transform.ModeAppend, copies: true,
		privileges: []privilege{{"INSERT", allColumns}}}
}

// prepare: the statements are those of the rows' shapes, which the target has.
func (appends) prepare(context.Context, *pgx.Conn, *target, *relation, *transform.Plan) error {
	return nil
}

// write is careful; what need not be is streamed.
func (appends) write(ctx context.Context, w *writer) error {
	return w.sift(ctx, w.collect(), w.apply)
}

func (appends) apply(ctx context.Context, w *writer, before string, items []item) error {
	rows, err := w.copyTable(ctx, before, items)
	if err == nil {
		w.sent(len(items), rows)
	}
	return err
}

// start begins to copy rows straight into the table: the next ones are encoded while Postgres takes
// those before.
func (appends) start(ctx context.Context, w *writer) {
	w.target.reshape()
	w.store.buf.aside.reset()
	w.main = w.mainShape()
	w.pending = append(w.store.buf.rows[:0], pgbin.CopyHeader()...)
	w.feed = w.newFeed(ctx, w.target.copySQL(w.main))
}

// add encodes the records of a range. Rows of another shape than main are set aside.
func (appends) add(w *writer, rng int) (err error) {
	w.walk(rng, func(at place, r *record.Record) bool {
		var fx []transform.Effect
		if w.pending, fx = w.encode(w.pending, at, r); len(fx) == 0 {
			return true
		}
		var kept int
		w.pending, kept = w.store.buf.aside.take(w.pending, fx, w.main)
		if w.rows += kept; len(w.pending) >= feedSize {
			err = w.flush()
		}
		return err == nil
	})
	return err
}

// flush gives the COPY what is pending, but for what would be a small message of its own.
func (w *writer) flush() error {
	whole := len(w.pending) / feedSize * feedSize
	err := w.feed.write(w.pending[:whole])
	w.pending = append(w.pending[:0], w.pending[whole:]...)
	return err
}

// full keeps the rows that are set aside few.
func (appends) full(w *writer) bool { return w.store.buf.aside.size > mostAside }

// finish ends the COPY, and copies what was set aside.
func (appends) finish(ctx context.Context, w *writer) error {
	err := w.feed.write(w.pending)
	if err == nil {
		err = w.feed.write(pgbin.CopyTrailer())
	}
	w.store.buf.rows = w.pending[:0]
	tag, closeErr := w.feed.close()
	w.feed = nil
	if err = cmp.Or(closeErr, err); err != nil {
		return err
	}
	aside := &w.store.buf.aside
	defer aside.reset()
	w.sent(w.rows, tag.RowsAffected())
	w.target.shaped.main = aside.common(w.main, w.rows)
	return w.writeAside(ctx)
}

func (appends) pipes() bool { return true }

func (appends) pipe(_ context.Context, w *writer, p *pipe) (rows []pipedRows, err error) {
	for _, group := range byShape(w.collect()) {
		told := func(tag pgconn.CommandTag) { w.sent(len(group), tag.RowsAffected()) }
		rows = append(rows, pipedRows{w, len(p.answers), told})
		if err := p.copy(w.target.copySQL(group[0].shape), w.copyItems(group)); err != nil {
			return nil, err
		}
	}
	return rows, nil
}
