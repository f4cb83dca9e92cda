package txn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sinker/internal/record"

	"github.com/jackc/pgx/v5"
)

// relation is what stands under a sink's name in the database, as one query reads it.
type relation struct {
	OID         uint32
	Kind        string // pg_class.relkind
	Temporary   bool
	RowSecurity bool     // policies hold for this user
	Unpoliced   []string // what no policy lets this user do, of INSERT, SELECT and UPDATE
	Rules       []string // on INSERT or UPDATE: the event's number, + or - for whether it fires, and the name
	InsteadOf   bool     // an INSTEAD OF INSERT trigger
	MayUse      bool     // USAGE on its schema
	MayTemp     bool     // TEMP on the database
	Database    string
	Unlogged    bool // the table, or a partition of it
	Offsets     bool // sinker.offsets is unlogged too
	Partitions  int
	Foreign     string   // a partition that is a foreign table
	Partitioned []string // the columns of the partition keys, of all levels; "" stands for an expression
	Children    bool     // tables inherit from it
}

// readRelation finds a relation of any kind by its name. Partitioned tables are looked at with all
// their partitions.
const readRelation = `
SELECT c.oid, c.relkind::text, c.relpersistence = 't', row_security_active(c.oid),
       ARRAY(SELECT w.command FROM (VALUES ('a', 'INSERT'), ('r', 'SELECT'), ('w', 'UPDATE')) AS w (letter, command)
             WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_policy y
                               WHERE y.polrelid = c.oid AND y.polpermissive AND y.polcmd::text IN (w.letter, '*')
                               AND EXISTS (SELECT FROM unnest(y.polroles) AS m (role)
                                           WHERE m.role = 0 OR pg_has_role(m.role, 'USAGE')))),
       ARRAY(SELECT r.ev_type::text || CASE WHEN r.ev_enabled::text IN
                    ('A', CASE current_setting('session_replication_role') WHEN 'replica' THEN 'R' ELSE 'O' END)
                    THEN '+' ELSE '-' END || r.rulename
             FROM pg_catalog.pg_rewrite r
             WHERE r.ev_class = c.oid AND r.ev_type IN ('2', '3') ORDER BY r.rulename)::text[],
       EXISTS (SELECT FROM pg_catalog.pg_trigger g
               WHERE g.tgrelid = c.oid AND g.tgtype & 64 <> 0 AND g.tgtype & 4 <> 0),
       has_schema_privilege(n.oid, 'USAGE'), has_database_privilege(current_database(), 'TEMP'),
       current_database()::text,
       c.relpersistence = 'u' OR coalesce(p.unlogged, false),
       coalesce((SELECT o.relpersistence = 'u' FROM pg_catalog.pg_class o
                 WHERE o.oid = to_regclass('sinker.offsets')), false),
       coalesce(p.leaves, 0), coalesce(p.far, ''), coalesce(p.columns, '{}'),
       c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE t.isleaf) AS leaves, bool_or(l.relpersistence = 'u') AS unlogged,
           min(l.oid::regclass::text) FILTER (WHERE l.relkind = 'f') AS far,
           array_agg(DISTINCT coalesce(a.attname::text, '')) FILTER (WHERE k.num IS NOT NULL) AS columns
    FROM pg_partition_tree(c.oid) t JOIN pg_catalog.pg_class l ON l.oid = t.relid
    LEFT JOIN pg_catalog.pg_partitioned_table s ON s.partrelid = l.oid
    LEFT JOIN LATERAL unnest(s.partattrs::int2[]) AS k (num) ON true
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = l.oid AND a.attnum = k.num AND k.num > 0
) p ON c.relkind = 'p'
WHERE n.nspname = $1 AND c.relname = $2`

// readRelationOf returns nil when nothing has the sink's name.
func readRelationOf(ctx context.Context, conn *pgx.Conn, sink *Sink) (*relation, error) {
	rows, err := conn.Query(ctx, readRelation, sink.Schema, sink.Table)
	if err != nil {
		return nil, err
	}
	r, err := pgx.CollectOneRow(rows, pgx.RowToAddrOfStructByPos[relation])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return r, err
}

// unfit is a relation that cannot be served as it stands. Nothing was written.
func unfit(sink *Sink, code, hint, format string, args ...any) *Error {
	return &Error{Class: Schema, Step: record.StepPrepare, Table: sink.Name(), Code: code,
		Err: fmt.Errorf(format, args...), Hint: hint}
}

// otherKinds are the relations that take no rows of anybody's, by relkind.
var otherKinds = map[string]string{
	"m": "a materialized view", "S": "a sequence", "i": "an index", "I": "an index",
	"c": "a composite type", "t": "a TOAST table",
}

// ownSchema says whether a schema belongs to sinker or to Postgres itself.
func ownSchema(schema string) bool {
	return slices.Contains([]string{"sinker", "pg_catalog", "information_schema", "pg_toast"}, schema) ||
		strings.HasPrefix(schema, "pg_temp")
}

// refuse returns why the relation cannot be served, or nil.
func (r *relation) refuse(t *target, user string) error {
	sink, mode := t.sink, t.mode.traits()
	name := sink.Name()
	if err := r.refuseKind(sink, &mode); err != nil {
		return err
	}
	switch {
	case !r.MayUse:
		return unfit(sink, "privilege", fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s", quote(sink.Schema), quote(user)),
			"user %s has no USAGE privilege on schema %s", user, sink.Schema)
	case r.Foreign != "":
		return unfit(sink, "foreign", "load into a table of this database, and copy or attach it from there",
			"its partition %s is a foreign table, whose server commits apart from the offsets: "+
				"rows could be lost or doubled", r.Foreign)
	case r.Kind == "p" && r.Partitions == 0:
		return unfit(sink, "no_partitions", fmt.Sprintf("CREATE TABLE … PARTITION OF %s …", name),
			"it is partitioned and has no partition, so it takes no row")
	}
	if err := cmp.Or(r.refuseRules(sink, &mode), r.refusePolicies(sink, &mode, user)); err != nil {
		return err
	}
	if mode.stages && !r.MayTemp {
		return unfit(sink, "temp", fmt.Sprintf("GRANT TEMPORARY ON DATABASE %s TO %s", quote(r.Database), quote(user)),
			"user %s may not make temporary tables in database %s, and mode %s needs them", user, r.Database, mode.name)
	}
	return nil
}

// refuseKind returns why nothing of the relation's kind can be served.
func (r *relation) refuseKind(sink *Sink, mode *traits) error {
	switch {
	case ownSchema(sink.Schema) && !r.Temporary:
		return unfit(sink, "own_schema", "load into a schema of your own",
			"schema %s holds tables of sinker's or Postgres' own", sink.Schema)
	case r.Temporary:
		return unfit(sink, "temporary", "load into a permanent table",
			"it is a temporary table: its rows go with the session, the offsets stay")
	case otherKinds[r.Kind] != "":
		hint := "correct `table:`"
		if r.Kind == "m" {
			hint = "load into a table, and let REFRESH MATERIALIZED VIEW read from it"
		}
		return unfit(sink, "kind", hint, "it is %s, which takes no rows", otherKinds[r.Kind])
	case r.Kind == "f":
		return unfit(sink, "foreign",
			"run sinker against the database that holds the table, or load into a table of this one",
			"it is a foreign table, whose server commits apart from the offsets: rows could be lost or doubled")
	case r.Kind == "v" && mode.word != "":
		return unfit(sink, "view", "load into the table under it", "it is a view, which has no unique index to upsert by")
	case r.Kind == "v" && mode.copies && !r.InsteadOf:
		return unfit(sink, "view", "load into the table under it, or give the view an INSTEAD OF INSERT trigger",
			"it is a view without an INSTEAD OF INSERT trigger, into which COPY is refused")
	case !slices.Contains([]string{"r", "p", "v"}, r.Kind):
		return unfit(sink, "kind", "load into a table", "it is a relation of kind %q, which sinker does not know", r.Kind)
	}
	return nil
}

// refusePolicies: Postgres refuses COPY where policies hold. An upsert and an aggregate fail where
// they touch a hidden row, which is safe; a deletion passes it over without a word.
func (r *relation) refusePolicies(sink *Sink, mode *traits, user string) error {
	if !r.RowSecurity {
		return nil
	}
	hint := fmt.Sprintf("ALTER ROLE %s BYPASSRLS; or make it the table's owner, without FORCE; "+
		"or ALTER TABLE %s DISABLE ROW LEVEL SECURITY", quote(user), sink.Name())
	switch {
	case mode.copies:
		return unfit(sink, "row_security", hint,
			"row-level security holds for user %s, and Postgres takes no COPY then", user)
	case mode.deletes:
		return unfit(sink, "row_security", hint,
			"row-level security holds for user %s: rows that a policy hides would not be deleted", user)
	case len(r.Unpoliced) > 0:
		return unfit(sink, "row_security", "CREATE POLICY for them; or "+hint,
			"row-level security holds for user %s, and no policy lets it %s", user, strings.Join(r.Unpoliced, ", "))
	}
	return nil
}

// refuseRules: COPY does not run rules, so an append would pass them by; and Postgres refuses ON
// CONFLICT where there is an INSERT rule, or an UPDATE rule, even a disabled one.
func (r *relation) refuseRules(sink *Sink, mode *traits) error {
	for _, rule := range r.Rules {
		insert, fires, rule := rule[0] == '3', rule[1] == '+', rule[2:]
		disable := fmt.Sprintf("use a trigger instead: DROP RULE %s ON %s", quote(rule), sink.Name())
		switch {
		case mode.word != "" && !insert:
			return unfit(sink, "rules", disable, "its rule %s is ON UPDATE, and Postgres takes no ON CONFLICT then", rule)
		case mode.word != "" && fires:
			return unfit(sink, "rules", disable, "its rule %s is ON INSERT, and Postgres takes no ON CONFLICT then", rule)
		case mode.copies && insert && fires:
			return unfit(sink, "rules", disable, "COPY would pass by its rule %s, which is ON INSERT", rule)
		}
	}
	return nil
}

// warnings are what a user should know about a relation that can be served.
func (r *relation) warnings(t *target) (all []string) {
	sink := t.sink
	if r.Unlogged && !r.Offsets {
		all = append(all, fmt.Sprintf("%s is UNLOGGED: a crash of Postgres empties it, the offsets stay, "+
			"and its records are not loaded again. ALTER TABLE … SET LOGGED", sink.Name()))
	}
	if r.Children && t.mode.traits().word != "" {
		all = append(all, fmt.Sprintf("tables inherit from %s: a key that is in one of them is not found, "+
			"and is inserted once more", sink.Name()))
	}
	return all
}
