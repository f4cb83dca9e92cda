package txn

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// An upsert writes the last record of each key, in key order and deletions first. That is the
// result of writing the records one by one, unless rows meet one another by something else than the
// bytes of their keys: a second unique or an exclusion constraint, or keys that are equal to
// Postgres and not as bytes. Then the records are written in log order. Where Postgres refuses the
// last record of a key, the records of that key are: an earlier one may be what has to stay. And
// where Postgres refuses something while rows are put together from several records, all are: a
// field may be a bad record's.

// mergeCarefully sifts the last items of each key. When rows collide, it begins again with all
// items in log order, before any of them is a dead letter: another row of the batch may have made
// room by then, or only have passed through the value.
func (w merging) mergeCarefully(ctx context.Context, items, all []item) error {
	if err := w.exec(ctx, "SAVEPOINT in_key_order"); err != nil {
		return err
	}
	counted := w.result
	s := w.newSift(items, w.mergeItems)
	s.ordered, s.log = true, all
	err := s.run(ctx)
	if err == nil {
		return s.finish(ctx)
	}
	if !collides(err) && !errors.Is(err, errFilled) || w.conn.IsClosed() {
		return err
	}
	w.result = counted
	if err := w.exec(ctx, "ROLLBACK TO SAVEPOINT in_key_order"); err != nil {
		return err
	}
	return w.sift(ctx, all, w.mergeInOrder)
}

// errFilled ends a sift of rows that were put together from several records, once one is refused.
var errFilled = errors.New("rows have fields of several records, and one of the records may be a bad one")

// ofKey returns the items of the log that have the item's key, in log order.
func (s *sift) ofKey(it item) []item {
	if s.byKey == nil {
		s.byKey = map[string][]item{}
		for _, each := range s.log {
			key := string(s.w.keyOf(each))
			s.byKey[key] = append(s.byKey[key], each)
		}
	}
	return s.byKey[string(s.w.keyOf(it))]
}

// refuse notes the item as refused, unless the records of its key have more to say.
func (s *sift) refuse(ctx context.Context, it item, err error) error {
	together := func(it item) bool { return it.filled || it.delTo > 0 }
	partial := func(it item) bool { return it.shape != 0 }
	switch history := s.ofKey(it); {
	case slices.ContainsFunc(s.items, together), len(history) > 1 && slices.ContainsFunc(history, partial):
		return errFilled
	case len(history) > 1:
		return s.tryHistory(ctx, history)
	}
	s.refused = append(s.refused, refused{it.at, []item{it}, err})
	return nil
}

// tryHistory writes the items of one key, of which the last was refused, with the result of log
// order. The newest that passes is the result; what it overwrites does not meet Postgres, as ever.
// Those that are refused are noted.
func (s *sift) tryHistory(ctx context.Context, items []item) error {
	for i := len(items) - 1; i >= 0; i-- {
		s.w.store.buf.tries++
		err := s.apply(ctx, s.before, items[i:i+1])
		switch {
		case err == nil:
			s.before, s.passed = nextSavepoint, true
			return nil
		case !s.w.isRefused(err) || collides(err):
			return err
		default:
			s.before = backToIt
			s.refused = append(s.refused, refused{items[i].at, items[i : i+1], err})
		}
	}
	return nil
}

// collides says whether rows met by something else than the bytes of their keys: a unique or
// exclusion constraint, or a key that one INSERT … ON CONFLICT met twice.
func collides(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && !raised(pe) && (pe.Code == pgerrcode.UniqueViolation ||
		pe.Code == pgerrcode.ExclusionViolation || pe.Code == pgerrcode.CardinalityViolation)
}

// mergeInOrder writes items with the result that one statement for each, in their order, would
// have. Items that follow one another share a statement as long as they have different keys and one
// shape, and all write or all delete: Postgres takes its rows in their order and checks each.
func (w merging) mergeInOrder(ctx context.Context, before string, items []item) error {
	u := w.u
	setup := before + u.stage + "; " + u.bin + "; "
	for len(items) > 0 {
		n := w.runLength(items)
		run := items[:n]
		items = items[n:]
		if err := w.exec(ctx, setup+u.emptyBoth); err != nil {
			return err
		}
		setup = ""
		if isDelete(run[0]) {
			deleted, err := w.pass(ctx, run, u.copyKeys, nearbyDelete+u.delete)
			if err != nil {
				return err
			}
			w.result.Deleted += deleted
			continue
		}
		if err := w.mergeShape(ctx, run); err != nil {
			return err
		}
	}
	return nil
}

// runLength is how many of the first items may share a statement.
func (w merging) runLength(items []item) int {
	seen := map[string]bool{}
	for n, it := range items {
		key := string(w.keyOf(it))
		if seen[key] || isDelete(it) != isDelete(items[0]) || it.shape != items[0].shape {
			return n
		}
		seen[key] = true
	}
	return len(items)
}

// haveShapes says whether items have several shapes, and so would not be merged by one statement.
func haveShapes(items []item) bool {
	return slices.ContainsFunc(items, func(it item) bool { return !isDelete(it) && it.shape != items[0].shape })
}

func isMixed(items []item) bool {
	return slices.ContainsFunc(items, isDelete) && slices.ContainsFunc(items, func(it item) bool { return !isDelete(it) })
}

// looseKey asks whether key columns have a type, or a collation, by which values are equal that
// differ as bytes, and whether a trigger may change the key of a row on its way in. The types
// listed are those whose values are equal as bytes alone.
const looseKey = `
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation
    WHERE a.attrelid = $1 AND a.attname = ANY ($2)
      AND (t.typname <> ALL ('{bool,int2,int4,int8,oid,uuid,text,varchar,bytea,date,timestamp,timestamptz,time,
                               inet,cidr,macaddr}') AND t.typtype <> 'e'
           OR (to_jsonb(c)->>'collisdeterministic')::boolean IS FALSE))
OR EXISTS (
    SELECT FROM pg_catalog.pg_trigger g
    WHERE g.tgrelid = $1 AND NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgtype & 7 = 7)`

func hasLooseKey(ctx context.Context, conn *pgx.Conn, oid uint32, key []string) (loose bool, err error) {
	err = conn.QueryRow(ctx, looseKey, oid, key).Scan(&loose)
	return loose, err
}
