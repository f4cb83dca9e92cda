package txn

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sinker/internal/transform"
)

// aggregate is a table of groups: records with equal group columns are folded in memory, and each group goes into its
// row by one INSERT … ON CONFLICT of the whole batch.
type aggregate struct {
	merge  string
	types  []uint32 // of its parameters
	groups *transform.Groups
	arrays [][]byte // scratch: the statement's parameters, an array a column
}

func newAggregate(sink *Sink, plan *transform.Plan, types []uint32) *aggregate {
	columns, folds := plan.Columns(), plan.Folds()
	arrays, sets := make([]string, len(columns)), []string(nil)
	for i, c := range columns {
		arrays[i] = fmt.Sprintf("$%d", i+1)
		name := quote(c.Name)
		switch folds[i] {
		case transform.Add:
			sets = append(sets, fmt.Sprintf("%s = coalesce(t.%s, 0) + excluded.%s", name, name, name))
		case transform.Max:
			sets = append(sets, fmt.Sprintf("%s = greatest(t.%s, excluded.%s)", name, name, name))
		case transform.Min:
			sets = append(sets, fmt.Sprintf("%s = least(t.%s, excluded.%s)", name, name, name))
		}
	}
	return &aggregate{
		merge: fmt.Sprintf("INSERT INTO %s AS t (%s)%s SELECT * FROM unnest(%s) ON CONFLICT (%s) DO UPDATE SET %s",
			sink.Name(), columnList(columns), overriding(columns), strings.Join(arrays, ", "), columnList(columns[:plan.KeyColumns()]), strings.Join(sets, ", ")),
		types: types, groups: plan.NewGroups(),
	}
}

// foldRange folds the records of a range into the groups, which are merged at the end. A sum that its column cannot hold,
// and whatever else Postgres refuses, is looked for carefully in the next attempt, a record at a time.
func (w *writer) foldRange(rng int) {
	st := &w.store.buf
	for rec, r := range w.batch[rng].Records {
		tuple, op := w.encode(st.rows[:0], place{rng, rec}, r)
		st.rows = tuple[:0]
		if op != transform.Filter {
			w.target.aggregate.groups.Add(tuple)
			w.result.Rows++
		}
	}
}

// aggregateCarefully sifts the records in the order of their groups: so those of a group that is refused lie side by
// side, and within it the earlier ones are in the table before the later ones are tried.
func (w *writer) aggregateCarefully(ctx context.Context) error {
	items := w.collect()
	slices.SortStableFunc(items, w.compareKeys)
	groups := w.target.aggregate.groups
	return w.sift(ctx, items, func(ctx context.Context, before string, items []item) error {
		if err := w.exec(ctx, before); err != nil {
			return err
		}
		groups.Reset()
		for _, it := range items {
			groups.Add(w.store.buf.rows[it.from:it.to])
		}
		if err := w.mergeGroups(ctx); err != nil {
			return err
		}
		w.result.Rows += int64(len(items))
		return nil
	})
}

const (
	mostGroups     = 100_000 // of one statement; a batch that has so many does not go on
	mostGroupBytes = 16 << 20
)

// mergeGroups writes the groups in an order that all workers have in common, in one statement unless there are very many.
func (w *writer) mergeGroups(ctx context.Context) error {
	groups := w.target.aggregate.groups
	groups.Sort()
	for from := 0; from < groups.Len(); {
		to, size := from, 0
		for to < groups.Len() && to-from < mostGroups && size < mostGroupBytes {
			size += groups.KeySize(to)
			to++
		}
		if err := w.mergePart(ctx, from, to); err != nil {
			return err
		}
		from = to
	}
	return nil
}

func (w *writer) mergePart(ctx context.Context, from, to int) error {
	a := w.target.aggregate
	var bad *transform.BadRecord
	if a.arrays, bad = a.groups.Arrays(a.arrays, from, to); bad != nil {
		return &Error{Class: Data, Op: "write", Table: w.target.sink.Name(), Err: bad}
	}
	ctx, cancel := w.store.bounded(ctx)
	defer cancel()
	formats := make([]int16, len(a.arrays))
	for i := range formats {
		formats[i] = 1 // binary
	}
	tag, err := w.conn.PgConn().ExecParams(ctx, a.merge, a.arrays, a.types, formats, nil).Close()
	if err == nil {
		w.result.Suppressed += max(0, int64(to-from)-tag.RowsAffected())
	}
	return err
}
