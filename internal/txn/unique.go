package txn

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// uniqueIndex is a unique index of a table, and what may keep ON CONFLICT from it.
type uniqueIndex struct {
	Name       string
	Constraint string   // the name of its constraint, if it is one's
	Columns    []string // sorted; of the key only, not of INCLUDE; "" for an expression
	Valid      bool
	Partial    bool
	Deferrable bool
	Excludes   bool // WITHOUT OVERLAPS
}

const readUniqueIndexes = `
SELECT x.relname::text, coalesce(c.conname::text, ''),
       ARRAY(SELECT DISTINCT coalesce(a.attname::text, '')
             FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS k (num)
             LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num AND k.num > 0)::text[],
       i.indisvalid, i.indpred IS NOT NULL, NOT i.indimmediate, i.indisexclusion
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
LEFT JOIN pg_catalog.pg_constraint c
       ON c.conindid = i.indexrelid AND c.conrelid = i.indrelid AND c.contype IN ('p', 'u')
WHERE i.indrelid = $1 AND i.indisunique ORDER BY 1`

// needUnique checks that a unique index stands on exactly the key: ON CONFLICT needs one.
func needUnique(ctx context.Context, conn *pgx.Conn, rel *relation, t *target) error {
	rows, err := conn.Query(ctx, readUniqueIndexes, rel.OID)
	if err != nil {
		return err
	}
	indexes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[uniqueIndex])
	if err != nil {
		return err
	}
	want := slices.SortedFunc(slices.Values(t.sink.Rule.Key), cmp.Compare[string])
	near, hint := "", ""
	for _, x := range indexes {
		slices.Sort(x.Columns)
		if !slices.Equal(x.Columns, want) {
			continue
		}
		reason := x.unusable()
		if reason == "" {
			return nil
		}
		near = reason
		if hint = ""; !x.Valid && rel.Kind == "r" {
			hint = "REINDEX INDEX " + qualified(t.sink.Schema, x.Name)
		}
	}
	return refuseKey(rel, t, near, hint)
}

// unusable says why Postgres does not take the index for ON CONFLICT (columns), or nothing.
func (x *uniqueIndex) unusable() string {
	what := "index " + x.Name
	if x.Constraint != "" {
		what = "constraint " + x.Constraint
	}
	switch {
	case x.Deferrable:
		return what + " is DEFERRABLE"
	case x.Partial:
		return what + " is partial (it has a WHERE)"
	case x.Excludes:
		return what + " is WITHOUT OVERLAPS"
	case !x.Valid:
		return what + " is not valid: it was not built to the end, or not every partition has it"
	}
	return ""
}

// refuseKey says that no index fits, and which one would. near says what keeps one that is on the
// key from it.
func refuseKey(rel *relation, t *target, near, hint string) error {
	sink, what, key := t.sink, t.mode.traits().word, t.sink.Rule.Key
	problem := fmt.Sprintf("no unique index on its %s (%s)", what, strings.Join(key, ", "))
	if near != "" {
		problem += " that ON CONFLICT can use: " + near
	}
	missing := slices.DeleteFunc(slices.Clone(rel.Partitioned), func(c string) bool { return slices.Contains(key, c) })
	switch {
	case slices.Contains(missing, ""):
		return unfit(sink, "unique_partitioned", "append to it, or partition it by columns of its "+what,
			"%s, and there can be none: it is partitioned by an expression", problem)
	case len(missing) > 0:
		wider := append(slices.Clone(key), missing...)
		hint := fmt.Sprintf("`%s: [%s]` and CREATE UNIQUE INDEX ON %s (%s)",
			what, strings.Join(wider, ", "), sink.Name(), quoteAll(wider))
		return unfit(sink, "unique_partitioned", hint,
			"%s, and there can be none: it is partitioned by %s, which every unique index must have",
			problem, strings.Join(missing, ", "))
	}
	if hint == "" {
		hint = fmt.Sprintf("CREATE UNIQUE INDEX ON %s (%s)", sink.Name(), quoteAll(key))
	}
	return unfit(sink, "unique", hint, "%s", problem)
}
