package txn

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"sinker/internal/pgbin"
	"sinker/internal/record"
	"sinker/internal/transform"
)

// Rows lack columns where a record has no field and only Postgres can compute the default: a
// sequence, now(), a function. Rows of one shape, which lack the same columns, are written by
// statements that leave those columns out. Postgres computes the defaults then, once for each such
// row, as for an INSERT without the column.
//
// The rows of the most common shape are streamed. The others are set aside, and written after it in the same
// transaction (docs/decisions/0012-computed-defaults.md).

const (
	mostAside  = 16 << 20 // bytes of rows set aside, after which a batch does not go on
	mostShapes = 1000     // whose statements are kept from batch to batch
)

// shaped is what a target keeps for each shape of its encoder.
type shaped struct {
	main   transform.Shape // of the rows that are streamed
	known  bool            // main was chosen
	copies []string        // COPY statements, by shape
}

// reshape begins with no shape but 0, if there are very many: then records have their fields at random.
func (t *target) reshape() {
	for _, other := range t.others {
		other.reshape()
	}
	if t.encoder.Shapes() > mostShapes {
		t.newEncoder()
	}
}

// copySQL copies rows of a shape into the table.
func (t *target) copySQL(s transform.Shape) string {
	for int(s) >= len(t.shaped.copies) {
		t.shaped.copies = append(t.shaped.copies, "")
	}
	sql := &t.shaped.copies[s]
	if *sql == "" {
		*sql = copyInto(t.sink.Name(), t.encoder.ColumnsOf(s))
	}
	return *sql
}

func copyInto(table string, columns []transform.TableColumn) string {
	return fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT binary)", table, columnList(columns))
}

// mainShape is the shape of the rows to be streamed: the most common one of the batch before, or in
// the first batch that of its first row.
func (w *writer) mainShape() transform.Shape {
	t := w.target
	if !t.plan.Computes() || t.shaped.known {
		return t.shaped.main
	}
	st := &w.store.buf
	// The record is encoded again, and its fields are counted then.
	defer func() { st.fields = t.encoder.Unasked(st.fields[:0]) }()
	for rng := range w.batch {
		if !w.takes(rng) {
			continue
		}
		w.batch[rng].Walk(func(r *record.Record) bool {
			tuples, fx, err := t.encoder.Encode(st.rows[:0], r, st.effects[:0])
			st.rows, st.effects = tuples[:0], fx
			if err == nil && len(fx) > 0 && fx[0].Op == transform.Write {
				t.shaped.main, t.shaped.known = fx[0].Shape, true
			}
			return !t.shaped.known
		})
		if t.shaped.known {
			return t.shaped.main
		}
	}
	return 0
}

// aside are the rows of a batch that have another shape than those that are streamed.
type aside struct {
	shapes []transform.Shape // in the order in which they came
	rows   [][]byte          // by shape
	count  []int             // by shape
	size   int
}

func (a *aside) add(s transform.Shape, tuple []byte) {
	for int(s) >= len(a.rows) {
		a.rows, a.count = append(a.rows, nil), append(a.count, 0)
	}
	if a.count[s] == 0 {
		a.shapes = append(a.shapes, s)
	}
	a.rows[s] = append(a.rows[s], tuple...)
	a.count[s]++
	a.size += len(tuple)
}

// take sets the tuples of other shapes than main aside. Those of fx are the last ones of rows,
// which comes back without them, and with how many stay.
func (a *aside) take(rows []byte, fx []transform.Effect, main transform.Shape) ([]byte, int) {
	kept, end := 0, fx[0].From
	for i := range fx {
		switch f := &fx[i]; {
		case f.Shape != main:
			a.add(f.Shape, rows[f.From:f.To])
			continue
		case f.From == end:
			end = f.To
		default:
			end += copy(rows[end:], rows[f.From:f.To])
		}
		kept++
	}
	return rows[:end], kept
}

// reset keeps the memory for the next batch, unless it is much.
func (a *aside) reset() {
	kept := 0
	for s := range a.rows {
		if a.rows[s] = a.rows[s][:0]; kept+cap(a.rows[s]) > mostAside {
			a.rows[s] = nil
		}
		kept += cap(a.rows[s])
	}
	clear(a.count)
	a.shapes, a.size = a.shapes[:0], 0
}

// common is the most common shape of a batch that streamed n rows of the shape main.
func (a *aside) common(main transform.Shape, n int) transform.Shape {
	for _, s := range a.shapes {
		if a.count[s] > n {
			main, n = s, a.count[s]
		}
	}
	return main
}

// writeAside copies what was set aside, a shape at a time.
func (w *writer) writeAside(ctx context.Context) error {
	a := &w.store.buf.aside
	for _, s := range a.shapes {
		src := io.MultiReader(bytes.NewReader(pgbin.CopyHeader()), bytes.NewReader(a.rows[s]),
			bytes.NewReader(pgbin.CopyTrailer()))
		tag, err := w.copyIn(ctx, src, w.target.copySQL(s))
		if err != nil {
			return err
		}
		w.sent(a.count[s], tag.RowsAffected())
	}
	return nil
}

// byShape groups items by their shapes, each group in the items' order.
func byShape(items []item) [][]item {
	return groupBy(items, func(it item) transform.Shape { return it.shape })
}

// groupBy groups items by a key, in the order in which the keys come first, each group in the items' order.
func groupBy[K comparable](items []item, key func(item) K) (groups [][]item) {
	if len(items) == 0 {
		return nil
	}
	if first := key(items[0]); !slices.ContainsFunc(items, func(it item) bool { return key(it) != first }) {
		return [][]item{items}
	}
	index := map[K]int{}
	for _, it := range items {
		i, ok := index[key(it)]
		if !ok {
			i = len(groups)
			index[key(it)] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], it)
	}
	return groups
}

// copyError is a COPY that Postgres refused, with the rows that it had, so that the line in
// Postgres' message finds its row.
type copyError struct {
	error
	items []item
}

func (e *copyError) Unwrap() error { return e.error }

// copyTable copies items straight into the table, each shape by a COPY of its own. before is sent
// with the first one.
func (w *writer) copyTable(ctx context.Context, before string, items []item) (rows int64, err error) {
	for _, group := range byShape(items) {
		tag, err := w.copyIn(ctx, w.copyItems(group), before+w.target.copySQL(group[0].shape))
		if err != nil {
			return rows, &copyError{err, group}
		}
		before = ""
		rows += tag.RowsAffected()
	}
	return rows, nil
}
