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

	"github.com/jackc/pgx/v5"
)

// upsert is the mode in which the last record of each key is the key's row. Unless copyNew can take
// them, the rows go by COPY into a temporary table that is emptied at the end of the transaction,
// and from there by one INSERT … ON CONFLICT into the target.
type upsert struct {
	deletes bool   // records with a null value delete rows
	rows    string // the stage's name

	stage     string // CREATE TEMP TABLE IF NOT EXISTS for the rows
	bin       string // the same for the keys to delete
	copyKeys  string
	delete    string
	emptyBoth string
	looseKey  bool // keys may be equal to Postgres that are not equal as bytes
	copyNew   *copyNew
	merges    []*mergeSQL // by shape of:
	encoder   *transform.Encoder
	small     *smallUpsert // nil: small batches go the way of others
}

func newUpsert(rule *transform.Rule) mode { return &upsert{deletes: rule.Tombstones} }

func (u *upsert) traits() traits {
	t := traits{name: transform.ModeUpsert, word: "key", stages: true, deletes: u.deletes,
		privileges: []privilege{{"INSERT", allColumns}, {"SELECT", allColumns}, {"UPDATE", restColumns}},
		uncounted: "keeps only the last record of each key: its rows cannot be counted back " +
			"(those of an append sink with meta: [partition, offset] can)"}
	if u.deletes {
		t.privileges = append(t.privileges, privilege{"DELETE", wholeTable})
	}
	return t
}

func (u *upsert) prepare(ctx context.Context, conn *pgx.Conn, t *target, rel *relation, plan *transform.Plan) error {
	if err := needUnique(ctx, conn, rel, t); err != nil {
		return err
	}
	types, err := arrayTypes(ctx, conn, plan.Columns())
	if err != nil {
		return err
	}
	u.statements(t, plan)
	keys := plan.KeyColumns()
	u.copyNew = newCopyNew(t.sink, plan.Columns()[:keys], types[:keys])
	u.small = newSmallUpsert(t.sink, plan.Columns(), keys, types)
	u.looseKey, err = hasLooseKey(ctx, conn, rel.OID, t.sink.Rule.Key)
	return err
}

// mergeSQL is the way of rows of one shape: into the stage, and from there into the table.
type mergeSQL struct {
	copyRows, merge string
	keysOnly        bool // ON CONFLICT DO NOTHING: there is nothing to update
}

// statements makes what is the same for rows of all shapes.
func (u *upsert) statements(t *target, plan *transform.Plan) {
	columns := plan.Columns()
	keys := columns[:plan.KeyColumns()]
	// The name holds the columns, so that a table that was altered gets a new stage instead of an
	// old one's shape.
	table, tag := t.sink.Name(), shapeTag(t.sink.Name(), columns)
	stage := fmt.Sprintf("pg_temp.sinker_rows_%d_%s", t.index, tag)
	bin := fmt.Sprintf("pg_temp.sinker_keys_%d_%s", t.index, tag)
	temp := "CREATE TEMP TABLE IF NOT EXISTS %s ON COMMIT DELETE ROWS AS SELECT %s FROM %s WITH NO DATA"
	*u = upsert{
		deletes:   u.deletes,
		rows:      stage,
		stage:     fmt.Sprintf(temp, stage, columnList(columns), table),
		bin:       fmt.Sprintf(temp, bin, columnList(keys), table),
		copyKeys:  copyInto(bin, keys),
		emptyBoth: fmt.Sprintf("TRUNCATE %s, %s", stage, bin),
	}
	match := make([]string, len(keys))
	for i, c := range keys {
		match[i] = "t." + quote(c.Name) + " = k." + quote(c.Name)
	}
	u.delete = fmt.Sprintf("DELETE FROM %s t USING %s k WHERE %s", table, bin, strings.Join(match, " AND "))
}

// mergeOf returns the statements for rows of a shape. Another encoder gives the same numbers to other shapes.
func (u *upsert) mergeOf(t *target, s transform.Shape) *mergeSQL {
	if u.encoder != t.encoder {
		u.encoder, u.merges = t.encoder, nil
	}
	for int(s) >= len(u.merges) {
		u.merges = append(u.merges, nil)
	}
	m := &u.merges[s]
	if *m == nil {
		*m = u.newMerge(t.sink, t.encoder.ColumnsOf(s), t.plan.KeyColumns())
	}
	return *m
}

// newMerge makes the statements for rows that have the columns.
func (u *upsert) newMerge(sink *Sink, columns []transform.TableColumn, keys int) *mergeSQL {
	return &mergeSQL{
		copyRows: copyInto(u.rows, columns),
		keysOnly: len(columns) == keys,
		merge:    mergeFrom(sink, columns, keys, fmt.Sprintf("SELECT %s FROM %s", columnList(columns), u.rows)),
	}
}

// mergeFrom merges the rows of a query that gives the columns. In a row that is there already the columns that are
// lacking stay as they are.
func mergeFrom(sink *Sink, columns []transform.TableColumn, keys int, query string) string {
	action := "DO NOTHING"
	if rest := columns[keys:]; len(rest) > 0 {
		sets := make([]string, len(rest))
		for i, c := range rest {
			sets[i] = quote(c.Name) + " = excluded." + quote(c.Name)
		}
		action = "DO UPDATE SET " + strings.Join(sets, ", ")
	}
	return fmt.Sprintf("INSERT INTO %s (%s)%s %s ON CONFLICT (%s) %s",
		sink.Name(), columnList(columns), overriding(columns), query, columnList(columns[:keys]), action)
}

// overriding lets an INSERT give values to GENERATED ALWAYS AS IDENTITY, as COPY does without a word.
func overriding(columns []transform.TableColumn) string {
	if slices.ContainsFunc(columns, func(c transform.TableColumn) bool { return c.Identity }) {
		return " OVERRIDING SYSTEM VALUE"
	}
	return ""
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

// merging is one attempt at an upsert.
type merging struct {
	*writer
	u *upsert
}

func (u *upsert) write(ctx context.Context, w *writer) error {
	m, items := merging{w, u}, w.collect()
	switch {
	case len(items) == 0:
		return nil
	case !w.careful:
		return m.merge(ctx, items)
	case m.loose(items) || isSeveral(items):
		return w.sift(ctx, items, m.mergeInOrder)
	}
	all := slices.Clone(items)
	return m.mergeCarefully(ctx, m.inKeyOrder(items), all)
}

func (u *upsert) apply(ctx context.Context, w *writer, before string, items []item) error {
	m := merging{w, u}
	if before != "" || w.careful {
		return m.mergeInOrder(ctx, before, items)
	}
	return m.merge(ctx, items)
}

// merge upserts: the last record of each key in the batch wins, in key order, so that two workers
// that meet on the same rows lock them in the same order and cannot deadlock.
func (w merging) merge(ctx context.Context, items []item) error {
	if w.loose(items) {
		return w.mergeInOrder(ctx, "", items)
	}
	return w.mergeItems(ctx, "", w.inKeyOrder(items))
}

// loose says whether items may meet by more than the bytes of their keys, and would not all be
// written by one statement.
func (w merging) loose(items []item) bool {
	return w.u.looseKey && (isMixed(items) || haveShapes(items))
}

// inKeyOrder keeps the last item of each key, in place.
func (w merging) inKeyOrder(items []item) []item {
	items = w.lastOfEachKey(items)
	slices.SortFunc(items, w.compareKeys)
	return items
}

// mergeItems stages and merges items that have a key once each.
func (w merging) mergeItems(ctx context.Context, before string, items []item) error {
	u := w.u
	deletes, writes := splitDeletes(items)
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
	deleted, err := w.pass(ctx, deletes, u.copyKeys, nearbyDelete+u.delete)
	if err != nil {
		return err
	}
	counted := w.result
	if err := w.mergeWrites(ctx, writes); err != nil {
		w.result = counted
		return err
	}
	w.result.Deleted += deleted
	return nil
}

// splitDeletes parts items of different keys into the deletions, also those that go before a row of their key, and
// the rows.
func splitDeletes(items []item) (deletes, writes []item) {
	if !slices.ContainsFunc(items, func(it item) bool { return isDelete(it) || it.delTo > 0 }) {
		return nil, items
	}
	for _, it := range items {
		if it.delTo > 0 {
			deletes = append(deletes, it.deletion())
		}
		if isDelete(it) {
			deletes = append(deletes, it)
		} else {
			writes = append(writes, it)
		}
	}
	return deletes, writes
}

// mergeWrites stages and merges rows, those of each shape by themselves and in the order of their
// keys. Two workers that meet on rows of several shapes may lock them in different orders: Postgres
// ends one of the transactions then, and its batch is tried again.
func (w merging) mergeWrites(ctx context.Context, items []item) error {
	for i, group := range byShape(items) {
		if i > 0 {
			if err := w.exec(ctx, w.u.emptyBoth); err != nil {
				return err
			}
		}
		if err := w.mergeShape(ctx, group); err != nil {
			return err
		}
	}
	return nil
}

// mergeShape stages and merges rows of one shape, in their order.
func (w merging) mergeShape(ctx context.Context, items []item) error {
	m := w.u.mergeOf(w.target, items[0].shape)
	rows, err := w.pass(ctx, items, m.copyRows, m.merge)
	if err != nil {
		return err
	}
	w.merged(m, len(items), rows)
	return nil
}

// merged notes how many rows a merge was given, and how many Postgres says it wrote.
func (w merging) merged(m *mergeSQL, rows int, affected int64) {
	if m.keysOnly {
		w.result.Rows += affected // a key that is there is passed over, which nobody suppressed
	} else {
		w.sent(rows, affected)
	}
}

func isDelete(it item) bool { return it.op == transform.Delete }

// nearbyDelete keeps the planner, which knows nothing of the temporary table's size, from scanning
// the whole target: the key has a unique index, so a nested loop over the few keys is right.
const nearbyDelete = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; "

// pass copies items into a stage and runs the statement that takes them on.
func (w *writer) pass(ctx context.Context, items []item, copySQL, then string) (int64, error) {
	if len(items) == 0 {
		return 0, nil
	}
	if _, err := w.copyIn(ctx, w.copyItems(items), copySQL); err != nil {
		return 0, &copyError{err, items}
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

// lastOfEachKey keeps, for each key, the item of the last record, in place. Items of one key come
// from one partition as a rule; if they come from several, the batch's order decides.
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
			kept[slots[slot]-1] = w.after(kept[slots[slot]-1], it)
			continue
		}
		kept = append(kept, it)
		slots[slot] = int32(len(kept))
	}
	return kept
}

// after is the one item that has the effect of two of one key, the older one first.
func (w *writer) after(older, newer item) item {
	if newer.op == transform.Delete || newer.shape == 0 {
		return newer
	}
	if newer.delFrom, newer.delTo = older.delFrom, older.delTo; older.op == transform.Delete {
		newer.delFrom, newer.delTo = older.from, older.to
		return newer
	}
	st := &w.store.buf
	from := len(st.rows)
	var ok bool
	st.rows, newer.shape, ok = w.target.encoder.Fill(st.rows,
		st.rows[newer.from:newer.to], newer.shape, st.rows[older.from:older.to], older.shape)
	if newer.filled = ok || older.filled; ok {
		newer.from, newer.to = from, len(st.rows)
	}
	return newer
}

// deletion is the deletion that goes before an item.
func (it item) deletion() item {
	return item{at: it.at, from: it.delFrom, to: it.delTo, op: transform.Delete}
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
