package txn

import (
	"context"

	"sinker/internal/record"
)

// family is the mode of the first table of a sink whose changes name their tables. One writer, that
// of the first table, has those of the others: what a record does to several tables is there whole
// or not at all. So its rows are encoded once and kept until all are written, and whatever else a
// mode can do, such as streaming, is not done.
type family struct{ mode }

func (family) write(ctx context.Context, w *writer) error { return w.writeFamily(ctx) }

// writeFamily writes the batch's records into the tables of the writer's sink.
func (w *writer) writeFamily(ctx context.Context) error {
	w.others = map[int]*writer{}
	for _, t := range w.target.others {
		w.others[t.index] = &writer{store: w.store, conn: w.conn, batch: w.batch, target: t, index: t.index,
			careful: w.careful, suspect: w.suspect}
	}
	items, err := w.collect(), error(nil)
	if w.careful {
		err = w.sift(ctx, items, w.applyFamily)
	} else if len(items) > 0 {
		err = w.applyFamily(ctx, "", items)
	}
	for _, t := range w.target.others {
		if m := w.others[t.index]; m.result.Table != "" { // something was for it
			w.store.buf.tables = append(w.store.buf.tables, m.result)
		}
	}
	return err
}

// applyFamily writes some items, those of each table together, each table by its mode.
func (w *writer) applyFamily(ctx context.Context, before string, items []item) (err error) {
	restore := w.counted()
	for _, part := range byTable(items) {
		m := w.of(part[0])
		m.result.Table = m.target.sink.Name()
		if err := m.target.mode.apply(ctx, m, before, part); err != nil {
			restore()
			return wrap(record.StepWrite, m.target.sink.Name(), err)
		}
		before = ""
	}
	return nil
}

// of is the writer of an item's table.
func (w *writer) of(it item) *writer {
	if m := w.others[int(it.table)]; m != nil {
		return m
	}
	return w
}

// counted returns what sets the results back to what they are now.
func (w *writer) counted() (restore func()) {
	own, others := w.result, map[int]TableResult{}
	for i, m := range w.others {
		others[i] = m.result
	}
	return func() {
		w.result = own
		for i, m := range w.others {
			m.result = others[i]
		}
	}
}

// byTable parts items by their tables, in the order in which the tables come first: a row may refer
// to one in another table. Of a single record each effect stays behind those before it.
func byTable(items []item) (parts [][]item) {
	if ofOneRecord(items) {
		from := 0
		for i := 1; i <= len(items); i++ {
			if i == len(items) || items[i].table != items[from].table {
				parts = append(parts, items[from:i:i])
				from = i
			}
		}
		return parts
	}
	return groupBy(items, func(it item) int32 { return it.table })
}
