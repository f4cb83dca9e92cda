package txn

import (
	"context"
	"fmt"
	"hash/fnv"
	"hash/maphash"
	"io"
	"slices"
	"strings"

	"sinker/internal/transform"
)

// upsertSQL is the statements that merge a batch into a table with a key. Unless copyNew can take them, the rows go by
// COPY into a temporary table that is emptied at the end of the transaction, and from there by one INSERT … ON CONFLICT
// into the target.
type upsertSQL struct {
	stage     string // CREATE TEMP TABLE IF NOT EXISTS for the rows
	copyRows  string
	merge     string
	bin       string // the same for the keys to delete
	copyKeys  string
	delete    string
	emptyBoth string
	looseKey  bool // keys may be equal to Postgres that are not equal as bytes
	keysOnly  bool // ON CONFLICT DO NOTHING: there is nothing to update
	copyNew   *copyNew
}

func newUpsertSQL(sink *Sink, index int, plan *transform.Plan) *upsertSQL {
	columns := plan.Columns()
	keys, rest := columns[:plan.KeyColumns()], columns[plan.KeyColumns():]
	// The name holds the columns, so that a table that was altered gets a new stage instead of an old one's shape.
	tag := shapeTag(sink.Name(), columns)
	stage := fmt.Sprintf("pg_temp.sinker_rows_%d_%s", index, tag)
	bin := fmt.Sprintf("pg_temp.sinker_keys_%d_%s", index, tag)
	temp := "CREATE TEMP TABLE IF NOT EXISTS %s ON COMMIT DELETE ROWS AS SELECT %s FROM %s WITH NO DATA"
	u := &upsertSQL{
		stage:     fmt.Sprintf(temp, stage, columnList(columns), sink.Name()),
		copyRows:  fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT binary)", stage, columnList(columns)),
		bin:       fmt.Sprintf(temp, bin, columnList(keys), sink.Name()),
		copyKeys:  fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT binary)", bin, columnList(keys)),
		emptyBoth: fmt.Sprintf("TRUNCATE %s, %s", stage, bin),
	}
	action := "DO NOTHING"
	u.keysOnly = len(rest) == 0
	if len(rest) > 0 {
		sets := make([]string, len(rest))
		for i, c := range rest {
			sets[i] = quote(c.Name) + " = excluded." + quote(c.Name)
		}
		action = "DO UPDATE SET " + strings.Join(sets, ", ")
	}
	u.merge = fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s ON CONFLICT (%s) %s",
		sink.Name(), columnList(columns), columnList(columns), stage, columnList(keys), action)
	match := make([]string, len(keys))
	for i, c := range keys {
		match[i] = "t." + quote(c.Name) + " = k." + quote(c.Name)
	}
	u.delete = fmt.Sprintf("DELETE FROM %s t USING %s k WHERE %s", sink.Name(), bin, strings.Join(match, " AND "))
	return u
}

func shapeTag(table string, columns []transform.TableColumn) string {
	h := fnv.New64a()
	io.WriteString(h, table)
	for _, c := range columns {
		io.WriteString(h, "\x00"+c.Name+"\x00"+c.Type.String())
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

var keySeed = maphash.MakeSeed()

// merge upserts: the last record of each key in the batch wins, in key order, so that two workers that meet on the same
// rows lock them in the same order and can not deadlock.
func (w *writer) merge(ctx context.Context) error {
	items := w.collect()
	loose := w.target.upsert.looseKey && isMixed(items)
	if loose && !w.careful {
		return w.mergeInOrder(ctx, "", items)
	}
	if loose {
		return w.sift(ctx, items, w.mergeInOrder)
	}
	var all []item
	if w.careful {
		all = slices.Clone(items)
	}
	items = w.lastOfEachKey(items)
	slices.SortFunc(items, w.compareKeys)
	if w.careful {
		return w.mergeCarefully(ctx, items, all)
	}
	return w.mergeItems(ctx, "", items)
}

// mergeItems stages and merges items that have a key once each.
func (w *writer) mergeItems(ctx context.Context, before string, items []item) error {
	u := w.target.upsert
	writes, deletes := items, []item(nil)
	if slices.ContainsFunc(items, isDelete) {
		deletes = slices.DeleteFunc(slices.Clone(items), func(it item) bool { return !isDelete(it) })
		writes = slices.DeleteFunc(slices.Clone(items), isDelete)
	}
	if len(deletes) == 0 && before == "" {
		if copied, err := w.copyNew(ctx, writes); copied || err != nil {
			return err
		}
	}
	setup := before + u.stage + "; " + u.bin
	if before != "" {
		setup += "; " + u.emptyBoth
	}
	if err := w.exec(ctx, setup); err != nil {
		return err
	}
	deleted, err := w.apply(ctx, deletes, u.copyKeys, nearbyDelete+u.delete)
	if err != nil {
		return err
	}
	upserted, err := w.apply(ctx, writes, u.copyRows, u.merge)
	if err != nil {
		return err
	}
	w.result.Deleted += deleted
	w.countUpserted(len(writes), upserted)
	return nil
}

func (w *writer) countUpserted(rows int, upserted int64) {
	if w.target.upsert.keysOnly {
		w.result.Rows += upserted // a key that is there is passed over, which nobody suppressed
		return
	}
	w.sent(rows, upserted)
}

func isDelete(it item) bool { return it.op == transform.Delete }

// nearbyDelete keeps the planner, which knows nothing of the temporary table's size, from scanning the whole target:
// the key has a unique index, so a nested loop over the few keys is right.
const nearbyDelete = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; "

// apply copies items into a stage and runs the statement that takes them on.
func (w *writer) apply(ctx context.Context, items []item, copySQL, then string) (int64, error) {
	if len(items) == 0 {
		return 0, nil
	}
	if _, err := w.copyIn(ctx, w.copyItems(items), copySQL); err != nil {
		return 0, err
	}
	ctx, cancel := w.store.bounded(ctx)
	defer cancel()
	results, err := w.conn.PgConn().Exec(ctx, then).ReadAll()
	if err != nil {
		return 0, err
	}
	return results[len(results)-1].CommandTag.RowsAffected(), nil
}

// exec runs statements that are ours from the first letter to the last; no value goes this way.
func (w *writer) exec(ctx context.Context, sql string) error {
	ctx, cancel := w.store.bounded(ctx)
	defer cancel()
	_, err := w.conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// lastOfEachKey keeps, for each key, the item of the last record, in place. Items of one key come from one partition as
// a rule; if they come from several, the batch's order decides.
func (w *writer) lastOfEachKey(items []item) []item {
	size := 16
	for size < 2*len(items) {
		size *= 2
	}
	st := &w.store.buf
	if cap(st.slots) < size {
		st.slots = make([]int32, size)
	}
	slots := st.slots[:size]
	clear(slots)
	kept := items[:0]
	for _, it := range items {
		slot := w.slotOf(slots, kept, it)
		if slots[slot] > 0 {
			kept[slots[slot]-1] = it
			continue
		}
		kept = append(kept, it)
		slots[slot] = int32(len(kept))
	}
	return kept
}

// slotOf finds the slot of the item's key in an open hash table of indexes (plus one) into kept.
func (w *writer) slotOf(slots []int32, kept []item, it item) int {
	key := w.keyOf(it)
	mask := len(slots) - 1
	slot := int(maphash.Bytes(keySeed, key)) & mask
	for slots[slot] > 0 && string(w.keyOf(kept[slots[slot]-1])) != string(key) {
		slot = (slot + 1) & mask
	}
	return slot
}
