package txn

import (
	"context"
	"errors"

	"sinker/internal/record"
	"sinker/internal/transform"
)

// A record has none, one or several effects, each one tuple for one table. All of them are written
// or none is: a record with an effect that cannot be encoded has none (Encoder.Encode), and where
// Postgres refuses one, sift takes all of them away. The record is one dead letter then.

// place is a record's place in the batch: the range, its number in a walk of that, and its offset.
type place struct {
	rng, rec int
	offset   int64
}

// walk calls f with each record of a range and its place, until f returns false.
func (w *writer) walk(rng int, f func(place, *record.Record) bool) {
	n, on := 0, true
	each := func(r *record.Record) bool {
		on = f(place{rng, n, r.Offset}, r)
		n++
		return on
	}
	for batches := w.batch[rng].Batches; on && len(batches) > 0; batches = batches[1:] {
		batches[0].Walk(batches[0].From(), each)
	}
}

// encode appends the tuples of a record's effects and notes what became of the record. Without
// effects dst comes back as it was. The effects hold until the next call.
func (w *writer) encode(dst []byte, at place, rec *record.Record) ([]byte, []transform.Effect) {
	if w.sum != nil {
		w.sum.Add(rec)
	}
	st := &w.store.buf
	out, fx, err := w.target.encoder.Encode(dst, rec, st.effects[:0])
	st.effects = fx
	if err != nil {
		w.refuse(at, rec, err)
		return dst, nil
	}
	if len(fx) > 0 {
		m := &st.marks[at.rng][at.rec]
		*m = max(*m, written)
	}
	return out, fx
}

// refuse notes that a record was not encoded. What is not the record's fault is no dead letter: the
// batch fails then.
func (w *writer) refuse(at place, rec *record.Record, err error) {
	var bad *transform.BadRecord
	if errors.As(err, &bad) {
		w.bury(at, rec.Clone(), err)
		return
	}
	w.store.buf.unready = addUnready(w.store.buf.unready, rec.TopicPartition, rec.Offset, err)
}

// bury notes a dead letter, of a record that nobody else has. One that fails in two sinks leaves
// two letters and counts once.
func (w *writer) bury(at place, rec *record.Record, err error) {
	var bad *transform.BadRecord
	if !errors.As(err, &bad) {
		bad = refusal(err)
	}
	st := &w.store.buf
	st.marks[at.rng][at.rec] = dead
	st.letters = append(st.letters, letter{rng: at.rng, record: rec, table: w.refusing(bad, err), bad: bad})
}

// refusing is the table that does not take a record.
func (w *writer) refusing(bad *transform.BadRecord, err error) string {
	var e *Error
	if errors.As(err, &e) && e.Table != "" {
		return e.Table
	}
	if t := w.target.to(bad.Table); t != nil {
		return t.sink.Name()
	}
	return w.result.Table
}

// apply writes some items by the table's mode.
func (w *writer) apply(ctx context.Context, before string, items []item) error {
	return w.target.mode.apply(ctx, w, before, items)
}

// ofOneRecord says whether items that lie side by side are all of one record.
func ofOneRecord(items []item) bool { return items[0].at == items[len(items)-1].at }

// startOf and endOf are where the items of the record begin and end that has the i-th one.
func startOf(items []item, i int) int {
	for i > 0 && items[i-1].at == items[i].at {
		i--
	}
	return i
}

func endOf(items []item, i int) int {
	for i++; i < len(items) && items[i].at == items[i-1].at; {
		i++
	}
	return i
}

// isSeveral says whether a record has several items.
func isSeveral(items []item) bool {
	for i := 1; i < len(items); i++ {
		if items[i].at == items[i-1].at {
			return true
		}
	}
	return false
}
