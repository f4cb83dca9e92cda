package pgbin_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sinker/internal/local/localtest"
	"sinker/internal/pgbin"
	"sinker/internal/record"
	"sinker/internal/value"

	"github.com/jackc/pgx/v5"
)

// sample is a value, and the same as an expression of Postgres'.
type sample struct {
	v   value.Value
	sql string
}

func set(f func(v *value.Value)) (v value.Value) {
	f(&v)
	return v
}

// samples are values of every kind at their edges. What each is to Postgres is said by its own functions, from the same
// numbers.
func samples() (all []sample) {
	add := func(v value.Value, sql string, args ...any) { all = append(all, sample{v, fmt.Sprintf(sql, args...)}) }
	add(value.Value{Kind: value.True}, `true`)
	add(value.Value{Kind: value.False}, `false`)
	for _, s := range []string{"0", "1", "-1", "2", "1.50", "-0.05", "12345678901234567890.5", "99999", "0.001"} {
		add(value.Value{Kind: value.Number, B: []byte(s)}, `'%s'::numeric`, s)
	}
	for _, n := range []int64{0, 1, -1, 2, 32767, -32768, 32768, math.MaxInt32, math.MinInt32, math.MaxInt32 + 1, math.MinInt32 - 1,
		1<<53 + 1, 999999999999999999, 1000000000000000000, math.MaxInt64, math.MinInt64} {
		add(set(func(v *value.Value) { v.SetInt(n) }), `'%d'::bigint`, n)
	}
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 1.0 / 3, 16777217, 1e6, 123456.5, 999999999999999, 1e15, 1e20, 1e-4, 0.00012345, 1e-5,
		1e-45, 1e-46, 3.4028235e38, 3.5e38, math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxInt64, -32768} {
		s := strconv.FormatFloat(f, 'e', -1, 64)
		add(set(func(v *value.Value) { v.SetFloat(f) }), `'%s'::float8`, s)
		if f32 := float32(f); float64(f32) == 0 && f != 0 || math.IsInf(float64(f32), 0) && !math.IsInf(f, 0) {
			continue
		}
		add(set(func(v *value.Value) { v.SetFloat32(float32(f)) }), `'%s'::real`, strconv.FormatFloat(f, 'e', -1, 32))
	}
	return slices.Concat(all, decimals(), times(), others())
}

// decimals are of every length around those at which the code takes another way, with scales from far to far.
func decimals() (all []sample) {
	for _, scale := range []int{-20, -3, 0, 1, 2, 5, 18, 19, 30, 200} {
		for _, size := range []int{0, 1, 2, 4, 7, 8, 9, 12, 16, 47, 48, 49, 60} {
			for _, fill := range []byte{0x00, 0x01, 0x7f, 0x80, 0xff} {
				b := bytes.Repeat([]byte{fill}, size)
				n := new(big.Int).SetBytes(b)
				if size > 0 && fill&0x80 != 0 {
					n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
				}
				text := new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(scale, 0))), nil)).FloatString(max(scale, 0))
				if scale < 0 {
					text = new(big.Int).Mul(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-scale)), nil)).String()
				}
				all = append(all, sample{set(func(v *value.Value) { v.SetDecimal(b, scale) }), `'` + text + `'::numeric`})
			}
		}
	}
	return all
}

func times() (all []sample) {
	add := func(v value.Value, sql string, args ...any) { all = append(all, sample{v, fmt.Sprintf(sql, args...)}) }
	for _, n := range []int64{0, -1, 1, 59, 60, 364, 365, 789, 10957, 11016, 11017, 20414, -719162, -719163, -719528, -719529, -2440588, -2440589,
		2145042905, 2145042906, math.MaxInt32, math.MinInt32} {
		add(set(func(v *value.Value) { v.SetDate(n) }), `date '1970-01-01' + %d`, n)
	}
	add(set(func(v *value.Value) { v.SetDate(math.MaxInt64) }), `date 'beyond'`)
	add(set(func(v *value.Value) { v.SetDate(math.MinInt64) }), `date 'beyond'`)
	for _, t := range []struct {
		n     int64
		scale int
		text  string
	}{{0, 0, "00:00"}, {86399, 0, "23:59:59"}, {86400, 0, "24:00"}, {86401, 0, "beyond"}, {-1, 6, "beyond"}, {45296789, 3, "12:34:56.789"}, {45296789012, 6, "12:34:56.789012"},
		{45296780000000, 9, "12:34:56.78"}, {86400000001, 6, "beyond"}, {math.MaxInt64, 0, "beyond"}, {math.MinInt64, 9, "beyond"}} {
		add(set(func(v *value.Value) { v.SetTime(t.n, t.scale) }), `time '%s'`, t.text)
	}
	// From the first to the last that Postgres holds, in each unit in which it is an int64.
	for scale, unit := range map[int]string{0: "seconds", 3: "milliseconds", 6: "microseconds"} {
		for _, n := range []int64{0, 1, -1, 86399, 86400, -86400, 1795350896789, 951782400, -62135596800, -62135596801, -62198755200, -210866803200, -210866803201, -210866803200000000,
			-210866803200000001, 9224318015999, 9224318016000, 9224318015999999, 9224318016000000, math.MaxInt64, math.MinInt64} {
			sql := `'beyond'`
			if seconds := float64(n) / math.Pow10(scale); math.Abs(seconds) < 9.3e12 && n != math.MinInt64 {
				sql = fmt.Sprintf(`'2000-01-01' + ('%d %s')::interval`, n-946_684_800*int64(math.Pow10(scale)), unit)
			}
			add(set(func(v *value.Value) { v.SetTimestamp(n, scale) }), "timestamptz %s", sql)
			add(set(func(v *value.Value) { v.SetLocal(n, scale) }), "timestamp %s", sql)
		}
	}
	add(set(func(v *value.Value) { v.SetTimestamp(1795350896789012000, 9) }), `timestamptz '2026-11-22 12:34:56.789012Z'`)
	for _, d := range []struct {
		months, days int32
		n            int64
		scale        int
	}{{0, 0, 0, 0}, {14, 3, 45296789, 3}, {-14, 3, -45296789, 3}, {-1, 0, 1, 6}, {1, -1, 0, 0}, {0, -1, 5, 0}, {12, 0, 0, 3}, {-25, 1, 1000, 3}, {math.MaxInt32, math.MinInt32, 1, 6},
		{0, 0, math.MaxInt64, 6}, {0, 1, -3600, 0}, {0, 0, 360000, 0}, {1, 1, 100, 3}, {0, 0, 1500000, 9}} {
		parts := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(d.months)), uint32(d.days))
		micros := d.n
		for range 6 - d.scale {
			micros *= 10
		}
		if d.scale == 9 {
			micros /= 1000
		}
		add(set(func(v *value.Value) { v.SetDuration(parts, d.n, d.scale) }), `'%d months %d days %d microseconds'::interval`, d.months, d.days, micros)
	}
	return all
}

func others() (all []sample) {
	add := func(v value.Value, sql string, args ...any) { all = append(all, sample{v, fmt.Sprintf(sql, args...)}) }
	for _, s := range []string{"", "a", "é", "abc  ", "abcdef", `q"u\o` + "\n\x01té"} {
		v := value.Value{Kind: value.Text, B: []byte(s), Flags: value.NonASCII}
		add(v, `%s::text`, quoted(s))
	}
	for _, b := range []string{"", "a", "é", "abcdef", "\xff", "a\x00b", "0123456789abcdef", "0123456789abcde", "0123456789abcdef0"} {
		add(value.Value{Kind: value.Bytes, B: []byte(b)}, `'\x%x'::bytea`, b)
	}
	text := func(s string) value.Value { return value.Value{Kind: value.Text, B: []byte(s)} }
	add(value.Value{Kind: value.Object, B: []byte(`{"a": 1}`)}, `'{"a": 1}'::json`)
	add(value.Value{Kind: value.JSON, B: []byte(`"x"`)}, `'"x"'::json`)
	add(value.Value{Kind: value.JSON, B: []byte(`1.50`)}, `'1.50'::json`)
	add(value.Value{Kind: value.List, B: []byte(`[]`)}, `'[]'::json`)
	add(value.Value{Kind: value.List, B: []byte(`["1", null]`), Items: []value.Value{text("1"), {Kind: value.Null}}}, `'["1", null]'::json`)
	add(value.Value{Kind: value.List, B: []byte(`[1]`), Items: []value.Value{set(func(v *value.Value) { v.SetInt(1) })}}, `'[1]'::json`)
	return all
}

func quoted(s string) string {
	return `E'` + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\x01", `\x01`).Replace(s) + `'`
}

// Which kinds the types take. All others are refused with wrong_type, whatever the value is.
var (
	numbers  = []value.Kind{value.Number, value.Float, value.Decimal, value.Text}
	allKinds = []value.Kind{value.True, value.False, value.Number, value.Float, value.Decimal, value.Text, value.Bytes, value.Date, value.Time, value.Timestamp, value.Duration,
		value.Object, value.List, value.JSON}
	onlyText = []value.Kind{value.Text}
	onlyList = []value.Kind{value.List}
)

var types = []struct {
	typ, base string // base: where a column that rounds or cuts is compared with the value
	takes     []value.Kind
}{
	{"boolean", "boolean", []value.Kind{value.True, value.False, value.Number, value.Text}},
	{"smallint", "numeric", numbers}, {"integer", "numeric", numbers}, {"bigint", "numeric", numbers},
	{"real", "", numbers}, {"double precision", "", numbers},
	{"numeric", "numeric", numbers}, {"numeric(12,2)", "numeric", numbers}, {"numeric(2,-3)", "numeric", numbers}, {"numeric(1000,20)", "numeric", numbers}, {"numeric(3,5)", "numeric", numbers},
	{"text", "text", allKinds}, {"character varying(5)", "text", allKinds}, {"character(5)", "bpchar", allKinds},
	{"bytea", "bytea", []value.Kind{value.Text, value.Bytes}}, {"uuid", "uuid", []value.Kind{value.Text, value.Bytes}},
	{"date", "date", []value.Kind{value.Text, value.Date}},
	{"time", "time", []value.Kind{value.Text, value.Time}}, {"time(2)", "time", []value.Kind{value.Text, value.Time}},
	{"timestamp", "timestamp", []value.Kind{value.Text, value.Date, value.Timestamp}}, {"timestamp(0)", "timestamp", []value.Kind{value.Text, value.Date, value.Timestamp}},
	{"timestamptz", "timestamptz", []value.Kind{value.Text, value.Timestamp}}, {"timestamptz(3)", "timestamptz", []value.Kind{value.Text, value.Timestamp}},
	{"interval", "interval", []value.Kind{value.Text, value.Duration}}, {"interval(3)", "interval", []value.Kind{value.Text, value.Duration}},
	{"json", "", allKinds}, {"jsonb", "", allKinds},
	{"inet", "", onlyText}, {"cidr", "", onlyText}, {"macaddr", "", onlyText}, {"mood", "", onlyText},
	{"integer[]", "", onlyList}, {"text[]", "", onlyList}, {"jsonb[]", "", onlyList}, {"timestamp[]", "", onlyList},
}

// what_becomes is Postgres' answer: the value's text, put into a column of the type. It is 'error …' where Postgres refuses, and
// 'inexact' where it rounds or cuts. A number that is an integer goes into integers however it is written.
const whatBecomes = `CREATE FUNCTION what_becomes(value text, typ text, base text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE said text; result text; same boolean; origin text;
	BEGIN
		EXECUTE 'SELECT (' || value || ')::text, pg_typeof(' || value || ')::text' INTO said, origin;
		IF origin = 'bytea' AND typ IN ('text', 'character varying(5)', 'character(5)') THEN
			EXECUTE 'SELECT convert_from(' || value || ', ''UTF8'')' INTO said;
		ELSIF origin = 'bytea' AND typ = 'uuid' THEN
			EXECUTE 'SELECT CASE WHEN length(' || value || ') = 16 THEN encode(' || value || ', ''hex'') ELSE ''none'' END' INTO said;
		ELSIF origin IN ('numeric', 'real', 'double precision', 'bigint') AND typ IN ('smallint', 'integer', 'bigint') THEN
			said := trim_scale(said::numeric)::text;
		END IF;
		IF typ IN ('json', 'jsonb') THEN
			EXECUTE 'SELECT to_jsonb(' || value || ')::text' INTO result;
			RETURN result;
		ELSIF origin = 'real' AND typ = 'double precision' THEN -- the same number, which its digits are not
			EXECUTE 'SELECT (' || value || ')::float8::text' INTO result;
			RETURN result;
		ELSIF typ LIKE '%[]' THEN
			EXECUTE format('SELECT (SELECT coalesce(array_agg(CASE WHEN %L = ''jsonb[]'' THEN nullif(e, ''null'')::text ELSE e #>> ''{}'' END), ''{}'') FROM jsonb_array_elements((%s)::jsonb) e)::%s::text', typ, value, typ) INTO result;
			RETURN result;
		END IF;
		EXECUTE format('INSERT INTO own VALUES (%L) RETURNING v::text', said) INTO result;
		IF base <> '' THEN
			EXECUTE format('SELECT %L::%s IS NOT DISTINCT FROM %L::%s', said, base, result, base) INTO same;
			IF NOT same THEN RETURN 'inexact'; END IF;
		END IF;
		RETURN result;
	EXCEPTION WHEN data_exception OR syntax_error_or_access_rule_violation OR program_limit_exceeded OR feature_not_supported THEN
		RETURN 'error ' || SQLSTATE;
	END $$`

// TestEveryKindIntoEveryType writes each sample with COPY into a column of each type, and compares what Postgres reads back with
// what it makes of the value's text itself.
func TestEveryKindIntoEveryType(t *testing.T) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, localtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, sql := range []string{`SET TimeZone = 'UTC'`, `CREATE TYPE mood AS ENUM ('sad', 'a')`, whatBecomes} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	all := samples()
	taken := map[string]bool{}
	for _, typ := range types {
		enc := encodingOf(t, conn, typ.typ)
		sql := fmt.Sprintf("DROP TABLE IF EXISTS v, own; CREATE TEMP TABLE v (i int, v %[1]s); CREATE TEMP TABLE own (v %[1]s)", typ.typ)
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
		says := ask(t, conn, all, typ.typ, typ.base)
		fields := map[int][]byte{}
		for i, s := range all {
			what := fmt.Sprintf("%s (%s) into %s", s.sql, s.v.Kind, typ.typ)
			field, bad := enc.Append(nil, &s.v)
			takes := slices.Contains(typ.takes, s.v.Kind) && !(typ.base == "timestamptz" && s.v.Flags&value.Local != 0)
			refuses := strings.HasPrefix(says[i], "error ") || says[i] == "inexact"
			switch {
			case !takes:
				if bad == nil || bad.Code != record.CodeWrongType {
					t.Errorf("%s: %v, want wrong_type", what, bad)
				}
			case s.v.Kind == value.Text && typ.typ != "text" && typ.typ != "jsonb":
				// What texts become is transform's test, with more of them.
			case bad != nil && !refuses:
				t.Errorf("%s is refused: %v; Postgres makes it %s", what, bad, says[i])
			case bad == nil && refuses:
				t.Errorf("%s is taken; Postgres: %s", what, says[i])
			case bad == nil:
				taken[s.v.Kind.String()+" into "+typ.typ] = true
				fields[i] = field
			}
		}
		for i, got := range copied(t, conn, fields, typ.typ) {
			if got != says[i] {
				t.Errorf("%s (%s) into %s arrives as %s; Postgres makes it %s", all[i].sql, all[i].v.Kind, typ.typ, got, says[i])
			}
		}
	}
	t.Logf("%d samples into %d types; %d pairs of kind and type were taken", len(all), len(types), len(taken))
	if len(taken) < 70 {
		t.Errorf("only %d pairs of kind and type were taken", len(taken))
	}
}

func encodingOf(t *testing.T, conn *pgx.Conn, typ string) pgbin.Encoding {
	t.Helper()
	parsed, err := pgbin.ParseType(typ)
	if typ == "mood" {
		var oid uint32
		if err := conn.QueryRow(context.Background(), `SELECT 'mood'::regtype::oid`).Scan(&oid); err != nil {
			t.Fatal(err)
		}
		parsed, err = pgbin.EnumType(oid, "mood", []string{"sad", "a"}), nil
	}
	if err != nil {
		t.Fatal(err)
	}
	enc, err := pgbin.NewEncoding(parsed, false)
	if err != nil {
		t.Fatal(err)
	}
	return enc
}

// ask asks Postgres about all samples in one go.
func ask(t *testing.T, conn *pgx.Conn, all []sample, typ, base string) []string {
	t.Helper()
	says := make([]string, len(all))
	batch := &pgx.Batch{}
	for i := range all {
		batch.Queue(`SELECT what_becomes($1, $2, $3)`, all[i].sql, typ, base).QueryRow(func(row pgx.Row) error { return row.Scan(&says[i]) })
	}
	if err := conn.SendBatch(context.Background(), batch).Close(); err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
	return says
}

// copied writes fields and reads them back. Of json the meaning is compared.
func copied(t *testing.T, conn *pgx.Conn, fields map[int][]byte, typ string) map[int]string {
	t.Helper()
	ctx := context.Background()
	data := slices.Clone(pgbin.CopyHeader())
	for i, field := range fields {
		data = append(data, 0, 2, 0, 0, 0, 4)
		data = append(binary.BigEndian.AppendUint32(data, uint32(i)), field...)
	}
	data = append(data, pgbin.CopyTrailer()...)
	if _, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(data), "COPY v FROM STDIN (FORMAT binary)"); err != nil {
		t.Errorf("%s: %v", typ, err)
		return nil
	}
	read := "v::text"
	if typ == "json" {
		read = "v::jsonb::text"
	}
	rows, err := conn.Query(ctx, "SELECT i, "+read+" FROM v")
	if err != nil {
		t.Fatal(err)
	}
	got, i, text := map[int]string{}, 0, ""
	if _, err := pgx.ForEachRow(rows, []any{&i, &text}, func() error { got[i] = text; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(fields) {
		t.Errorf("%s: %d of %d values arrived", typ, len(got), len(fields))
	}
	return got
}

// TestFinerThanMicroseconds: a text keeps the digits that Postgres' times do not have; these refuse them.
func TestFinerThanMicroseconds(t *testing.T) {
	for _, test := range []struct {
		v    value.Value
		typ  string
		text string
	}{
		{set(func(v *value.Value) { v.SetTimestamp(1795350896789012345, 9) }), "timestamptz", "2026-11-22 12:34:56.789012345+00"},
		{set(func(v *value.Value) { v.SetLocal(-1, 9) }), "timestamp", "1969-12-31 23:59:59.999999999"},
		{set(func(v *value.Value) { v.SetTime(45296000000001, 9) }), "time", "12:34:56.000000001"},
		{set(func(v *value.Value) { v.SetDuration(nil, -1, 9) }), "interval", "-00:00:00.000000001"},
	} {
		enc := func(typ string) pgbin.Encoding {
			parsed, err := pgbin.ParseType(typ)
			if err != nil {
				t.Fatal(err)
			}
			enc, err := pgbin.NewEncoding(parsed, false)
			if err != nil {
				t.Fatal(err)
			}
			return enc
		}
		text, own := enc("text"), enc(test.typ)
		if got, bad := text.Append(nil, &test.v); bad != nil || string(got[4:]) != test.text {
			t.Errorf("as text %q (%v), want %s", got, bad, test.text)
		}
		if _, bad := own.Append(nil, &test.v); bad == nil || bad.Code != record.CodeInexact {
			t.Errorf("%s into %s: %v", test.text, test.typ, bad)
		}
	}
}

// TestNoAllocations: no value costs memory, but for decimals of more than 32 digits.
func TestNoAllocations(t *testing.T) {
	dst := make([]byte, 0, 1<<16)
	for _, typ := range types {
		parsed, err := pgbin.ParseType(typ.typ)
		if err != nil {
			continue // mood
		}
		enc, err := pgbin.NewEncoding(parsed, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range samples() {
			if _, bad := enc.Append(dst, &s.v); bad != nil || s.v.Kind == value.Decimal && max(len(s.v.B), len(s.sql)) > 32+len("''::numeric") {
				continue
			}
			if n := testing.AllocsPerRun(10, func() { enc.Append(dst, &s.v) }); n > 0 {
				t.Errorf("%s into %s: %v allocations", s.sql, typ.typ, n)
			}
		}
	}
}
