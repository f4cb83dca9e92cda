package txn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"
	"strconv"

	"sinker/internal/transform"

	"github.com/jackc/pgx/v5/pgconn"
)

// item is one encoded row, or the key of one deletion, and the record it came from.
type item struct {
	at       place
	from, to int // its tuple within buf.rows
	op       transform.Op
}

// collect encodes all records of the table into memory and notes their verdicts. It is the way of upserts, which have
// to see the whole batch, and of careful writing, which has to write parts of it again.
func (w *writer) collect() []item {
	st := &w.store.buf
	st.rows = st.rows[:0]
	items := st.items[:0]
	for rng := range w.batch {
		if !w.enter(rng) {
			continue
		}
		for rec, r := range w.batch[rng].Records {
			at, from := place{rng, rec}, len(st.rows)
			var op transform.Op
			if st.rows, op = w.encode(st.rows, at, r); op != transform.Filter {
				items = append(items, item{at: at, from: from, to: len(st.rows), op: op})
			}
		}
	}
	st.items = items
	return items
}

// copyItems is the binary COPY of some items, as a stream.
func (w *writer) copyItems(items []item) io.Reader {
	return &itemReader{rows: w.store.buf.rows, items: items}
}

// itemReader streams encoded rows. Rows that lie side by side in memory, as they mostly do, are read in one piece.
type itemReader struct {
	rows    []byte
	items   []item
	rest    []byte
	started bool
	ended   bool
}

func (r *itemReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(r.rest) == 0 && !r.next() {
			break
		}
		m := copy(p[n:], r.rest)
		n, r.rest = n+m, r.rest[m:]
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (r *itemReader) next() bool {
	switch {
	case !r.started:
		r.started, r.rest = true, transform.CopyHeader()
	case len(r.items) > 0:
		n := 1
		for n < len(r.items) && r.items[n].from == r.items[n-1].to {
			n++
		}
		r.rest = r.rows[r.items[0].from:r.items[n-1].to]
		r.items = r.items[n:]
	case !r.ended:
		r.ended, r.rest = true, transform.CopyTrailer()
	default:
		return false
	}
	return true
}

// appendCarefully appends rows, finding those that Postgres refuses.
func (w *writer) appendCarefully(ctx context.Context) error {
	return w.sift(ctx, w.collect(), func(ctx context.Context, before string, items []item) error {
		tag, err := w.copyIn(ctx, w.copyItems(items), before+w.target.copySQL)
		if err == nil {
			w.result.Rows += tag.RowsAffected()
		}
		return err
	})
}

// part is the items [from, to) still to be written.
type part struct {
	from, to int
	// bad: the whole is known to be refused, because a larger whole was and the rest of that passed. It is halved without
	// another try.
	bad bool
	// right is the other half, if this is the left one of a whole that was refused.
	right *part
}

// sift writes the items under a savepoint with apply, and wherever Postgres refuses a value it rolls back to the
// savepoint and tries smaller parts, until every item that is refused by itself is found; those become dead letters,
// the others are written, all in the transaction that moves the offsets. apply sends before, which sets or returns to
// the savepoint, together with its first statement.
//
// Where the error names the line of a COPY the parts are cut there, which costs three statements for a bad row; else
// they are halved: one bad row among 50,000 costs 18 (held by TestSiftCost).
func (w *writer) sift(ctx context.Context, items []item, apply func(ctx context.Context, before string, items []item) error) error {
	before := "SAVEPOINT sift; "
	w.store.buf.tries = 0
	todo := []*part{{to: len(items)}}
	for found := 0; len(todo) > 0; {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if p.from == p.to {
			continue
		}
		if p.bad && p.to-p.from > 1 {
			todo = append(todo, halves(p)...)
			continue
		}
		if found > 0 && found < few {
			todo = p.join(todo)
		}
		w.store.buf.tries++
		err := apply(ctx, before, items[p.from:p.to])
		if err == nil {
			before = "RELEASE SAVEPOINT sift; SAVEPOINT sift; "
			if p.right != nil {
				p.right.bad = true
			}
			continue
		}
		if !isRefused(err) {
			return err
		}
		before = "ROLLBACK TO SAVEPOINT sift; "
		if p.to-p.from == 1 {
			found++
			w.bury(items[p.from].at, err)
			continue
		}
		todo = append(todo, cut(p, err)...)
	}
	return w.endSift(ctx, before)
}

// few is how many bad rows it takes until the parts that were put aside are no longer joined: with one bad row the rest
// is best written in one go, with many each of the parts is likely to have another.
const few = 3

// join takes the parts that follow directly and of which nothing is known into p.
func (p *part) join(todo []*part) []*part {
	for len(todo) > 0 && !p.bad && p.right == nil {
		next := todo[len(todo)-1]
		if next.bad || next.from != p.to {
			break
		}
		p.to = next.to
		todo = todo[:len(todo)-1]
	}
	return todo
}

// endSift leaves no failed statement behind.
func (w *writer) endSift(ctx context.Context, before string) error {
	ctx, cancel := w.store.bounded(ctx)
	defer cancel()
	_, err := w.conn.PgConn().Exec(ctx, before).ReadAll()
	return err
}

// halves returns the two halves, the left one on top of the stack.
func halves(p *part) []*part {
	m := (p.from + p.to) / 2
	right := &part{from: m, to: p.to}
	return []*part{right, {from: p.from, to: m, right: right}}
}

var copyLine = regexp.MustCompile(`COPY .*, line (\d+)`)

// cut parts a refused part at the line that Postgres names, or in the middle.
func cut(p *part, err error) []*part {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		if m := copyLine.FindStringSubmatch(pe.Where); m != nil {
			if line, _ := strconv.Atoi(m[1]); line >= 1 && line <= p.to-p.from {
				at := p.from + line - 1
				return []*part{{from: at + 1, to: p.to}, {from: at, to: at + 1, bad: true}, {from: p.from, to: at}}
			}
		}
	}
	return halves(p)
}

// refusal is the dead letter's reason for a row that Postgres refused.
func refusal(err error) *transform.BadRecord {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return &transform.BadRecord{Code: "refused", Reason: err.Error()}
	}
	reason := pe.Message
	if pe.Detail != "" {
		reason += ": " + pe.Detail
	}
	return &transform.BadRecord{Column: pe.ColumnName, Code: pe.Code, Reason: reason}
}

// keyOf returns the key bytes of an item.
func (w *writer) keyOf(it item) []byte { return w.target.plan.KeyOf(w.store.buf.rows[it.from:it.to]) }

func (w *writer) compareKeys(a, b item) int { return bytes.Compare(w.keyOf(a), w.keyOf(b)) }
