package txn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// target is a sink's table as it stands in the database now: the compiled plan and the statements made from it.
type target struct {
	sink  *Sink
	index int

	plan      *transform.Plan // nil: not looked at yet on this connection
	encoder   *transform.Encoder
	copySQL   string
	upsert    *upsertSQL // both nil: append
	aggregate *aggregate
}

// forget makes the next prepare look at the table again: after a new connection, or an error that says the table changed.
func (t *target) forget() { t.plan = nil }

// errNeedSample says that the table is to be made from the first records, and there are none yet.
var errNeedSample = errors.New("the table is made from the first records")

// prepare describes the table, making it first when `create: yes` asks for it and it is missing, and compiles the plan.
// sample is only used to make a table whose columns are not configured.
func (t *target) prepare(ctx context.Context, s *Store, conn *pgx.Conn, sample []*kgo.Record) error {
	if t.plan != nil {
		return nil
	}
	oid, err := lookup(ctx, conn, t.sink.Schema, t.sink.Table)
	if err != nil {
		return err
	}
	if oid == 0 {
		if oid, err = t.create(ctx, s, conn, sample); err != nil {
			return err
		}
	}
	table, err := describeColumns(ctx, conn, oid, t.sink.Schema, t.sink.Table)
	if err != nil {
		return err
	}
	plan, err := transform.Compile(t.sink.Rule, table)
	if err != nil {
		return &Error{Class: Schema, Op: "prepare", Table: t.sink.Name(), Err: err}
	}
	if err := t.checkPrivileges(ctx, conn, oid, plan); err != nil {
		return err
	}
	t.copySQL = "COPY " + t.sink.Name() + " (" + columnList(plan.Columns()) + ") FROM STDIN (FORMAT binary)"
	t.upsert, t.aggregate = nil, nil
	if plan.KeyColumns() > 0 {
		if err := needUnique(ctx, conn, oid, t.sink); err != nil {
			return err
		}
		columns := plan.Columns()
		types, err := arrayTypes(ctx, conn, columns)
		if err != nil {
			return err
		}
		if plan.Folds() != nil {
			t.aggregate = newAggregate(t.sink, plan, types)
		} else {
			t.upsert = newUpsertSQL(t.sink, t.index, plan)
			t.upsert.copyNew = newCopyNew(t.sink, columns[:plan.KeyColumns()], types[:plan.KeyColumns()], t.copySQL)
		}
	}
	for _, c := range plan.LeftToPostgres() {
		s.cfg.Log.Info("column is left to its default; list it under columns: to load it from the records", "table", t.sink.Name(), "column", c)
	}
	t.plan, t.encoder = plan, plan.NewEncoder()
	return nil
}

// create makes the table in a transaction of its own: DDL never shares the data's transaction, so a record that can not
// be written does not take the table with it.
func (t *target) create(ctx context.Context, s *Store, conn *pgx.Conn, sample []*kgo.Record) (oid uint32, err error) {
	if !t.sink.Create {
		return 0, &Error{Class: Schema, Op: "prepare", Table: t.sink.Name(), Err: errors.New("the table does not exist"), Hint: "create it, or set `create: yes` for the sink"}
	}
	rule := t.sink.Rule
	if len(rule.Columns) == 0 {
		if len(sample) == 0 {
			return 0, errNeedSample
		}
		if rule.Columns, err = transform.Infer(sample); err != nil {
			return 0, &Error{Class: Schema, Op: "create", Table: t.sink.Name(), Err: err, Hint: "create the table by hand, or list its columns with their types"}
		}
	}
	declared, err := rule.Declared(t.sink.Schema, t.sink.Table)
	if err != nil {
		return 0, &Error{Class: Schema, Op: "create", Table: t.sink.Name(), Err: err}
	}
	ddl := createSQL(declared, rule.Key, len(rule.Folds) > 0)
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// Two workers may find the table missing at once; the second waits here and then finds it there.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "sinker create "+t.sink.Name()); err != nil {
			return err
		}
		if oid, err = lookup(ctx, conn, t.sink.Schema, t.sink.Table); err != nil || oid != 0 {
			return err
		}
		if _, err := tx.Exec(ctx, ddl); err != nil {
			return err
		}
		oid, err = lookup(ctx, conn, t.sink.Schema, t.sink.Table)
		return err
	})
	if err == nil {
		s.cfg.Log.Info("made the table", "table", t.sink.Name(), "sql", ddl)
	}
	return oid, err
}

// createSQL is the statement `create: yes` runs.
func createSQL(t transform.Table, key []string, aggregates bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (", qualified(t.Schema, t.Name))
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s", quote(c.Name), c.Type)
		if c.NotNull {
			b.WriteString(" NOT NULL")
		}
	}
	if len(key) > 0 {
		fmt.Fprintf(&b, ", PRIMARY KEY (%s)", quoteAll(key))
	}
	b.WriteString(")")
	if aggregates {
		b.WriteString(" WITH (fillfactor = 50)") // rows that are updated all the time: their new versions find room beside them
	}
	return b.String()
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, ", ")
}

func columnList(columns []transform.TableColumn) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return quoteAll(names)
}

// checkPrivileges asks Postgres whether this user may do what the sink's mode does, so that a missing grant is an error
// at the start and not at the first record.
func (t *target) checkPrivileges(ctx context.Context, conn *pgx.Conn, oid uint32, plan *transform.Plan) error {
	need := []string{"INSERT"}
	if plan.KeyColumns() > 0 {
		need = append(need, "UPDATE", "SELECT")
	}
	if t.sink.Rule.Tombstones {
		need = append(need, "DELETE")
	}
	for _, p := range need {
		var ok bool
		// DELETE is a privilege of tables only; the others may be granted by column.
		sql := `SELECT has_table_privilege($1::oid, $2) OR has_any_column_privilege($1::oid, $2)`
		if p == "DELETE" {
			sql = `SELECT has_table_privilege($1::oid, $2)`
		}
		if err := conn.QueryRow(ctx, sql, oid, p).Scan(&ok); err != nil {
			return err
		}
		if !ok {
			return &Error{Class: Schema, Op: "prepare", Table: t.sink.Name(), Err: fmt.Errorf("user %s has no %s privilege", conn.Config().User, p),
				Hint: fmt.Sprintf("GRANT %s ON %s TO %s", p, t.sink.Name(), quote(conn.Config().User))}
		}
	}
	return nil
}

const uniqueIndexes = `
SELECT array_agg(a.attname::text ORDER BY a.attname)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate
  AND i.indnkeyatts = i.indnatts
GROUP BY i.indexrelid`

// needUnique checks that a unique index stands on exactly the key: ON CONFLICT needs one.
func needUnique(ctx context.Context, conn *pgx.Conn, oid uint32, sink *Sink) error {
	rows, err := conn.Query(ctx, uniqueIndexes, oid)
	if err != nil {
		return err
	}
	indexes, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	if err != nil {
		return err
	}
	want := slices.SortedFunc(slices.Values(sink.Rule.Key), cmp.Compare[string])
	for _, index := range indexes {
		slices.Sort(index)
		if slices.Equal(index, want) {
			return nil
		}
	}
	what := "key"
	if len(sink.Rule.Folds) > 0 {
		what = "group"
	}
	return &Error{Class: Schema, Op: "prepare", Table: sink.Name(), Err: fmt.Errorf("no unique index on its %s (%s)", what, strings.Join(sink.Rule.Key, ", ")),
		Hint: fmt.Sprintf("CREATE UNIQUE INDEX ON %s (%s)", sink.Name(), quoteAll(sink.Rule.Key))}
}
