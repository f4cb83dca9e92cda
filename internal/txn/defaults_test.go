package txn

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"sinker/internal/pgbin"
	"sinker/internal/transform"
)

// constantTypes is what the columns of constantDefaults need in the database.
const constantTypes = `
	CREATE SCHEMA shop;
	CREATE TYPE shop.status AS ENUM ('new', 'it''s', 'back\slash', '');
	CREATE DOMAIN shop.three AS varchar(3) DEFAULT 'own';
	CREATE DOMAIN shop.bare AS varchar(3);
	CREATE DOMAIN shop.deep AS shop.three;
	CREATE DOMAIN shop.price AS numeric(5,2) DEFAULT 1.005 CHECK (VALUE > 0);
	CREATE DOMAIN shop.tags AS text[] DEFAULT '{a,"b c"}';
	CREATE DOMAIN shop.state AS shop.status DEFAULT 'it''s';
	CREATE EXTENSION citext;
	CREATE FUNCTION shop.seven() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 7';
	CREATE FUNCTION shop.pl(t text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN t || t; END'`

// constantDefaults are types and defaults that do not change; an empty default is the type's own.
var constantDefaults = []struct {
	typ      string
	defaults []string
}{
	{"boolean", []string{`true`, `false`, `'on'`, `NOT true`}},
	{"smallint", []string{`10`, `-10`, `'7'`, `32767`, `1.5`}},
	{"integer", []string{`1000`, `-1`, `2 + 3`, `1.6`, `shop.seven()`, `length('four')`}},
	{"bigint", []string{`0`, `-9223372036854775808`, `1e15`}},
	{"real", []string{`1.25`, `0.1`, `-0.0`, `'NaN'`, `'-Infinity'`, `1e-40::float8`}},
	{"double precision", []string{`0.1`, `1e308`, `'NaN'`, `1::int`}},
	{"numeric", []string{`0`, `-0.0010`, `'NaN'`, `'Infinity'`, `1e30`}},
	{"numeric(5,2)", []string{`1.005`, `-1`, `0`}},
	{"text", []string{`''`, `'new'`, `'it''s'`, `'back\slash'`, `E'line\nand\ttab'`, `'é€😀'`, `'a' || 'b'`, `5`, `'$1 :: ; --'`, `upper('x')`, `shop.pl('ab')`}},
	{"varchar", []string{`''`, `'long enough to be cut by none'`}},
	{"varchar(3)", []string{`'abc'`, `''`, `'abc   '`, `12`}},
	{"char(5)", []string{`'ab'`, `''`, `'abcde'`, `'abcde   '`}},
	{"bpchar", []string{`'ab  '`}},
	{"bytea", []string{`'\xdead'`, `''`, `'a\000b'`, `decode('ff', 'hex')`}},
	{"uuid", []string{`'5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5b'`}},
	{"date", []string{`'2020-02-29'`, `'infinity'`, `'0044-03-15 BC'`, `DATE '2020-01-01' + 1`}},
	{"time", []string{`'12:34:56.789012'`, `'24:00'`}},
	{"time(1)", []string{`'12:34:56.789'`}},
	{"timestamp", []string{`'2020-02-29 12:34:56.789012'`, `'-infinity'`}},
	{"timestamp(3)", []string{`'2020-02-29 12:34:56.789512'`}},
	{"timestamptz", []string{`'2020-02-29 12:34:56.789012+05:30'`, `'epoch'`}},
	{"timestamptz(0)", []string{`'2020-02-29 12:34:56.5+00'`}},
	{"interval", []string{`'1 year -2 mons 3 days -04:05:06.789'`, `'0'`}},
	{"interval(2)", []string{`'1.237 seconds'`}},
	{"json", []string{`'{ "a" : [1, 2.50] }'`, `'null'`}},
	{"jsonb", []string{`'{}'`, `'[]'`, `'{"b":"it''s","a":"\\"}'`}},
	{"inet", []string{`'10.1.2.3/8'`, `'::1'`}},
	{"cidr", []string{`'10.1.0.0/16'`}},
	{"macaddr", []string{`'08:00:2b:01:02:03'`}},
	{"shop.status", []string{`'new'`, `'it''s'`, `'back\slash'`, `''`, `'new'::shop.status`}},
	{"shop.three", []string{``, `'col'`, `''`}},
	{"shop.bare", []string{``, `'abc'`}},
	{"shop.deep", []string{``, `'col'`}},
	{"shop.price", []string{``, `2.005`}},
	{"shop.tags", []string{``, `'{}'`}},
	{"shop.state", []string{``, `'new'`}},
	{"citext", []string{`'MiXed'`, `''`}},
	{"integer[]", []string{`'{{1,2},{3,NULL}}'`, `ARRAY[1,2]`, `'[0:1]={5,6}'`, `'{}'`}},
	{"text[]", []string{`'{"a,b",NULL,"\\",""}'`, `ARRAY['it''s']`}},
	{"shop.price[]", []string{`'{1.005}'`}},
	{"shop.three[]", []string{`'{abc}'`}},
}

// defaultColumn is a column of constantDefaults, or one derived from it.
type defaultColumn struct {
	name, typ, expr string
	notNull         bool
}

func (c defaultColumn) ddl() string {
	s := c.name + " " + c.typ
	if c.expr != "" {
		s += " DEFAULT (" + c.expr + ")"
	}
	if c.notNull {
		s += " NOT NULL"
	}
	return s
}

// defaultColumns has each default by itself and in NOT NULL, NULL of each type, and an array of each default.
func defaultColumns() (columns []defaultColumn) {
	add := func(typ, expr string, notNull bool) {
		columns = append(columns, defaultColumn{fmt.Sprintf("c%d", len(columns)), typ, expr, notNull})
	}
	for _, t := range constantDefaults {
		for _, expr := range t.defaults {
			add(t.typ, expr, false)
			if expr != "" {
				add(t.typ, expr, true)
			}
			if expr != "" && t.typ != "shop.tags" && t.typ != "shop.price" && !strings.HasSuffix(t.typ, "[]") {
				add(t.typ+"[]", fmt.Sprintf("ARRAY[(%s)::%s, NULL]", expr, t.typ), false)
			}
		}
		add(t.typ, "NULL", false)
		add(t.typ, "NULL::"+t.typ, false)
		add(t.typ, "", false)
	}
	return columns
}

// TestConstantDefaults: for each type that sinker takes, what it writes for a field that is not there is what an INSERT
// without the column stores, and Postgres' own INSERT is asked.
func TestConstantDefaults(t *testing.T) {
	columns := defaultColumns()
	var ddl, names []string
	for _, c := range columns {
		ddl, names = append(ddl, c.ddl()), append(names, c.name)
	}
	table := constantTypes + `; CREATE TABLE orders (id bigint PRIMARY KEY, ` + strings.Join(ddl, ", ") + `);
		CREATE TABLE reference (LIKE orders INCLUDING ALL); INSERT INTO reference (id) VALUES (1), (2)`
	listed := func(s *Sink) {
		for _, n := range append([]string{"id"}, names...) {
			s.Rule.Columns = append(s.Rule.Columns, transform.Column{Name: n})
		}
	}
	byName := func(*Sink) {}
	for name, choose := range map[string]func(*Sink){"Listed": listed, "ByName": byName} {
		t.Run("Append"+name, func(t *testing.T) {
			l := newLoader(t, table, Config{Sinks: []Sink{orders(choose)}})
			l.mustCommit(`{"id":1}`, `{"id":2}`)
			l.sameAsReference(columns)
		})
		t.Run("Upsert"+name, func(t *testing.T) {
			l := newLoader(t, table, Config{Sinks: []Sink{orders(choose, keyed)}})
			nothing := []string{"1"}
			for _, c := range columns {
				nothing = append(nothing, "NULL")
				if c.notNull {
					nothing[len(nothing)-1] = "DEFAULT"
				}
			}
			l.exec(`INSERT INTO orders VALUES (` + strings.Join(nothing, ", ") + `)`)
			l.mustCommit(`{"id":1}`, `{"id":2}`) // an old key and a new one, merged
			l.sameAsReference(columns)
		})
		t.Run("UpsertNew"+name, func(t *testing.T) {
			l := newLoader(t, table, Config{Sinks: []Sink{orders(choose, keyed)}})
			l.mustCommit(`{"id":1}`, `{"id":2}`) // new keys, copied
			l.sameAsReference(columns)
		})
	}
	t.Run("AllTypes", func(t *testing.T) { everyKind(t, table) })
}

// sameAsReference compares the rows of orders with those of reference, column by column.
func (l *loader) sameAsReference(columns []defaultColumn) {
	l.t.Helper()
	if l.one(`SELECT count(*) FROM orders`) != "2" {
		l.t.Fatal(l.one(`SELECT string_agg(concat_ws(' ', column_name, code, reason), '; ') FROM sinker.dead_letters`))
	}
	for _, c := range columns {
		// A record's text tells NULL from '' and keeps the spaces of char(n).
		const rows = `(SELECT string_agg(ROW(%s)::text, ' ' ORDER BY id) FROM %s)`
		got, want := l.one("SELECT "+fmt.Sprintf(rows, c.name, "orders")), l.one("SELECT "+fmt.Sprintf(rows, c.name, "reference"))
		if got != want {
			l.t.Errorf("%s: %s, want %s as by INSERT", c.ddl(), got, want)
		}
	}
}

// everyKind checks that the test has a column of every type that sinker writes, and of every array.
func everyKind(t *testing.T, table string) {
	l := newLoader(t, table, Config{Sinks: []Sink{orders()}})
	ctx := context.Background()
	oid, err := lookup(ctx, l.conn, "public", "orders")
	if err != nil {
		t.Fatal(err)
	}
	described, err := describeColumns(ctx, l.conn, oid, "public", "orders")
	if err != nil {
		t.Fatal(err)
	}
	single, array := map[pgbin.Kind]bool{}, map[pgbin.Kind]bool{}
	for _, c := range described.Columns {
		if c.Default == nil {
			continue
		}
		if single[c.Type.Kind] = true; c.Type.Kind == pgbin.Array {
			array[c.Type.Elem.Kind] = true
		}
	}
	for k := pgbin.Bool; k < pgbin.Array; k++ {
		if !single[k] || !array[k] {
			t.Errorf("kind %d: a default of the type %v, of its arrays %v; want both", k, single[k], array[k])
		}
	}
}

// TestDefaultsThatFail: a default that Postgres itself cannot store makes a dead letter of each record that needs it,
// and of no other.
func TestDefaultsThatFail(t *testing.T) {
	for name, column := range map[string]string{
		"TooLong":       `varchar(3) DEFAULT 'abcdef'`,
		"TooLongChar":   `char(3) DEFAULT 'abcdef'`,
		"TooLongDomain": `short DEFAULT 'abcdef'`,
		"TooLongArray":  `varchar(3)[] DEFAULT '{abcdef}'::text[]`,
		"OutOfRange":    `smallint DEFAULT 40000`,
		"Digits":        `numeric(3,1) DEFAULT 1000`,
		"ByZero":        `int DEFAULT 1 / 0`,
		"Check":         `positive DEFAULT -1`,
		"NotNull":       `int NOT NULL DEFAULT NULL`,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoader(t, `CREATE DOMAIN short AS varchar(3); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
				CREATE TABLE orders (id bigint, d `+column+`, e text DEFAULT 'fine')`, Config{Sinks: []Sink{orders()}})
			_, err := l.conn.Exec(context.Background(), `INSERT INTO orders (id) VALUES (1)`)
			if err == nil {
				t.Fatal("Postgres stores it")
			}
			if res := l.mustCommit(`{"id":1}`, `{"id":2}`); res.Dead != 2 {
				t.Errorf("%+v; Postgres says %v", res, err)
			}
			l.want(`SELECT count(*) FROM orders`, "0")
		})
	}
}
