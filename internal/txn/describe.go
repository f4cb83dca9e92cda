package txn

import (
	"context"
	"fmt"

	"sinker/internal/pgbin"
	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
)

const describeTable = `
SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull,
       a.attgenerated <> '' AS generated, a.attidentity = 'a' AS identity,
       a.atthasdef OR a.attidentity <> '' AS has_default,
       format_type(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum`

// lookup finds a relation of any kind without erring when it is not there. oid is 0 then.
func lookup(ctx context.Context, conn *pgx.Conn, schema, table string) (oid uint32, err error) {
	err = conn.QueryRow(ctx, `
SELECT coalesce((SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = $1 AND c.relname = $2), 0)`, schema, table).Scan(&oid)
	return oid, err
}

// describe reads a table's columns as the encoder needs them.
func describeColumns(ctx context.Context, conn *pgx.Conn, oid uint32, schema, table string) (transform.Table, error) {
	t := transform.Table{Schema: schema, Name: table}
	type column struct {
		transform.TableColumn
		typ     uint32
		mod     int32
		display string
	}
	rows, err := conn.Query(ctx, describeTable, oid)
	if err != nil {
		return t, err
	}
	columns, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (c column, err error) {
		err = r.Scan(&c.Name, &c.typ, &c.mod, &c.NotNull, &c.Generated, &c.Identity, &c.HasDefault, &c.display)
		return c, err
	})
	if err != nil {
		return t, err
	}
	for _, c := range columns {
		if c.Type, err = typeOf(ctx, conn, c.typ, c.mod, c.display); err != nil {
			return t, err
		}
		t.Columns = append(t.Columns, c.TableColumn)
	}
	return t, readDefaults(ctx, conn, oid, t.Columns)
}

const describeType = `
SELECT t.typtype::text, t.typbasetype, t.typtypmod, t.typname, t.typcategory::text,
       CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END,
       (SELECT coalesce(array_agg(e.enumlabel ORDER BY e.enumsortorder), '{}')
        FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)::text[]
FROM pg_catalog.pg_type t WHERE t.oid = $1`

// typeOf resolves a type: built-in ones by themselves, domains by the type under them, enums, arrays, and the text
// types of extensions.
func typeOf(ctx context.Context, conn *pgx.Conn, oid uint32, mod int32, display string) (pgbin.Type, error) {
	if t, ok := pgbin.BaseType(oid, mod); ok {
		return t, nil
	}
	var kind, name, category string
	var base, elem uint32
	var baseMod int32
	var labels []string
	err := conn.QueryRow(ctx, describeType, oid).Scan(&kind, &base, &baseMod, &name, &category, &elem, &labels)
	if err != nil {
		return pgbin.Type{}, fmt.Errorf("type %s: %w", display, err)
	}
	switch {
	case kind == "d":
		return typeOf(ctx, conn, base, baseMod, display)
	case kind == "e":
		return pgbin.EnumType(oid, display, labels), nil
	case elem != 0:
		t, err := typeOf(ctx, conn, elem, mod, display)
		t.OID = elem // of an array of a domain too: Postgres compares the element's own type
		return pgbin.ArrayOf(oid, t), err
	case name == "citext":
		return pgbin.TextType(oid, display), nil
	}
	return pgbin.Type{OID: oid, Name: display}, nil
}

// arrayTypes returns the OIDs of the types of arrays of the columns' types: a parameter is given its type by OID,
// because a name depends on the search_path. An array's elements unnest whatever their dimension, so it has none
// here.
func arrayTypes(ctx context.Context, conn *pgx.Conn, columns []transform.TableColumn) ([]uint32, error) {
	types := make([]uint32, len(columns))
	for i, c := range columns {
		if c.Type.Kind == pgbin.Array {
			continue
		}
		if err := conn.QueryRow(ctx, `SELECT typarray FROM pg_catalog.pg_type WHERE oid = $1`,
			c.Type.OID).Scan(&types[i]); err != nil {
			return nil, err
		}
	}
	return types, nil
}
