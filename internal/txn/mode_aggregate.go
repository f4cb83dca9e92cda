package txn

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sinker/internal/record"
	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// aggregate is the mode whose rows are groups: records with equal group columns are folded in
// memory, and each group goes into its row by one INSERT … ON CONFLICT of the whole batch.
type aggregate struct {
	merge  string
	types  []uint32 // of its parameters
	groups *transform.Groups
	arrays [][]byte // scratch: the statement's parameters, an array per column
}

func newAggregate(*transform.Rule) mode { return &aggregate{} }

func (*aggregate) traits() traits {
	return traits{name: transform.ModeAggregate, word: "group", folds: true,
		fillfactor: 50, // rows are updated all the time: their new versions find room in the same page
		privileges: []privilege{{"INSERT", allColumns}, {"SELECT", allColumns}, {"UPDATE", restColumns}},
		uncounted: "has one row per group of records: it cannot be counted back, and stands on the ledger, " +
			"which is written in the same transactions"}
}

func (a *aggregate) prepare(ctx context.Context, conn *pgx.Conn, t *target, rel *relation, plan *transform.Plan) error {
	if err := needUnique(ctx, conn, rel, t); err != nil {
		return err
	}
	types, err := arrayTypes(ctx, conn, plan.Columns())
	if err != nil {
		return err
	}
	*a = aggregate{merge: mergeGroupsSQL(t.sink, plan), types: types, groups: plan.NewGroups(), arrays: a.arrays}
	return nil
}

// mergeGroupsSQL adds groups, given as an array per column, to the table's rows.
func mergeGroupsSQL(sink *Sink, plan *transform.Plan) string {
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
	return fmt.Sprintf("INSERT INTO %s AS t (%s)%s SELECT * FROM unnest(%s) ON CONFLICT (%s) DO UPDATE SET %s",
		sink.Name(), columnList(columns), overriding(columns), strings.Join(arrays, ", "),
		columnList(columns[:plan.KeyColumns()]), strings.Join(sets, ", "))
}

func (a *aggregate) start(context.Context, *writer) { a.groups.Reset() }

// add folds the records of a range into the groups, which are merged at the end. A sum that its
// column cannot hold, and whatever else Postgres refuses, is looked for carefully in the next
// attempt, one record at a time.
func (a *aggregate) add(w *writer, rng int) error {
	st := &w.store.buf
	w.walk(rng, func(at place, r *record.Record) bool {
		tuples, fx := w.encode(st.rows[:0], at, r)
		st.rows = tuples[:0]
		for i := range fx {
			a.groups.Add(tuples[fx[i].From:fx[i].To])
		}
		w.result.Rows += int64(len(fx))
		return true
	})
	return nil
}

// full keeps the groups within one statement.
func (a *aggregate) full(*writer) bool { return a.groups.Len() >= mostGroups }

func (a *aggregate) finish(ctx context.Context, w *writer) error { return a.mergeAll(ctx, w) }

// write is careful; what need not be is streamed. It sifts the records in the order of their
// groups: so those of a group that is refused lie side by side, and within it the earlier ones are
// in the table before the later ones are tried. Records of several groups stay in log order.
func (a *aggregate) write(ctx context.Context, w *writer) error {
	items := w.collect()
	if !isSeveral(items) {
		slices.SortStableFunc(items, w.compareKeys)
	}
	return w.sift(ctx, items, w.apply)
}

func (a *aggregate) apply(ctx context.Context, w *writer, before string, items []item) error {
	if err := w.exec(ctx, before); err != nil {
		return err
	}
	a.groups.Reset()
	for _, it := range items {
		a.groups.Add(w.store.buf.rows[it.from:it.to])
	}
	if err := a.mergeAll(ctx, w); err != nil {
		return err
	}
	w.result.Rows += int64(len(items))
	return nil
}

const (
	mostGroups     = 100_000 // of one statement; a batch that has as many does not go on
	mostGroupBytes = 16 << 20
)

// mergeAll writes the groups in an order that all workers have in common, in one statement unless
// there are very many.
func (a *aggregate) mergeAll(ctx context.Context, w *writer) error {
	a.groups.Sort()
	for from := 0; from < a.groups.Len(); {
		to, size := from, 0
		for to < a.groups.Len() && to-from < mostGroups && size < mostGroupBytes {
			size += a.groups.KeySize(to)
			to++
		}
		if err := a.mergePart(ctx, w, from, to); err != nil {
			return err
		}
		from = to
	}
	return nil
}

func (a *aggregate) mergePart(ctx context.Context, w *writer, from, to int) error {
	var bad *transform.BadRecord
	if a.arrays, bad = a.groups.Arrays(a.arrays, from, to); bad != nil {
		return &Error{Class: Data, Step: record.StepWrite, Table: w.target.sink.Name(), Err: bad}
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

func (*aggregate) pipes() bool { return true }

func (a *aggregate) pipe(ctx context.Context, w *writer, p *pipe) ([]pipedRows, error) {
	a.groups.Reset()
	for rng := range w.batch {
		if w.enter(rng) {
			if err := a.add(w, rng); err != nil {
				return nil, err
			}
		}
	}
	n := a.groups.Len()
	if n == 0 {
		return nil, nil
	}
	a.groups.Sort()
	var bad *transform.BadRecord
	if a.arrays, bad = a.groups.Arrays(a.arrays, 0, n); bad != nil {
		return nil, &Error{Class: Data, Step: record.StepWrite, Table: w.name(), Err: bad}
	}
	told := func(tag pgconn.CommandTag) { w.result.Suppressed += max(0, int64(n)-tag.RowsAffected()) }
	return []pipedRows{{w, len(p.answers), told}}, p.execBinary(ctx, a.merge, a.types, a.arrays)
}
