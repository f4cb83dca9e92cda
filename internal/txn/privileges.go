package txn

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sinker/internal/record"
	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
)

const missingPrivileges = `
SELECT DISTINCT w.privilege FROM unnest($2::text[], $3::text[]) AS w (privilege, attname)
WHERE NOT CASE WHEN w.privilege = 'DELETE' THEN has_table_privilege($1::oid, w.privilege)
               ELSE has_column_privilege($1::oid, w.attname, w.privilege) END
ORDER BY 1`

// checkPrivileges asks Postgres whether this user may do what the sink's mode does to the plan's
// columns, so that a missing grant is an error at the start and not at the first record.
func (t *target) checkPrivileges(ctx context.Context, conn *pgx.Conn, oid uint32, plan *transform.Plan) error {
	var privileges, columns []string
	for _, p := range t.mode.traits().privileges {
		for _, c := range p.on.pick(plan) {
			privileges, columns = append(privileges, p.verb), append(columns, c.Name)
		}
	}
	rows, err := conn.Query(ctx, missingPrivileges, oid, privileges, columns)
	if err != nil {
		return err
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	user := conn.Config().User
	if len(missing) > 0 {
		grants := strings.Join(missing, ", ")
		return unfit(t.sink, "privilege", fmt.Sprintf("GRANT %s ON %s TO %s", grants, t.sink.Name(), quote(user)),
			"user %s has no %s privilege on its columns", user, grants)
	}
	return t.checkSequences(ctx, conn, oid, plan.Columns())
}

// closedSequences are those that the defaults of columns draw from and this user may not use.
// Identity columns need no privilege.
const closedSequences = `
SELECT a.attname::text, quote_ident(n.nspname) || '.' || quote_ident(s.relname)
FROM pg_catalog.pg_attrdef d
JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
JOIN pg_catalog.pg_depend p
  ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass
JOIN pg_catalog.pg_class s ON s.oid = p.refobjid AND s.relkind = 'S'
JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
WHERE d.adrelid = $1 AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(s.oid, 'USAGE, UPDATE'))`

// checkSequences refuses a column that is not written, whose default is always computed, and notes
// those whose default is computed where a record lacks the field.
func (t *target) checkSequences(
	ctx context.Context, conn *pgx.Conn, oid uint32, written []transform.TableColumn,
) error {
	rows, err := conn.Query(ctx, closedSequences, oid)
	if err != nil {
		return err
	}
	var column, sequence string
	var refused error
	t.closed = nil
	_, err = pgx.ForEachRow(rows, []any{&column, &sequence}, func() error {
		user := conn.Config().User
		err := unfit(t.sink, "privilege", fmt.Sprintf("GRANT USAGE ON SEQUENCE %s TO %s", sequence, quote(user)),
			"user %s may not draw numbers for column %s", user, column)
		if hasColumn(written, column) {
			t.closed = append(t.closed, closedColumn{column, err})
		} else {
			refused = err
		}
		return nil
	})
	if err != nil {
		return err
	}
	return refused
}

// closedColumn is a column whose default draws from a sequence that this user may not use.
type closedColumn struct {
	column string
	err    error
}

// draws returns why records of the sample would hold up their partition: they lack a field whose
// default may not be computed.
func (t *target) draws(plan *transform.Plan, records []*record.Record) error {
	if len(t.closed) == 0 {
		return nil
	}
	encoder := plan.NewEncoder(t.format)
	for r := range t.sink.Rule.Unwrap(t.name, slices.Values(records)) {
		_, op, err := encoder.Append(nil, r)
		if err != nil || op != transform.Write {
			continue
		}
		for _, c := range t.closed {
			if !hasColumn(encoder.ColumnsOf(encoder.Shape()), c.column) {
				return c.err
			}
		}
	}
	return nil
}

func hasColumn(columns []transform.TableColumn, name string) bool {
	return slices.ContainsFunc(columns, func(c transform.TableColumn) bool { return c.Name == name })
}

const mayCreate = `
SELECT coalesce((SELECT CASE WHEN NOT has_schema_privilege(n.oid, 'CREATE') THEN 'CREATE'
                             WHEN NOT has_schema_privilege(n.oid, 'USAGE') THEN 'USAGE' ELSE '' END
                 FROM pg_catalog.pg_namespace n WHERE n.nspname = $1), 'missing')`

// refuseCreate returns why the sink's table cannot be made, or nil.
func refuseCreate(ctx context.Context, conn *pgx.Conn, sink *Sink) error {
	if !sink.Create {
		return unfit(sink, "no_table", "create it, or set `create: yes` for the sink", "the table does not exist")
	}
	if ownSchema(sink.Schema) {
		return unfit(sink, "own_schema", "load into a schema of your own",
			"schema %s holds tables of sinker's or Postgres' own", sink.Schema)
	}
	var missing string
	if err := conn.QueryRow(ctx, mayCreate, sink.Schema).Scan(&missing); err != nil {
		return err
	}
	user := conn.Config().User
	switch missing {
	case "":
		return nil
	case "missing":
		return unfit(sink, "no_schema", fmt.Sprintf("CREATE SCHEMA %s", quote(sink.Schema)),
			"schema %q does not exist", sink.Schema)
	}
	hint := fmt.Sprintf("GRANT USAGE, CREATE ON SCHEMA %s TO %s; or create the table", quote(sink.Schema), quote(user))
	return unfit(sink, "privilege", hint,
		"user %s has no %s privilege on schema %s, in which `create: yes` would make the table", user, missing, sink.Schema)
}
