package transform_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"sinker/internal/local/localtest"
	"sinker/internal/pgbin"
	"sinker/internal/record"
	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
)

// postgres is one test's connection to a fresh database.
type postgres struct {
	testing.TB
	conn *pgx.Conn
}

func connect(t testing.TB) *postgres {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, localtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	pg := &postgres{t, conn}
	pg.exec(`SET TimeZone = 'UTC'`)
	// what_it_says is Postgres' own opinion: the text as the type and back, or why not.
	pg.exec(`CREATE FUNCTION what_it_says(input text, type text) RETURNS text LANGUAGE plpgsql AS $$
		DECLARE result text;
		BEGIN
			EXECUTE format('SELECT ($1::%s)::text', type) INTO result USING input;
			RETURN result;
		EXCEPTION WHEN data_exception OR syntax_error_or_access_rule_violation OR program_limit_exceeded OR feature_not_supported THEN
			RETURN 'error ' || SQLSTATE;
		END $$`)
	return pg
}

func (pg *postgres) exec(sql string) {
	pg.Helper()
	if _, err := pg.conn.Exec(context.Background(), sql); err != nil {
		pg.Fatalf("%s: %v", sql, err)
	}
}

// one returns the one value of a query as text; NULL is "NULL".
func (pg *postgres) one(sql string, args ...any) string {
	pg.Helper()
	var v *string
	if err := pg.conn.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		pg.Fatalf("%s: %v", sql, err)
	}
	if v == nil {
		return "NULL"
	}
	return *v
}

// copy writes tuples into columns of a table.
func (pg *postgres) copy(table string, tuples []byte) {
	pg.Helper()
	data := append(append(append([]byte(nil), pgbin.CopyHeader()...), tuples...), pgbin.CopyTrailer()...)
	if _, err := pg.conn.PgConn().CopyFrom(context.Background(), bytes.NewReader(data), "COPY "+table+" FROM STDIN (FORMAT binary)"); err != nil {
		pg.Fatalf("COPY %s: %v", table, err)
	}
}

// sample is one input: a JSON value, and whether the encoder is to refuse what Postgres would take.
type sample struct {
	json   string
	refuse bool
}

// samples are inputs by type. Postgres is asked what it makes of the same text: the encoder must write just that, or
// refuse the record. Where Postgres refuses the encoder must; where the encoder refuses alone, the sample says so.
var samples = []struct {
	typ    string
	values []sample
}{
	{"boolean", []sample{{json: `true`}, {json: `false`}, {json: `1`}, {json: `0`}, {json: `" TRUE "`}, {json: `"of"`}, {json: `"yes"`}, {json: `"o"`}, {json: `2`}, {json: `""`}, {json: `"1"`}, {json: `"nö"`}}},
	{"smallint", []sample{{json: `32767`}, {json: `-32768`}, {json: `32768`}, {json: `"+7"`}}},
	{"integer", []sample{{json: `0`}, {json: `-0`}, {json: `2147483647`}, {json: `-2147483648`}, {json: `2147483648`}, {json: `-2147483649`}, {json: `" \t12\n"`}, {json: `""`}, {json: `"1 2"`}, {json: `"--1"`}, {json: `"+-1"`}, {json: `"1.0"`}, {json: `"1e2"`}}},
	{"bigint", []sample{{json: `9223372036854775807`}, {json: `-9223372036854775808`}, {json: `9223372036854775808`}, {json: `-9223372036854775809`}, {json: `99999999999999999999999999999999`}, {json: `"00000000000000000000000000000000042"`}}},
	{"real", []sample{{json: `1.5`}, {json: `0.1`}, {json: `16777217`}, {json: `3.4028235e38`}, {json: `3.5e38`}, {json: `1e-45`}, {json: `1e-46`}, {json: `-0`}, {json: `"NaN"`}, {json: `"-Infinity"`}, {json: `"inf"`}, {json: `"infinit"`}, {json: `123456789`}, {json: `8388608.5`}, {json: `1.17549435e-38`}}},
	{"double precision", []sample{{json: `0.1`}, {json: `1e308`}, {json: `1.7976931348623157e308`}, {json: `1.8e308`}, {json: `1e400`}, {json: `4.9e-324`}, {json: `1e-400`}, {json: `0e-400`}, {json: `-0.0`}, {json: `9007199254740993`}, {json: `123456789012345678`}, {json: `0.30000000000000004`}, {json: `"  nan "`}, {json: `"+Infinity"`}, {json: `"1e"`}, {json: `".5"`}, {json: `"5."`}, {json: `"."`}, {json: `1234567.891e-3`}, {json: `9007199254740992.5`}}},
	{"numeric", []sample{{json: `0`}, {json: `-0.00`}, {json: `1`}, {json: `10`}, {json: `9999`}, {json: `10000`}, {json: `100000000`}, {json: `0.0001`}, {json: `0.00001`}, {json: `1.10`}, {json: `123456789012345678901234567890.123456789012345678901234567890`}, {json: `1e2`}, {json: `1.5e1`}, {json: `1.50e1`}, {json: `15e-1`}, {json: `1e-10`}, {json: `1e131071`}, {json: `1e131072`}, {json: `1e-16383`}, {json: `1e-16384`}, {json: `0e-16384`}, {json: `0e99999`}, {json: `"NaN"`}, {json: `"Infinity"`}, {json: `"-inf"`}, {json: `"+.5"`}, {json: `"5.e1"`}, {json: `" -1.25 "`}, {json: `"1,5"`}, {json: `"1e"`}, {json: `""`}, {json: `1e1000000`}, {json: `-12345678.00001000`}, {json: `999999999999999999`}, {json: `1000000000000000000`}}},
	{"numeric(12,2)", []sample{{json: `129.95`}, {json: `129.950`}, {json: `-0.01`}, {json: `5`}, {json: `9999999999.99`}, {json: `10000000000`}, {json: `10000000000.00`}, {json: `1e9`}, {json: `1e10`}, {json: `129.955`, refuse: true}, {json: `0.001`, refuse: true}, {json: `9999999999.999`}, {json: `"NaN"`}, {json: `"Infinity"`}, {json: `0e-20000`}, {json: `0.000`}}},
	{"numeric(30,0)", []sample{{json: `123456789012345678901234567890`}, {json: `1234567890123456789012345678901`}, {json: `0.5`, refuse: true}, {json: `1.0`}}},
	{"numeric(2,-3)", []sample{{json: `99000`}, {json: `100000`}, {json: `99500`}, {json: `1500`, refuse: true}, {json: `0`}}},
	{"numeric(3,5)", []sample{{json: `0.00999`}, {json: `0.01`}, {json: `0.00001`}, {json: `0.000001`, refuse: true}, {json: `-0.00120`}}},
	{"text", []sample{{json: `"plain"`}, {json: `""`}, {json: `"é€😀"`}, {json: `"\u00e9\ud83d\ude00\n"`}, {json: `"a\\b\"c\/d\b\f\n\r\t"`}, {json: `"\u0001\u001f\u007f"`}, {json: `"0123456789012345"`}, {json: `"01234567890123456"`}}},
	{"character varying(3)", []sample{{json: `"abc"`}, {json: `"äöü"`}, {json: `"😀😀😀"`}, {json: `""`}, {json: `"ab"`}, {json: `"abcd"`, refuse: true}, {json: `"abc "`, refuse: true}}},
	{"character(3)", []sample{{json: `"abc"`}, {json: `"a"`}, {json: `"äöü"`}, {json: `""`}, {json: `"a "`}, {json: `"abcd"`, refuse: true}, {json: `"abc "`, refuse: true}}},
	{"bytea", []sample{{json: `"\\x00ff"`}, {json: `"\\xDEADBEEF"`}, {json: `"\\x"`}, {json: `""`}, {json: `"\\xabc"`}, {json: `"\\xzz"`}}},
	{"uuid", []sample{{json: `"5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5b"`}, {json: `"5F0C6C2E-8D6B-4A3B-9C44-0D1C2E3F4A5B"`}, {json: `"{5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5b}"`}, {json: `"5f0c6c2e8d6b4a3b9c440d1c2e3f4a5b"`}, {json: `"5f0c-6c2e-8d6b-4a3b-9c44-0d1c-2e3f-4a5b"`}, {json: `"5f-0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5b"`}, {json: `"5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5"`}, {json: `"5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5b-"`}, {json: `"{5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5b"`}, {json: `""`}, {json: `"5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5:"`}}},
	{"date", []sample{{json: `"2026-11-22"`}, {json: `"1999-12-31"`}, {json: `"2000-02-29"`}, {json: `"1900-02-29"`}, {json: `"2024-02-29"`}, {json: `"0001-01-01"`}, {json: `"0001-01-01 BC"`}, {json: `"4714-11-24 BC"`}, {json: `"4714-11-23 BC"`}, {json: `"5874897-12-31"`}, {json: `"5874898-01-01"`}, {json: `"infinity"`}, {json: `"-infinity"`}, {json: `"2026-13-01"`}, {json: `"2026-00-01"`}, {json: `"2026-01-00"`}, {json: `"0000-01-01"`}, {json: `" 2026-11-22 "`}, {json: `"2026-11-22T10:00:00"`, refuse: true}, {json: `"20261122"`, refuse: true}, {json: `"2026-1-2"`, refuse: true}, {json: `"Nov 22 2026"`, refuse: true}, {json: `"today"`, refuse: true}, {json: `""`}}},
	{"time without time zone", []sample{{json: `"12:34:56"`}, {json: `"12:34"`}, {json: `"00:00:00"`}, {json: `"24:00:00"`}, {json: `"24:00:00.000001"`}, {json: `"23:59:59.999999"`}, {json: `"12:34:56.7"`}, {json: `"12:34:56.1234560"`}, {json: `"12:34:56.1234567"`, refuse: true}, {json: `"23:59:60"`, refuse: true}, {json: `"25:00"`}, {json: `"12:60"`}, {json: `"12:34:56Z"`, refuse: true}, {json: `"1:02:03"`, refuse: true}}},
	{"time(2) without time zone", []sample{{json: `"12:34:56.78"`}, {json: `"12:34:56.789"`, refuse: true}}},
	{"timestamp without time zone", []sample{{json: `"2026-11-22T12:34:56"`}, {json: `"2026-11-22 12:34:56.789012"`}, {json: `"2026-11-22T12:34:56Z"`}, {json: `"2026-11-22T12:34:56+00:00"`}, {json: `"2026-11-22T12:34:56+01:00"`, refuse: true}, {json: `"2026-11-22T12:34"`}, {json: `"2026-11-22T24:00:00"`}, {json: `"2026-12-31T23:59:60"`, refuse: true}, {json: `"0044-03-15 12:00:00 BC"`}, {json: `"4714-11-24 00:00:00 BC"`}, {json: `"4714-11-23 23:59:59 BC"`}, {json: `"294276-12-31 23:59:59.999999"`}, {json: `"294277-01-01 00:00:00"`}, {json: `"infinity"`}, {json: `"-infinity"`}, {json: `"2026-11-22"`, refuse: true}, {json: `"2026-02-30T00:00:00"`}}},
	{"timestamp with time zone", []sample{{json: `"2026-11-22T12:34:56.789012Z"`}, {json: `"2026-11-22T12:34:56.789Z"`}, {json: `"2026-11-22T12:34:56Z"`}, {json: `"2026-11-22T12:34:56+05:30"`}, {json: `"2026-11-22T12:34:56.5-08:00"`}, {json: `"2026-11-22 12:34:56+01"`}, {json: `"2026-11-22 12:34:56 +01:00"`}, {json: `"2026-11-22T12:34:56+0530"`}, {json: `"2026-11-22T12:34:56+05:30:15"`}, {json: `"2026-11-22T12:34:56-15:59"`}, {json: `"2026-11-22T12:34:56+16:00"`}, {json: `"2026-11-22t12:34:56z"`}, {json: `"2026-11-22T12:34:56.123456000Z"`}, {json: `"2026-11-22T12:34:56.1234567Z"`, refuse: true}, {json: `"1969-12-31T23:59:59.999999Z"`}, {json: `"294276-12-31T23:59:59.999999Z"`}, {json: `"294277-01-01T00:59:59+01:00"`}, {json: `"294277-01-01T00:00:00Z"`}, {json: `"4714-11-24T00:00:00Z BC"`}, {json: `"4714-11-24T00:30:00+01:00 BC"`}, {json: `"4714-11-23T23:30:00-01:00 BC"`}, {json: `"2026-11-22T12:34:56"`, refuse: true}, {json: `"2026-11-22T12:34:56 Europe/Berlin"`, refuse: true}, {json: `"now"`, refuse: true}, {json: `"epoch"`, refuse: true}, {json: `"infinity"`}, {json: `"2026-11-22T12:34:56."`, refuse: true}, {json: `"0000-01-01T00:00:00Z"`}, {json: `"0001-01-01T00:00:00Z"`}, {json: `"1900-02-29T00:00:00Z"`}, {json: `"2000-02-29T00:00:00Z"`}}},
	{"timestamp(3) with time zone", []sample{{json: `"2026-11-22T12:34:56.789Z"`}, {json: `"2026-11-22T12:34:56.789000Z"`}, {json: `"2026-11-22T12:34:56.789012Z"`, refuse: true}}},
	{"timestamp(0) without time zone", []sample{{json: `"2026-11-22T12:34:56.0"`}, {json: `"2026-11-22T12:34:56.5"`, refuse: true}}},
	{"interval", []sample{{json: `"P1Y2M3DT4H5M6.789S"`}, {json: `"PT36H"`}, {json: `"P2W"`}, {json: `"P-1DT-2H"`}, {json: `"PT1.5H"`}, {json: `"PT0.000001S"`}, {json: `"PT0.0000001S"`, refuse: true}, {json: `"P0.5Y"`, refuse: true}, {json: `"P"`}, {json: `"PT"`, refuse: true}, {json: `"P1H"`}, {json: `"1 year 2 mons 3 days 04:05:06.789"`}, {json: `"-1 days +02:03:00"`}, {json: `"1 day"`}, {json: `"90 minutes"`}, {json: `"2 hours 30 min 5.25 secs"`}, {json: `"3 days ago"`}, {json: `"-00:00:01"`}, {json: `"-00:00:01.5"`}, {json: `"100:00:00"`}, {json: `"00:60:00"`}, {json: `"1 day 1 day"`}, {json: `"1.5 days"`, refuse: true}, {json: `"04:05"`}, {json: `"1 fortnight"`}, {json: `"2 weeks"`}, {json: `"178956970 years 7 mons"`}, {json: `"178956970 years 8 mons"`}, {json: `"1 us 1 ms"`}, {json: `"5"`, refuse: true}, {json: `""`}, {json: `"04:05:06.1234567"`, refuse: true}, {json: `"2562047788:00:54.775807"`}, {json: `"2562047788:00:54.775808"`}, {json: `"2562047788 hours 59 mins"`}, {json: `"9999999999 hours"`}, {json: `"2147483647 days"`}, {json: `"2147483648 days"`}, {json: `"1-2"`, refuse: true}}},
	{"json", []sample{{json: `{ "a" : [1, 2.50 ] }`}, {json: `"x"`}, {json: `[]`}, {json: `1.10`}, {json: `true`}, {json: `{"a":1,"a":2}`}, {json: `{"a":"\u0000"}`, refuse: true}, {json: `{"a":"\ud800"}`, refuse: true}}},
	{"jsonb", []sample{{json: `{ "a" : [1, 2.50 ], "b":"\u00e9" }`}, {json: `"x"`}, {json: `[]`}, {json: `1.10`}, {json: `{"a":1,"a":2}`}, {json: `{"a":"\u0000"}`}, {json: `{"\u0000":1}`}, {json: `["\ud800"]`}, {json: `["\ude00\ud83d"]`}, {json: `1e400`}, {json: `1e401`, refuse: true}, {json: `[1e131072]`}, {json: `"1e500"`}, {json: `-0`}, {json: `-0.0`}}},
	{"inet", []sample{{json: `"10.1.2.3"`}, {json: `"10.1.2.3/8"`}, {json: `"10.1.2.3/32"`}, {json: `"10.1.2.3/33"`}, {json: `"256.1.1.1"`}, {json: `"::1"`}, {json: `"2001:DB8::ff00:42:8329/64"`}, {json: `"::ffff:1.2.3.4"`}, {json: `"::/0"`}, {json: `"1:2:3:4:5:6:7:8"`}, {json: `"1:2:3:4:5:6:7:8:9"`}, {json: `"1::2::3"`}, {json: `"fe80::1%eth0"`}, {json: `"12345::"`}, {json: `""`}, {json: `"1:2:3:4:5:6:7::"`}, {json: `"::2:3:4:5:6:7:8"`}, {json: `"::"`}, {json: `":"`}, {json: `":::"`}, {json: `":1"`}, {json: `"1:"`}, {json: `"::1:2:3:4:5:6:7:8"`}, {json: `"1:2:3:4:5:6:7:8::"`}, {json: `"64:ff9b::10.0.0.1"`}, {json: `"1:2:3:4:5:6:7:1.2.3.4"`}, {json: `"1:2:3:4:5:6:1.2.3.4"`}, {json: `"::1.2.3"`, refuse: true}, {json: `"10.1.2.3/08"`, refuse: true}, {json: `"010.1.2.3"`, refuse: true}, {json: `"10.1.2.3/"`}, {json: `"10.1.2"`}, {json: `" 10.1.2.3"`}, {json: `"1.2.3.4:5"`}, {json: `"2001:db8:0:0:1::"`}, {json: `"1::2:3"`}}},
	{"cidr", []sample{{json: `"10.1.0.0/16"`}, {json: `"10.1.2.3/16"`}, {json: `"10.1.2.3"`}, {json: `"2001:db8::/32"`}, {json: `"2001:db8::1/32"`}, {json: `"0.0.0.0/0"`}}},
	{"macaddr", []sample{{json: `"08:00:2b:01:02:03"`}, {json: `"08-00-2B-01-02-03"`}, {json: `"08002b010203"`}, {json: `"08:00:2b:01:02"`}, {json: `"08:00:2b:01:02:0g"`}, {json: `"0800.2b01.0203"`, refuse: true}}},
}

// TestPostgresAgrees writes each sample with COPY and compares what Postgres reads back with what it makes of the text.
func TestPostgresAgrees(t *testing.T) {
	pg := connect(t)
	for _, s := range samples {
		t.Run(s.typ, func(t *testing.T) {
			pg := &postgres{t, pg.conn}
			encoder := columnEncoder(t, s.typ)
			pg.exec("DROP TABLE IF EXISTS v; CREATE TABLE v (v " + s.typ + ")")
			for _, v := range s.values {
				input := inputText(v.json, s.typ)
				says := pg.one(`SELECT what_it_says($1, $2)`, input, s.typ)
				refuses := len(says) > 6 && says[:6] == "error "
				tuple, _, err := encoder.Append(nil, &record.Record{Value: []byte(`{"v":` + v.json + `}`)})
				switch {
				case err != nil && !refuses && !v.refuse:
					t.Errorf("%s is refused: %v; Postgres makes it %s", v.json, err, says)
				case err == nil && (refuses || v.refuse):
					t.Errorf("%s is taken; Postgres: %s", v.json, says)
				case err != nil && refuses && v.refuse:
					t.Errorf("%s is refused by Postgres as well: %s", v.json, says)
				case err == nil:
					pg.copy("v", tuple)
					if got := pg.one(`DELETE FROM v RETURNING v::text`); got != says {
						t.Errorf("%s arrives as %s; Postgres makes it %s", v.json, got, says)
					}
				}
			}
		})
	}
}

// columnEncoder encodes records into one column v of a type.
func columnEncoder(t testing.TB, typ string) *transform.Encoder {
	t.Helper()
	r := transform.Rule{Columns: []transform.Column{{Name: "v", Type: typ}}}
	table, err := r.Declared("public", "v")
	if err != nil {
		t.Fatal(err)
	}
	if got := table.Columns[0].Type.String(); got != typ {
		t.Errorf("type %s is spelled %s", typ, got)
	}
	p, err := transform.Compile(r, table)
	if err != nil {
		t.Fatal(err)
	}
	return p.NewEncoder(nil)
}

// inputText is the text that Postgres is to read for a JSON value: a string's content, or the JSON itself.
func inputText(value, typ string) string {
	var s string
	if typ != "json" && typ != "jsonb" && value[0] == '"' && json.Unmarshal([]byte(value), &s) == nil {
		return s
	}
	return value
}

// TestTypesAreSpelledAsPostgresDoes compares String with format_type, and the numbers with the catalog.
func TestTypesAreSpelledAsPostgresDoes(t *testing.T) {
	pg := connect(t)
	for _, spelled := range []string{
		"bool", "int2", "int", "bigint", "real", "float", "float(24)", "float(25)", "decimal", "numeric(5)", "numeric(12,2)", "numeric(2,-3)", "numeric(1000,1000)", "text", "varchar", "varchar(7)",
		"char", "char(3)", "character(3)", "bpchar", "bytea", "uuid", "date", "time", "time(3)", "timestamp", "timestamp(0)", "timestamp(3) without time zone", "timestamptz", "timestamptz(6)",
		"timestamp(2) with time zone", "interval", "interval(3)", "json", "jsonb", "inet", "cidr", "macaddr", "text[]", "numeric(12,2)[]", "timestamp(3) with time zone[]", "int[][]", "varchar(3)[5]",
	} {
		typ, err := pgbin.ParseType(spelled)
		if err != nil {
			t.Errorf("%s: %v", spelled, err)
			continue
		}
		pg.exec(fmt.Sprintf("DROP TABLE IF EXISTS v; CREATE TABLE v (v %s)", spelled))
		var oid uint32
		var typmod int32
		var format string
		err = pg.conn.QueryRow(context.Background(), `SELECT atttypid, atttypmod, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'v'::regclass AND attnum = 1`).Scan(&oid, &typmod, &format)
		if err != nil {
			t.Fatal(err)
		}
		described, ok := pgbin.BaseType(oid, typmod)
		if !ok || !described.Same(typ) {
			t.Errorf("%s is %+v; the catalog describes %+v", spelled, typ, described)
		}
		if typ.String() != format || described.String() != format {
			t.Errorf("%s is spelled %s and %s; Postgres spells it %s", spelled, typ, described, format)
		}
	}
}

// TestTypesOfTheDatabase writes types that only the database knows: an enumeration, a domain, citext, arrays of them.
func TestTypesOfTheDatabase(t *testing.T) {
	pg := connect(t)
	pg.exec(`CREATE TYPE mood AS ENUM ('sad', 'ok', 'häppy'); CREATE DOMAIN price AS numeric(5,2) CHECK (VALUE >= 0)`)
	oid := func(name string) uint32 {
		var oid uint32
		if err := pg.conn.QueryRow(context.Background(), `SELECT $1::regtype::oid`, name).Scan(&oid); err != nil {
			t.Fatal(err)
		}
		return oid
	}
	mood := pgbin.EnumType(oid("mood"), "mood", []string{"sad", "ok", "häppy"})
	numeric, _ := pgbin.BaseType(1700, 5<<16|2+4)
	types := []struct {
		typ                string
		as                 pgbin.Type
		value, want, wrong string
	}{
		{"mood", mood, `"h\u00e4ppy"`, "häppy", `"OK"`},
		{"mood[]", pgbin.ArrayOf(oid("mood[]"), mood), `["ok",null,"sad"]`, "{ok,NULL,sad}", `["ok","bad"]`},
		{"price", numeric, `9.50`, "9.50", `9.505`},
		{"price[]", pgbin.ArrayOf(oid("price[]"), pgbin.Type{Kind: pgbin.Numeric, OID: oid("price"), Typmod: numeric.Typmod}), `[9.5,1]`, "{9.50,1.00}", `[9.505]`},
	}
	if pg.one(`SELECT count(*)::text FROM pg_available_extensions WHERE name = 'citext'`) == "1" {
		pg.exec(`CREATE EXTENSION citext`)
		citext := pgbin.TextType(oid("citext"), "citext")
		types = append(types, types[0], types[0])
		types[4].typ, types[4].as, types[4].value, types[4].want, types[4].wrong = "citext", citext, `"Ab"`, "Ab", `"\u0000"`
		types[5].typ, types[5].as, types[5].value, types[5].want, types[5].wrong = "citext[]", pgbin.ArrayOf(oid("citext[]"), citext), `["Ab","c"]`, "{Ab,c}", `[["a"],[]]`
	}
	for _, test := range types {
		table := transform.Table{Name: "v", Columns: []transform.TableColumn{{Name: "v", Type: test.as}}}
		p, err := transform.Compile(transform.Rule{}, table)
		if err != nil {
			t.Errorf("%s: %v", test.typ, err)
			continue
		}
		e := p.NewEncoder(nil)
		tuple, _, err := e.Append(nil, &record.Record{Value: []byte(`{"v":` + test.value + `}`)})
		if err != nil {
			t.Errorf("%s: %v", test.typ, err)
			continue
		}
		pg.exec("DROP TABLE IF EXISTS v; CREATE TABLE v (v " + test.typ + ")")
		pg.copy("v", tuple)
		if got := pg.one("SELECT v::text FROM v"); got != test.want {
			t.Errorf("%s: %s arrives as %s, want %s", test.typ, test.value, got, test.want)
		}
		if _, _, err := e.Append(nil, &record.Record{Value: []byte(`{"v":` + test.wrong + `}`)}); err == nil {
			t.Errorf("%s: %s is taken", test.typ, test.wrong)
		}
	}
}

// TestWholeRow writes a row with defaults and provenance, and reads all of it back.
func TestWholeRow(t *testing.T) {
	pg := connect(t)
	pg.exec(`CREATE TABLE v (id bigint PRIMARY KEY, state text NOT NULL DEFAULT 'new', tags text[], kafka_topic text, kafka_partition int, kafka_offset bigint,
		kafka_timestamp timestamptz, kafka_key bytea, kafka_headers jsonb)`)
	column := func(name string, oid uint32) transform.TableColumn {
		typ, ok := pgbin.BaseType(oid, -1)
		if !ok {
			t.Fatalf("no type %d", oid)
		}
		return transform.TableColumn{Name: name, Type: typ}
	}
	state := column("state", 25)
	state.NotNull, state.HasDefault, state.Default = true, true, []byte("new")
	table := transform.Table{Name: "v", Columns: []transform.TableColumn{state, column("tags", 1009), column("id", 20), column("kafka_topic", 25), column("kafka_partition", 23),
		column("kafka_offset", 20), column("kafka_timestamp", 1184), column("kafka_key", 17), column("kafka_headers", 3802)}}
	p, err := transform.Compile(transform.Rule{Key: []string{"id"}, Meta: []string{"topic", "partition", "offset", "timestamp", "key", "headers"}}, table)
	if err != nil {
		t.Fatal(err)
	}
	list := ""
	for i, c := range p.Columns() {
		list += []string{"", ", "}[min(i, 1)] + c.Name
	}
	record := &record.Record{TopicPartition: record.TopicPartition{Topic: "t", Partition: 3}, Offset: 1 << 40, Timestamp: 1795350896789, Key: []byte{0, 255}, Value: []byte(`{"id":7,"tags":["a","b c"]}`),
		Source: record.HeaderList{{Key: "k\"\n", Value: []byte("é\x01")}, {Key: "bin", Value: []byte{0}}}}
	tuple, _, err := p.NewEncoder(nil).Append(nil, record)
	if err != nil {
		t.Fatal(err)
	}
	pg.copy("v ("+list+")", tuple)
	want := `(7,new,"{a,""b c""}",t,3,1099511627776,"2026-11-22 12:34:56.789+00","\\x00ff","[{""key"": ""k\\""\\n"", ""value"": ""é\\u0001""}, {""key"": ""bin"", ""value_base64"": ""AA==""}]")`
	if got := pg.one("SELECT v::text FROM v"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
