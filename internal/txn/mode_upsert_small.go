package txn

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"sinker/internal/pgbin"
	"sinker/internal/transform"

	"github.com/jackc/pgx/v5/pgconn"
)

// smallUpsert is the way of a small upsert: no temporary table, but an array for each column, in the order of the keys.
type smallUpsert struct {
	types   []uint32 // of arrays of the columns
	delete  string
	merges  []string // by shape of:
	encoder *transform.Encoder
	arrays  [][]byte
}

// newSmallUpsert returns nil when a column's type has no arrays.
func newSmallUpsert(sink *Sink, columns []transform.TableColumn, keys int, types []uint32) *smallUpsert {
	if slices.Contains(types, 0) {
		return nil
	}
	match, names := make([]string, keys), make([]string, keys)
	for i, c := range columns[:keys] {
		names[i] = fmt.Sprintf("k%d", i)
		match[i] = fmt.Sprintf("t.%s = k.k%d", quote(c.Name), i)
	}
	return &smallUpsert{types: types, delete: fmt.Sprintf("DELETE FROM %s t USING unnest(%s) AS k (%s) WHERE %s",
		sink.Name(), parameters(keys), strings.Join(names, ", "), strings.Join(match, " AND "))}
}

func parameters(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("$%d", i+1)
	}
	return strings.Join(all, ", ")
}

// mergeOf is the statement that merges rows of a shape.
func (u *smallUpsert) mergeOf(t *target, s transform.Shape) string {
	if u.encoder != t.encoder {
		u.merges, u.encoder = nil, t.encoder
	}
	for int(s) >= len(u.merges) {
		u.merges = append(u.merges, "")
	}
	if u.merges[s] == "" {
		columns := t.encoder.ColumnsOf(s)
		u.merges[s] = mergeFrom(t.sink, columns, t.plan.KeyColumns(), "SELECT * FROM unnest("+parameters(len(columns))+")")
	}
	return u.merges[s]
}

func (u *upsert) pipes() bool { return u.small != nil && !u.looseKey }

// pipe puts the last record of each key into the pipe: deletions first, as mergeItems does.
func (u *upsert) pipe(ctx context.Context, w *writer, p *pipe) (rows []pipedRows, err error) {
	m := merging{w, u}
	deletes, writes := splitDeletes(m.inKeyOrder(m.collect()))
	if len(deletes) > 0 {
		told := func(tag pgconn.CommandTag) { w.result.Deleted += tag.RowsAffected() }
		rows = append(rows, pipedRows{w, len(p.answers), told})
		keys := w.target.plan.Columns()[:w.target.plan.KeyColumns()]
		if err := p.execBinary(ctx, u.small.delete, u.small.types[:len(keys)], u.small.fill(w, keys, deletes)); err != nil {
			return nil, err
		}
	}
	for _, group := range byShape(writes) {
		shape := group[0].shape
		told := func(tag pgconn.CommandTag) { m.merged(u.mergeOf(w.target, shape), len(group), tag.RowsAffected()) }
		rows = append(rows, pipedRows{w, len(p.answers), told})
		columns := w.target.encoder.ColumnsOf(shape)
		types := u.small.typesOf(w.target.plan, columns)
		if err := p.execBinary(ctx, u.small.mergeOf(w.target, shape), types, u.small.fill(w, columns, group)); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// typesOf are the types of arrays of some of the plan's columns, which are in its order.
func (u *smallUpsert) typesOf(plan *transform.Plan, columns []transform.TableColumn) []uint32 {
	types := make([]uint32, 0, len(columns))
	for i, c := range plan.Columns() {
		if len(types) < len(columns) && columns[len(types)].Name == c.Name {
			types = append(types, u.types[i])
		}
	}
	return types
}

// fill makes an array of each column. Items may have further columns behind.
func (u *smallUpsert) fill(w *writer, columns []transform.TableColumn, items []item) [][]byte {
	for len(u.arrays) < len(columns) {
		u.arrays = append(u.arrays, nil)
	}
	arrays := u.arrays[:len(columns)]
	for i, c := range columns {
		arrays[i] = pgbin.AppendArrayHeader(arrays[i][:0], c.Type, len(items))
	}
	for _, it := range items {
		fields := w.store.buf.rows[it.from+2 : it.to] // behind their number
		for i := range arrays {
			size := 4
			if n := int32(binary.BigEndian.Uint32(fields)); n > 0 {
				size += int(n)
			}
			arrays[i] = append(arrays[i], fields[:size]...)
			fields = fields[size:]
		}
	}
	return arrays
}
