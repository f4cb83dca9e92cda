package txn

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"sinker/internal/pgbin"
	"sinker/internal/transform"
)

// copyNew is the way for batches whose keys are all new, which is what most upserts are most of the
// time: a few keys are looked up, and when none of them is in the table all rows are copied
// straight into it, at a third of what a merge costs. A key that is there after all fails the COPY
// at the unique index; then a savepoint takes it back, and the batch is merged.
// docs/decisions/0007-upsert.md has the figures.
type copyNew struct {
	lookup string // whether any of the keys, an array a column, is there
	types  []uint32

	skip  int // batches that are merged without a look
	found int // looks in a row that found a key
}

const (
	mostLooked = 500 // keys looked up: of a batch in which one key in a hundred is old, one is found 99 times in 100
	mostSkips  = 16  // batches without a look while the keys are old ones
	afterFail  = 100 // batches without a look after a COPY in vain
)

// newCopyNew returns nil when a key column's type has no arrays to look up keys by.
func newCopyNew(sink *Sink, keys []transform.TableColumn, types []uint32) *copyNew {
	if slices.Contains(types, 0) {
		return nil
	}
	arrays, names, match := make([]string, len(keys)), make([]string, len(keys)), make([]string, len(keys))
	for i, c := range keys {
		arrays[i] = fmt.Sprintf("$%d", i+1)
		names[i] = fmt.Sprintf("k%d", i)
		match[i] = fmt.Sprintf("t.%s = k.k%d", quote(c.Name), i)
	}
	return &copyNew{
		// LIMIT keeps the inner query a look into the index for each key, whatever the planner
		// believes of the table.
		lookup: fmt.Sprintf("SELECT EXISTS (SELECT FROM unnest(%s) AS k (%s) WHERE (SELECT true FROM %s t WHERE %s LIMIT 1))",
			strings.Join(arrays, ", "), strings.Join(names, ", "), sink.Name(), strings.Join(match, " AND ")),
		types: types,
	}
}

// copyNew copies the items if their keys look new, and says whether it did.
func (w merging) copyNew(ctx context.Context, items []item) (copied bool, err error) {
	c := w.u.copyNew
	if c == nil || len(items) == 0 {
		return false, nil
	}
	if c.skip > 0 {
		c.skip--
		return false, nil
	}
	if old, err := w.anyIsThere(ctx, items); err != nil || old {
		c.found = min(c.found+1, mostSkips)
		c.skip = c.found - 1
		return false, err
	}
	c.found = 0
	rows, err := w.copyTable(ctx, "SAVEPOINT copy_new; ", items)
	if err == nil {
		w.sent(len(items), rows)
		return true, nil
	}
	if !isRefusal(err) {
		return false, err
	}
	// An old key, or something else that Postgres does not take this way: the merge will tell.
	c.skip = afterFail
	return false, w.exec(ctx, "ROLLBACK TO SAVEPOINT copy_new")
}

// anyIsThere looks some keys up, evenly spread over the items.
func (w merging) anyIsThere(ctx context.Context, items []item) (bool, error) {
	step := (len(items) + mostLooked - 1) / mostLooked
	keys := w.target.plan.Columns()[:w.target.plan.KeyColumns()]
	arrays, formats := make([][]byte, len(keys)), make([]int16, len(keys))
	for i, k := range keys {
		formats[i] = 1 // binary
		arrays[i] = pgbin.AppendArrayHeader(nil, k.Type, (len(items)+step-1)/step)
	}
	for at := 0; at < len(items); at += step {
		key := w.keyOf(items[at])
		for i := range arrays {
			size := 4 + binary.BigEndian.Uint32(key)
			arrays[i] = append(arrays[i], key[:size]...)
			key = key[size:]
		}
	}
	ctx, cancel := w.store.bounded(ctx)
	defer cancel()
	c := w.u.copyNew
	res := w.conn.PgConn().ExecParams(ctx, c.lookup, arrays, c.types, formats, formats[:1]).Read()
	if res.Err != nil {
		return false, res.Err
	}
	return len(res.Rows) == 1 && len(res.Rows[0]) == 1 && string(res.Rows[0][0]) == "\x01", nil
}
