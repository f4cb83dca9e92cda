package txn

import (
	"context"
	"errors"
	"slices"
	"time"

	"sinker/internal/record"

	"github.com/jackc/pgx/v5"
)

// A plan is made for a table as it stood. COPY in binary form takes the bytes of another type without a word where
// their number is right, so a transaction must not commit rows that were encoded for a table that is another one by
// now. Two marks say so. Both are made of xmin, the transaction that wrote a row of the catalog: every ALTER writes a
// new one.
//
//   - The mark of the columns and indexes, which is cheap, is compared by the server in every transaction, together
//     with the move of the offsets. The COPY holds a lock by then that no ALTER of the columns gets past
//     (TestAlterTable).
//   - The mark of everything that a plan depends on is compared every few seconds, and before a record is given up.

// marks are a table's two marks; "" when there is no table.
type marks struct{ columns, all string }

// columnsMark is a SQL expression: the mark of the columns and indexes of table $1.$2.
const columnsMark = `(SELECT concat_ws(' ', c.oid, c.xmin,
    (SELECT string_agg(a.xmin::text, ' ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0),
    (SELECT string_agg(concat(i.indexrelid, ':', i.xmin), ' ' ORDER BY i.indexrelid)
        FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid))
 FROM pg_catalog.pg_class c WHERE c.relname = $2 AND c.relnamespace = (SELECT n.oid
     FROM pg_catalog.pg_namespace n WHERE n.nspname = $1))`

// readMarks reads both. Of the types only those matter that somebody made: their rows, labels and constraints, and
// those of the types under them.
const readMarks = `
SELECT coalesce(` + columnsMark + `, ''), coalesce((SELECT md5(concat_ws(' ', n.xmin,
    (SELECT string_agg(concat(d.oid, ':', d.xmin), ',' ORDER BY d.oid)
        FROM pg_catalog.pg_attrdef d WHERE d.adrelid = c.oid),
    (SELECT string_agg(concat(k.oid, ':', k.xmin), ',' ORDER BY k.oid)
        FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid),
    (SELECT string_agg(concat(r.oid, ':', r.xmin), ',' ORDER BY r.oid)
        FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid),
    (SELECT string_agg(concat(g.oid, ':', g.xmin), ',' ORDER BY g.oid)
        FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid),
    (SELECT string_agg(concat(y.oid, ':', y.xmin), ',' ORDER BY y.oid)
        FROM pg_catalog.pg_policy y WHERE y.polrelid = c.oid),
    (SELECT string_agg(concat(h.inhrelid, ':', h.xmin), ',' ORDER BY h.inhrelid)
        FROM pg_catalog.pg_inherits h WHERE h.inhparent = c.oid),
    (WITH RECURSIVE types AS (
        SELECT a.atttypid AS oid FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
            AND a.atttypid >= 16384
        UNION
        SELECT u.oid FROM types JOIN pg_catalog.pg_type t ON t.oid = types.oid,
            LATERAL (VALUES (t.typbasetype), (t.typelem)) AS u (oid) WHERE u.oid >= 16384)
     SELECT string_agg(concat_ws(':', t.oid, t.xmin,
                (SELECT string_agg(concat(e.oid, ':', e.xmin), ',' ORDER BY e.oid)
                    FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid),
                (SELECT string_agg(concat(k.oid, ':', k.xmin), ',' ORDER BY k.oid)
                    FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid)), ' ' ORDER BY t.oid)
     FROM types JOIN pg_catalog.pg_type t ON t.oid = types.oid)))
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = $2), '')`

func (t *target) readMarks(ctx context.Context, conn *pgx.Conn) (m marks, err error) {
	err = conn.QueryRow(ctx, readMarks, t.sink.Schema, t.sink.Table).Scan(&m.columns, &m.all)
	return m, err
}

// sameColumns fails, with a division by zero, when the mark of a table's columns is not $3.
const sameColumns = `SELECT 1 / (CASE WHEN ` + columnsMark + ` = $3 THEN 1 ELSE 0 END)`

// lookEvery is how often a table that is written to is looked at for changes that its columns do not show.
const lookEvery = 2 * time.Second

// errChanged says that a table is not as it was when the batch was encoded. Nothing was written.
var errChanged = errors.New("the table was changed")

// lookAtChanges forgets the tables of the batch that are not as they were. Those that were looked at lately are left
// out, unless now says otherwise.
func (s *Store) lookAtChanges(ctx context.Context, conn *pgx.Conn, b Batch, now bool) (changed bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	for ti, t := range s.targets {
		if t.plan == nil || !now && time.Since(t.looked) < lookEvery ||
			!slices.ContainsFunc(b, func(r Range) bool { return s.takes(r.Topic, ti) }) {
			continue
		}
		m, err := t.readMarks(ctx, conn)
		if err != nil {
			return false, wrap(record.StepPrepare, t.sink.Name(), err)
		}
		t.looked = time.Now()
		if m != t.marks {
			s.cfg.Log.Info("table changed; looking at it again", "table", t.sink.Name())
			t.forget()
			changed = true
		}
	}
	return changed, nil
}

// giveUp is asked before records become dead letters or stop a partition: not because of a table that has changed
// since.
func (s *Store) giveUp(ctx context.Context, conn *pgx.Conn, b Batch) error {
	if len(s.buf.letters) == 0 {
		return nil
	}
	changed, err := s.lookAtChanges(ctx, conn, b, true)
	if err == nil && changed {
		err = errChanged
	}
	return err
}
