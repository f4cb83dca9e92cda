package transform

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sinker/internal/pgbin"
	"sinker/internal/record"
)

// columns makes a table of `name type` lines; a `!` behind makes a column NOT NULL, `=` gives it a computed default.
func columns(tb testing.TB, lines ...string) Table {
	tb.Helper()
	t := Table{Schema: "public", Name: "t"}
	for _, l := range lines {
		name, typ, _ := strings.Cut(strings.TrimRight(l, "!="), " ")
		parsed, err := pgbin.ParseType(typ)
		if err != nil {
			tb.Fatal(err)
		}
		t.Columns = append(t.Columns, TableColumn{Name: name, Type: parsed, NotNull: strings.Contains(l, "!"), HasDefault: strings.Contains(l, "=")})
	}
	return t
}

func compile(tb testing.TB, r Rule, t Table) *Encoder {
	tb.Helper()
	p, err := Compile(r, t)
	if err != nil {
		tb.Fatal(err)
	}
	return p.NewEncoder(nil)
}

// row encodes a record and shows what became of it: fields between bars, or the code and reason of its refusal.
func row(e *Encoder, r *record.Record) string {
	out, op, err := e.Append([]byte("x"), r)
	var bad *BadRecord
	if errors.As(err, &bad) {
		if string(out) != "x" {
			return "an error, and bytes were appended"
		}
		return bad.Code + " " + whole(bad)
	}
	return [...]string{"write", "delete", "filter"}[op] + " " + fieldsOf(out[1:])
}

func ofValue(s string) *record.Record { return &record.Record{Value: []byte(s)} }

func TestMissingAndNull(t *testing.T) {
	table := columns(t, "a text", "b text!", "c text", "d text!", "e text")
	table.Columns[2].Default = []byte("default c")
	table.Columns[2].HasDefault = true
	table.Columns[3].Default = []byte("default d")
	table.Columns[3].HasDefault = true
	r := Rule{Columns: []Column{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}, {Name: "e", Path: "o.p.e"}}}
	e := compile(t, r, table)
	for _, test := range []struct{ value, want string }{
		{`{"a":"1","b":"2","c":"3","d":"4","o":{"p":{"e":"5"}}}`, "write 1|2|3|4|5|"},
		{`{"b":"2"}`, "write NULL|2|default c|default d|NULL|"},
		{`{"a":null,"b":"2","c":null}`, "write NULL|2|NULL|default d|NULL|"},
		{`{"a":"1"}`, "missing column b: it is NOT NULL, and its field is not there"},
		{`{"b":null}`, "missing column b: it is NOT NULL, and its field is null"},
		{`{"b":"2","d":null}`, "missing column d: it is NOT NULL, and its field is null"},
		{`{"b":"2","o":{"p":null}}`, "write NULL|2|default c|default d|NULL|"},
		{`{"b":"2","o":{"p":{"x":1}}}`, "write NULL|2|default c|default d|NULL|"},
		{`{"b":"2","o":[]}`, `wrong_type column e: it is a field within "[]", which is an array and has none`},
		{`{"b":"2","o":{"p":7}}`, `wrong_type column e: it is a field within "7", which is a number and has none`},
	} {
		if got := row(e, ofValue(test.value)); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.value, got, test.want)
		}
	}
}

// TestBadRecords names each reason why a record cannot become a row, with its code.
func TestBadRecords(t *testing.T) {
	deep := strings.Repeat(`[`, 600) + strings.Repeat(`]`, 600)
	for _, test := range []struct{ typ, value, code, says string }{
		{"text", ``, CodeNotJSON, "it is empty"},
		{"text", `order 7 shipped`, CodeNotJSON, "no value can start like this (byte 0"},
		{"text", `{"v":1`, CodeNotJSON, "it ends early (after 6 bytes)"},
		{"text", `{"v":1} {}`, CodeNotJSON, "more after the end"},
		{"text", `{"v":NaN}`, CodeNotJSON, "no value can start"},
		{"text", `{"v":"a` + "\n" + `"}`, CodeNotJSON, "control character"},
		{"text", `{'v':1}`, CodeNotJSON, "name in quotes"},
		{"text", `[1]`, CodeNotObject, "the value is an array, not an object with fields"},
		{"text", `null`, CodeNotObject, "the value is null"},
		{"text", `{"v":` + deep + `}`, CodeTooDeep, "more than 512 deep"},
		{"text", `{"unused":` + deep + `}`, CodeTooDeep, "more than 512 deep"},
		{"text!", `{}`, CodeNoField, "the record has no field, the columns want v"},
		{"int", `{"v":true}`, CodeWrongType, `"true" is a boolean and does not go into integer`},
		{"int", `{"v":{}}`, CodeWrongType, "an object"},
		{"int", `{"v":"seven"}`, CodeInvalid, `"seven" is not valid for integer; expected is an integer`},
		{"int", `{"v":2147483648}`, CodeOutOfRange, `"2147483648" is out of the range of integer`},
		{"bigint", `{"v":1.5}`, CodeInexact, "would have to be rounded: bigint holds integers only"},
		{"bigint", `{"v":1e1000000}`, CodeOutOfRange, "out of the range of bigint"},
		{"numeric(12,2)", `{"v":12.345}`, CodeInexact, `"12.345" would have to be rounded: numeric(12,2) holds 2 digits after the point`},
		{"numeric", `{"v":1e1000000}`, CodeOutOfRange, "out of the range of numeric"},
		{"double precision", `{"v":1e999}`, CodeOutOfRange, "out of the range"},
		{"varchar(3)", `{"v":"four"}`, CodeTooLong, "has 4 characters, character varying(3) holds 3"},
		{"text", "{\"v\":\"\xff\"}", CodeInvalidUTF8, `"\xff" is not valid UTF-8`},
		{"text", `{"v":"a\u0000b"}`, CodeNUL, `\u0000`},
		{"text", `{"v":"a\ud800b"}`, CodeSurrogate, "half of a surrogate pair"},
		{"jsonb", "{\"v\":[\"\xff\"]}", CodeInvalidUTF8, "UTF-8"},
		{"jsonb", `{"v":["a\u0000b"]}`, CodeNUL, `\u0000`},
		{"jsonb", `{"v":["a\udc00b"]}`, CodeSurrogate, "surrogate"},
		{"jsonb", `{"v":[1e1000000]}`, CodeOutOfRange, "an exponent beyond 400"},
		{"jsonb", `{"v":[` + strings.Repeat("1", 131073) + `]}`, CodeOutOfRange, "numeric does not hold"},
		{"timestamptz", `{"v":1732278896}`, CodeWrongType, "has no unit"},
		{"timestamptz", `{"v":"2026-11-22T12:34:56"}`, CodeInvalid, "has no time zone"},
		{"timestamptz", `{"v":"2026-11-22T12:34:56.1234567Z"}`, CodeInexact, "6 digits of a second"},
		{"timestamp", `{"v":"2026-11-22T12:34:56+01:00"}`, CodeInvalid, "make the column timestamptz"},
		{"date", `{"v":"9999999-01-01"}`, CodeOutOfRange, "out of the range of date"},
		{"interval", `{"v":"P0.5M"}`, CodeInexact, "months and days whole"},
		{"int[]", `{"v":[[1],[2,3]]}`, CodeWrongType, "different lengths"},
		{"int[]", `{"v":"{1}"}`, CodeWrongType, "a string"},
		{"int[]", `{"v":[[[[[[[1]]]]]]]}`, CodeOutOfRange, "7 dimensions"},
		{"bytea", `{"v":"not base64"}`, CodeInvalid, "base64"},
	} {
		e := compile(t, Rule{Columns: []Column{{Name: "v"}}}, columns(t, "v "+test.typ))
		_, _, err := e.Append(nil, ofValue(test.value))
		var bad *BadRecord
		switch wantColumn := map[bool]string{true: "", false: "v"}[slices.Contains([]string{CodeNotJSON, CodeNotObject, CodeNoField, CodeTooDeep}, test.code)]; {
		case !errors.As(err, &bad):
			t.Errorf("%.60s as %s: error %v", test.value, test.typ, err)
		case bad.Code != test.code || bad.Column != wantColumn || !strings.Contains(whole(bad), test.says):
			t.Errorf("%.60s as %s: %s of column %q: %s\nwant %s: %s", test.value, test.typ, bad.Code, bad.Column, err, test.code, test.says)
		}
	}
}

// TestUnusedFieldsDoNoHarm: only what a column wants is looked into.
func TestUnusedFieldsDoNoHarm(t *testing.T) {
	e := compile(t, Rule{Columns: []Column{{Name: "a"}}}, columns(t, "a int"))
	for _, v := range []string{
		"{\"x\":\"\xff\\u0000\\ud800\",\"a\":1,\"\xff\\udfff\":[1e999999,{\"y\":\"\\u0000\"}]}",
		`{"a":"not a number","a":1}`,
		`{"a":{"b":"\u0000"},"\u0061":1}`,
	} {
		if got, want := row(e, ofValue(v)), "write ···\x01|"; got != want {
			t.Errorf("%q: %s, want %s", v, got, want)
		}
	}
}

func TestWholeValue(t *testing.T) {
	r := Rule{Columns: []Column{{"j", ".", ""}, {"b", ".", ""}, {"t", ".", ""}, {"y", ".", ""}}}
	e := compile(t, r, columns(t, "j json", "b jsonb", "t text", "y bytea"))
	for _, test := range []struct{ value, want string }{
		{` {"a" : "\u00e9"} `, "write {\"a\" : \"\\u00e9\"}|\x01{\"a\" : \"\\u00e9\"}| {\"a\" : \"\\u00e9\"} | {\"a\" : \"\\u00e9\"} |"},
		{`"x"`, "write \"x\"|\x01\"x\"|\"x\"|\"x\"|"},
		{`null`, "write NULL|NULL|NULL|NULL|"},
		{`{"a":"\u0000"}`, `nul column j: it holds \u0000, which Postgres' JSON cannot`},
		{`{`, "not_json not JSON: it ends early (after 1 byte)"},
	} {
		if got := row(e, ofValue(test.value)); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.value, got, test.want)
		}
	}
}

func TestProvenance(t *testing.T) {
	r := Rule{Columns: []Column{{Name: "a"}, {"k", "$key.id", ""}, {"trace", "$headers.trace", ""}, {"n", "$headers.n", ""}},
		Meta: []string{"topic", "partition", "offset", "timestamp", "key", "headers"}}
	table := columns(t, "a int", "k text", "trace text", "n int", "kafka_topic text", "kafka_partition int", "kafka_offset bigint", "kafka_timestamp timestamptz", "kafka_key bytea", "kafka_headers json")
	e := compile(t, r, table)
	rec := &record.Record{
		TopicPartition: record.TopicPartition{Topic: "orders", Partition: 3}, Offset: 260, Timestamp: 946684800001, Key: []byte(`{"id":"k7"}`), Value: []byte(`{"a":1}`),
		Source: record.HeaderList{{Key: "trace", Value: []byte("old")}, {Key: "trace", Value: []byte("né\"w\n")}, {Key: "n", Value: []byte("42")}, {Key: "none"}, {Key: "bin", Value: []byte{0xff, 0}}},
	}
	headers := `[{"key":"trace","value":"old"},{"key":"trace","value":"né\"w\u000a"},{"key":"n","value":"42"},{"key":"none","value":null},{"key":"bin","value_base64":"/wA="}]`
	want := "write ···\x01|k7|né\"w\n|···*|orders|···\x03|······\x01\x04|······\x03\xe8|{\"id\":\"k7\"}|" + headers + "|"
	if got := row(e, rec); got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	bare := &record.Record{TopicPartition: record.TopicPartition{Topic: "t"}, Value: []byte(`{"a":null}`), Timestamp: -1}
	if got, want := row(e, bare), "write NULL|NULL|NULL|NULL|t|····|········|NULL|NULL|NULL|"; got != want {
		t.Errorf("a record without key, headers and timestamp: %q, want %q", got, want)
	}
	rec.Key = []byte("plain")
	if got, want := row(e, rec), `not_json column k: the key is not JSON: no value can start like this (byte 0: "plain")`; got != want {
		t.Errorf("a key that is no JSON: %s, want %s", got, want)
	}
	rec.Key = []byte("[]")
	if got, want := row(e, rec), `not_object column k: the key is an array, not an object with fields: "[]"`; got != want {
		t.Errorf("a key that is no object: %s, want %s", got, want)
	}
}

// TestKeyAsAType: bytes that need not be JSON are read as texts are.
func TestKeyAsAType(t *testing.T) {
	for _, test := range []struct{ typ, key, want string }{
		{"text", `"quoted"`, `write "quoted"|`},
		{"text", "\xff", `invalid_utf8 column v: "\xff" is not valid UTF-8`},
		{"text", "a\x00b", `nul column v: "a\x00b" holds a zero byte, which Postgres' text cannot`},
		{"text", `back\slash`, `write back\slash|`},
		{"varchar(2)", `abc`, `too_long column v: "abc" has 3 characters, character varying(2) holds 2`},
		{"int", "7", "write ···\x07|"},
		{"int", `"7"`, "write ···\x07|"},
		{"uuid", `"00000000-0000-0000-0000-000000000001"`, "write " + strings.Repeat("·", 15) + "\x01|"},
		{"jsonb", `{"a":1}`, "write \x01{\"a\":1}|"},
		{"jsonb", `plain`, `not_json column v: not JSON: no value can start like this (byte 0: "plain")`},
		{"int[]", `[7]`, "write ···\x01·······\x17···\x01···\x01···\x04···\x07|"},
		{"bytea", "\xff\x00", "write \xff·|"},
		{"bytea", "", "write |"},
	} {
		e := compile(t, Rule{Columns: []Column{{"v", "$key", ""}}}, columns(t, "v "+test.typ))
		if got := row(e, &record.Record{Key: []byte(test.key)}); got != test.want {
			t.Errorf("%q as %s:\n got %q\nwant %q", test.key, test.typ, got, test.want)
		}
	}
}

func TestTombstones(t *testing.T) {
	one := Rule{Columns: []Column{{Name: "v"}, {"id", "order.id", ""}}, Key: []string{"id"}, Tombstones: true}
	two := Rule{Columns: []Column{{Name: "v"}, {"id", "order.id", ""}, {Name: "region"}}, Key: []string{"region", "id"}, Tombstones: true}
	fromKey := Rule{Columns: []Column{{Name: "v"}, {"id", "$key.id", ""}}, Key: []string{"id"}, Tombstones: true}
	for _, test := range []struct {
		name string
		rule Rule
		key  string
		want string
	}{
		{"the same path", one, `{"order":{"id":7}}`, "delete ···\x07|"},
		{"the last name", one, `{"id":7}`, "delete ···\x07|"},
		{"the same path before the last name", one, `{"id":8,"order":{"id":7}}`, "delete ···\x07|"},
		{"a JSON number", one, `7`, "delete ···\x07|"},
		{"a JSON string", one, `"7"`, "delete ···\x07|"},
		{"plain text", one, `007`, "delete ···\x07|"},
		{"two columns", two, `{"region":"eu","id":7}`, "delete eu|···\x07|"},
		{"one missing", two, `{"region":"eu"}`, `missing column id: the value is null, and the key has no field for this key column: "{\"region\":\"eu\"}"`},
		{"two columns of one scalar", two, `7`, `tombstone column region: the value is null, and the key is no JSON object with the key columns: "7"`},
		{"an array", one, `[7]`, `tombstone column id: the value is null, and the key is no JSON object with the key columns: "[7]"`},
		{"null", one, `null`, "missing column id: the value is null, and so is the key that would say which row to delete"},
		{"a null field", one, `{"id":null}`, `missing column id: the value is null, and the key has no field for this key column: "{\"id\":null}"`},
		{"not a number", one, `x7`, `invalid column id: "x7" is not valid for integer; expected is an integer`},
		{"a path into the key", fromKey, `{"id":7}`, "delete ···\x07|"},
	} {
		e := compile(t, test.rule, columns(t, "v text", "id int!", "region text"))
		if got := row(e, &record.Record{Key: []byte(test.key)}); got != test.want {
			t.Errorf("%s:\n got %q\nwant %q", test.name, got, test.want)
		}
		if test.rule.Key[0] == "id" && test.rule.Columns[1].Path == "order.id" {
			if got, want := row(e, ofValue(`{"order":{"id":7},"v":"x"}`)), "write ···\x07|x|"; got != want {
				t.Errorf("%s: a write is %q, want %q", test.name, got, want)
			}
		}
	}
	e := compile(t, one, columns(t, "v text", "id int!"))
	if got, want := row(e, &record.Record{}), "tombstone the value is null, and so is the key that would say which row to delete"; got != want {
		t.Errorf("no key and no value: %s, want %s", got, want)
	}
	one.Tombstones = false
	e = compile(t, one, columns(t, "v text", "id int!"))
	if got := row(e, &record.Record{Key: []byte("7")}); !strings.HasPrefix(got, "tombstone the value is null, and the sink does not delete") {
		t.Errorf("deleting is off: %s", got)
	}
	e = compile(t, Rule{Columns: []Column{{"k", "$key", ""}}}, columns(t, "k text"))
	if got, want := row(e, &record.Record{Key: []byte("7")}), "write 7|"; got != want {
		t.Errorf("no column needs the value: %s, want %s", got, want)
	}
}

func TestKeyMustBeThere(t *testing.T) {
	e := compile(t, Rule{Key: []string{"id"}}, columns(t, "id int", "v text"))
	for v, want := range map[string]string{
		`{"v":"x"}`:   "missing column id: it is a key column, and its field is not there",
		`{"id":null}`: "missing column id: it is a key column, and its field is null",
	} {
		if got := row(e, ofValue(v)); got != want {
			t.Errorf("%s: %s, want %s", v, got, want)
		}
	}
}

// TestEqualKeysHaveEqualBytes: an upsert finds the last record of a key by these bytes.
func TestEqualKeysHaveEqualBytes(t *testing.T) {
	for _, test := range []struct {
		typ       string
		same      []string
		different []string
	}{
		{"numeric", []string{`1`, `1.0`, `1.00`, `"1"`, `10e-1`, `0.1e1`}, []string{`1.01`, `-1`}},
		{"numeric", []string{`0`, `0.0`, `-0`, `0e5`}, []string{`0.1`}},
		{"numeric(9,2)", []string{`1`, `1.0`, `1.00`, `1.000`}, []string{`1.01`}},
		{"double precision", []string{`0`, `-0`, `0.0`, `"-0"`}, []string{`1`}},
		{"double precision", []string{`0.1`, `1e-1`, `0.10`}, []string{`0.2`}},
		{"char(5)", []string{`"a"`, `"a "`, `"a    "`}, []string{`" a"`}},
		{"bigint", []string{`7`, `7.0`, `"7"`, `"+07"`}, []string{`8`}},
		{"timestamptz", []string{`"2026-11-22T12:00:00Z"`, `"2026-11-22T13:00:00.000+01:00"`}, []string{`"2026-11-22T12:00:00.000001Z"`}},
		{"text", []string{`"é"`, `"\u00e9"`}, []string{`"e"`}},
		{"numeric[]", []string{`[1,2.0]`, `[1.0,2]`}, []string{`[1]`}},
	} {
		table := columns(t, "x json", "k "+test.typ)
		p, err := Compile(Rule{Columns: []Column{{Name: "x"}, {Name: "k"}}, Key: []string{"k"}}, table)
		if err != nil {
			t.Fatal(err)
		}
		key := func(v string) []byte {
			tuple, _, err := p.NewEncoder(nil).Append(nil, ofValue(`{"k":`+v+`,"x":`+v+`}`))
			if err != nil {
				t.Fatalf("%s %s: %v", test.typ, v, err)
			}
			return p.KeyOf(tuple)
		}
		first := key(test.same[0])
		for _, v := range test.same {
			if !bytes.Equal(key(v), first) {
				t.Errorf("%s: the keys %s and %s differ: %q, %q", test.typ, test.same[0], v, first, key(v))
			}
		}
		for _, v := range test.different {
			if bytes.Equal(key(v), first) {
				t.Errorf("%s: the keys %s and %s are one", test.typ, test.same[0], v)
			}
		}
	}
}

// TestFieldOrder gives one encoder records whose fields come in every order, with and without others between.
func TestFieldOrder(t *testing.T) {
	e := compile(t, Rule{Columns: []Column{{Name: "a"}, {Name: "b"}, {"c", "o.c", ""}, {"d", "o.d", ""}}}, columns(t, "a text", "b text", "c text", "d text"))
	fields := []string{`"a":"A"`, `"b" : "B"`, `"o":{"c":"C","x":1,"d":"D"}`, `"o2":{"c":9}`, `"a field without a column and a long name":[1,2]`, `"":0`}
	for i := range 3000 {
		var list []string
		want := map[string]string{"A": "NULL", "B": "NULL", "C": "NULL", "D": "NULL"}
		for n := i; n > 0; n /= 7 {
			if k := n % 7; k < len(fields) {
				list = append(list, fields[k])
				for name := range want {
					if strings.Contains(fields[k], `"`+name+`"`) {
						want[name] = name
					}
				}
			}
		}
		v := "{" + strings.Join(list, ", ") + "}"
		if !strings.Contains(fmt.Sprint(want), ":A") && !strings.Contains(fmt.Sprint(want), ":B") && want["C"] == "NULL" {
			if got := row(e, ofValue(v)); !strings.HasPrefix(got, CodeNoField) {
				t.Fatalf("%s: %s", v, got)
			}
			continue
		}
		if got, want := row(e, ofValue(v)), fmt.Sprintf("write %s|%s|%s|%s|", want["A"], want["B"], want["C"], want["D"]); got != want {
			t.Fatalf("%s: %s, want %s", v, got, want)
		}
	}
	for i := range 5000 { // more names than are learned
		if got, want := row(e, ofValue(fmt.Sprintf(`{"name %d":1,"a":"A","x%d":{"a":2}}`, i, i))), "write A|NULL|NULL|NULL|"; got != want {
			t.Fatalf("record %d: %s, want %s", i, got, want)
		}
	}
}

// TestNoAllocations: once an encoder has seen the fields, a record costs no memory.
func TestNoAllocations(t *testing.T) {
	r := orderRule()
	r.Columns = append(r.Columns, Column{"raw", ".", "jsonb"}, Column{"k", "$key.k", "text"}, Column{"h", "$headers.h", "text"}, Column{"tags", "", "text[]"}, Column{"f", "", "float8"}, Column{"ip", "", "inet"},
		Column{"big", "", "numeric"}, Column{"per", "", "interval"}, Column{"bin", "", "bytea"}, Column{"day", "", "date"})
	r.Meta = []string{"topic", "partition", "offset", "timestamp", "key", "headers"}
	e := declared(t, r).NewEncoder(nil)
	records := orders(100)
	for i, rec := range records {
		rec.Key = []byte(`{"k":"v"}`)
		rec.Source = record.HeaderList{{Key: "h", Value: []byte("é")}}
		rec.Value = append(rec.Value[:len(rec.Value)-1], fmt.Sprintf(`,"tags":["a","b\n",null],"f":1.25e-%d,"ip":"10.0.0.%d/8","big":123456789012345678901234567890.%d,"per":"P1DT%dS","bin":"3q2+7w==","day":"2026-11-22"}`, i, i, i, i)...)
	}
	var dst []byte
	all := func() {
		dst = dst[:0]
		for _, rec := range records {
			var err error
			if dst, _, err = e.Append(dst, rec); err != nil {
				t.Fatal(err)
			}
		}
	}
	all()
	if n := testing.AllocsPerRun(10, all); n != 0 {
		t.Errorf("%v allocations for %d records", n, len(records))
	}
}

// whole is a dead letter's reason, led by the column.
func whole(b *BadRecord) string {
	if b.Column == "" {
		return b.Reason
	}
	return "column " + b.Column + ": " + b.Reason
}
