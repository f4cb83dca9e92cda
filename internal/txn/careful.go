package txn

import (
	"bytes"
	"io"

	"sinker/internal/pgbin"
	"sinker/internal/record"
	"sinker/internal/transform"
)

// item is one effect: an encoded row, or the key of a deletion, and the record it came from. Those
// of one record lie side by side, in the order of the effects.
type item struct {
	at       place
	from, to int // its tuple within buf.rows
	op       transform.Op
	shape    transform.Shape
	table    int32 // index of the target
	filled   bool  // the row has fields of an older record of the key

	// delFrom, delTo is the tuple of a deletion to be done before, if delTo > 0: the row lacks
	// columns, and a row that is there already would keep its own values.
	delFrom, delTo int
}

// collect encodes all records of the table into memory and notes their verdicts. It is the way of
// upserts, which have to see the whole batch, and of careful writing, which has to write parts of
// it again.
func (w *writer) collect() []item {
	w.target.reshape()
	st := &w.store.buf
	st.rows = st.rows[:0]
	items := st.items[:0]
	for rng := range w.batch {
		if !w.enter(rng) {
			continue
		}
		w.walk(rng, func(at place, r *record.Record) bool {
			var fx []transform.Effect
			st.rows, fx = w.encode(st.rows, at, r)
			for i := range fx {
				f := &fx[i]
				items = append(items, item{at: at, from: f.From, to: f.To, op: f.Op, shape: f.Shape, table: w.tableOf(f)})
			}
			return true
		})
	}
	st.items = items
	return items
}

// tableOf is the target of an effect.
func (w *writer) tableOf(f *transform.Effect) int32 {
	if f.Table == "" {
		return int32(w.index)
	}
	return int32(w.target.to(f.Table).index)
}

// copyItems is the binary COPY of some items, as a stream.
func (w *writer) copyItems(items []item) io.Reader {
	return &itemReader{rows: w.store.buf.rows, items: items}
}

// itemReader streams encoded rows. Rows that lie side by side in memory, as they mostly do, are
// read in one piece.
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
		r.started, r.rest = true, pgbin.CopyHeader()
	case len(r.items) > 0:
		n := 1
		for n < len(r.items) && r.items[n].from == r.items[n-1].to {
			n++
		}
		r.rest = r.rows[r.items[0].from:r.items[n-1].to]
		r.items = r.items[n:]
	case !r.ended:
		r.ended, r.rest = true, pgbin.CopyTrailer()
	default:
		return false
	}
	return true
}

// keyOf returns the key bytes of an item.
func (w *writer) keyOf(it item) []byte { return w.target.plan.KeyOf(w.store.buf.rows[it.from:it.to]) }

func (w *writer) compareKeys(a, b item) int { return bytes.Compare(w.keyOf(a), w.keyOf(b)) }
