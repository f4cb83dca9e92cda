package txn

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// columnDefaults lists the defaults of a table's columns, their own or those of their domains, as Postgres prints them.
// The type is the one below all domains, with its modifier and without.
const columnDefaults = `
WITH RECURSIVE d AS (
    SELECT a.attname, a.atttypid AS typ, a.atttypmod AS mod,
           coalesce(pg_catalog.pg_get_expr(def.adbin, def.adrelid), pg_catalog.pg_get_expr(t.typdefaultbin, 0)) AS expr
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_attrdef def ON def.adrelid = a.attrelid AND def.adnum = a.attnum
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
  UNION ALL
    SELECT d.attname, t.typbasetype, t.typtypmod, d.expr
    FROM d JOIN pg_catalog.pg_type t ON t.oid = d.typ AND t.typtype = 'd')
SELECT d.attname, d.expr, pg_catalog.format_type(d.typ, d.mod), pg_catalog.format_type(d.typ, -1)
FROM d JOIN pg_catalog.pg_type t ON t.oid = d.typ AND t.typtype <> 'd'
WHERE d.expr IS NOT NULL`

// columnDefault is the default of a column.
type columnDefault struct {
	column      string
	expr        string
	typ, anyLen string // of the column, with its modifier and without

	constant bool
	value    []byte // of a constant, in binary; nil: NULL
}

const (
	// printExactly makes what pg_get_expr prints the same value when it is read again.
	printExactly = `SET LOCAL search_path = ''; SET LOCAL DateStyle = ISO; SET LOCAL IntervalStyle = postgres; ` +
		`SET LOCAL TimeZone = UTC; SET LOCAL extra_float_digits = 3; SET LOCAL transaction_read_only = on; `
	mostAsked = 500 // defaults of one query, which has two columns for each
)

// readDefaults fills in what the columns' defaults are. A default that cannot change is evaluated, once and for all;
// one that can change, or that Postgres cannot store, stays to be computed by Postgres (HasDefault without Default).
// Whatever a function in a default does, nothing is written: the transaction is read-only and rolled back.
func readDefaults(ctx context.Context, conn *pgx.Conn, oid uint32, columns []transform.TableColumn) (err error) {
	begin, end := beginPatiently(conn, ""), "ROLLBACK"
	if conn.PgConn().TxStatus() != 'I' {
		begin, end = "SAVEPOINT defaults; ", "ROLLBACK TO SAVEPOINT defaults; RELEASE SAVEPOINT defaults"
	}
	if err := run(ctx, conn, begin+printExactly); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, run(ctx, conn, end)) }()
	rows, err := conn.Query(ctx, columnDefaults, oid)
	if err != nil {
		return err
	}
	defaults, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (d columnDefault, err error) {
		err = r.Scan(&d.column, &d.expr, &d.typ, &d.anyLen)
		return d, err
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(defaults, mostAsked) {
		if err := evaluate(ctx, conn, some); err != nil {
			return err
		}
	}
	for _, d := range defaults {
		i := slices.IndexFunc(columns, func(c transform.TableColumn) bool { return c.Name == d.column })
		columns[i].HasDefault = !d.constant || d.value != nil // NULL is what a column has without a default
		columns[i].Default = d.value
	}
	return nil
}

// evaluate finds the constants among the defaults, all at once; if Postgres cannot evaluate one of them, one by one.
func evaluate(ctx context.Context, conn *pgx.Conn, defaults []columnDefault) error {
	if err := run(ctx, conn, "SAVEPOINT evaluate"); err != nil {
		return err
	}
	err := evaluateAll(ctx, conn, defaults)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return err
	}
	if err := run(ctx, conn, "ROLLBACK TO SAVEPOINT evaluate"); err != nil || len(defaults) == 1 {
		return err
	}
	for i := range defaults {
		if err := evaluate(ctx, conn, defaults[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func evaluateAll(ctx context.Context, conn *pgx.Conn, defaults []columnDefault) error {
	constant, err := areConstant(ctx, conn, defaults)
	if err != nil || !slices.Contains(constant, true) {
		return err
	}
	var asked []*columnDefault
	var list []string
	for i := range defaults {
		if d := &defaults[i]; constant[i] {
			asked = append(asked, d)
			list = append(list, fmt.Sprintf("(%s)::%s, (%s)::%s", d.expr, d.typ, d.expr, d.anyLen))
		}
	}
	// pgx would ask for text in some of its modes, whatever formats it is given.
	sql := "SELECT " + strings.Join(list, ", ")
	res := conn.PgConn().ExecParams(ctx, sql, nil, nil, nil, []int16{pgx.BinaryFormatCode}).Read()
	if res.Err != nil {
		return res.Err
	}
	for i, d := range asked {
		if v := res.Rows[0][2*i]; fits(v, res.Rows[0][2*i+1], d.typ) {
			d.constant, d.value = true, v
		}
	}
	return nil
}

// fits says whether the value of a cast, which cuts a text that is too long, is what is stored in the column,
// where that would be an error. Only spaces are cut there.
func fits(cast, whole []byte, typ string) bool {
	if !strings.HasPrefix(typ, "character") { // and varying, and arrays of both
		return true
	}
	if strings.HasSuffix(typ, "]") {
		return bytes.Equal(cast, whole)
	}
	return bytes.Equal(bytes.TrimRight(cast, " "), bytes.TrimRight(whole, " "))
}

// literalExpr matches a constant, as EXPLAIN prints it: 0, '-1'::integer, 'new'::text, true, NULL::"My type".
var literalExpr = regexp.MustCompile(`(?s)^(?:-?[0-9.]+|true|false|NULL|'(?:[^']|'')*')` +
	`(?:::(?:[^'"()]|"(?:[^"]|"")*"|\([-0-9,]+\))+)?$`)

// areConstant asks the planner, which reduces to a literal what does not depend on anything: immutable functions and
// casts of literals. What is left is stable, such as now(), or volatile, such as nextval().
func areConstant(ctx context.Context, conn *pgx.Conn, defaults []columnDefault) ([]bool, error) {
	list := make([]string, len(defaults))
	for i, d := range defaults {
		list[i] = fmt.Sprintf("(%s)::%s", d.expr, d.typ)
	}
	sql := "EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) SELECT " + strings.Join(list, ", ")
	res := conn.PgConn().ExecParams(ctx, sql, nil, nil, nil, nil).Read()
	if res.Err != nil {
		return nil, res.Err
	}
	var plans []struct{ Plan struct{ Output []string } }
	if err := json.Unmarshal(res.Rows[0][0], &plans); err != nil {
		return nil, fmt.Errorf("the plan of the columns' defaults: %w", err)
	}
	if len(plans) != 1 || len(plans[0].Plan.Output) != len(defaults) {
		return nil, fmt.Errorf("the plan of %d defaults has no such output: %s", len(defaults), res.Rows[0][0])
	}
	constant := make([]bool, len(defaults))
	for i, output := range plans[0].Plan.Output {
		constant[i] = literalExpr.MatchString(output)
	}
	return constant, nil
}

// run runs statements that have no values from outside.
func run(ctx context.Context, conn *pgx.Conn, sql string) error {
	_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}
