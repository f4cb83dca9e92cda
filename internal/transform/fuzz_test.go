package transform

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"sinker/internal/pgbin"
	"sinker/internal/record"
)

// everyType is a table with a column of every type that comes from JSON, the strict decoder's view of it included.
func everyType(tb testing.TB) (Rule, Table, []strictColumn) {
	tb.Helper()
	spelled := []struct{ name, path, typ string }{
		{"b", "", "bool"}, {"i2", "", "int2"}, {"i4", "", "int4"}, {"i8", "", "int8"}, {"f4", "", "float4"}, {"f8", "", "float8"},
		{"n", "", "numeric"}, {"n2", "", "numeric(12,2)"}, {"n30", "", "numeric(30,10)"}, {"ns", "", "numeric(2,-3)"}, {"nf", "", "numeric(3,5)"},
		{"t", "", "text"}, {"v", "", "varchar(3)"}, {"c", "", "char(3)"}, {"by", "", "bytea"}, {"u", "", "uuid"},
		{"d", "", "date"}, {"ti", "", "time"}, {"ts", "", "timestamp"}, {"tz", "", "timestamptz"}, {"tz3", "", "timestamptz(3)"},
		{"j", "", "json"}, {"jb", "", "jsonb"}, {"ai", "", "int[]"}, {"at", "", "text[]"}, {"aj", "", "jsonb[]"}, {"an", "", "numeric(5,2)[]"},
		{"o_x", "o.x", "int8"}, {"o_y", "o.y", "text"}, {"o", "o", "jsonb"}, {"o_p_z", "o.p.z", "text"}, {"long", "a_name_that_is_longer_than_sixteen_bytes", "text"},
		{"odd", `"sp ace.\"\\é"`, "text"}, {"tz_i8", "i8", "text"},
	}
	var r Rule
	var t Table
	var strict []strictColumn
	for _, s := range spelled {
		typ, err := pgbin.ParseType(s.typ)
		if err != nil {
			tb.Fatal(err)
		}
		r.Columns = append(r.Columns, Column{Name: s.name, Path: s.path})
		t.Columns = append(t.Columns, TableColumn{Name: s.name, Type: typ})
		path := strings.Split(s.path, ".")
		switch {
		case s.path == "":
			path = []string{s.name}
		case s.name == "odd":
			path = []string{`sp ace."\é`}
		}
		strict = append(strict, strictColumn{path: path, typ: typ})
	}
	mood := pgbin.EnumType(99, "mood", []string{"sad", "ok", "häppy"})
	r.Columns = append(r.Columns, Column{Name: "e"})
	t.Columns = append(t.Columns, TableColumn{Name: "e", Type: mood})
	strict = append(strict, strictColumn{path: []string{"e"}, typ: mood})
	return r, t, strict
}

// seeds are values that lead the fuzzer to every branch.
var seeds = []string{
	`{}`, `[]`, `null`, `"x"`, `1`, ``, ` `, `{`, `{"i8":1}x`, "\xef\xbb\xbf{}", `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `[1,]`, `{"i8":01}`, `{"i8":-}`, `{"i8":1.}`, `{"i8":.5}`, `{"i8":1e}`,
	`{"b":true,"i2":1,"i4":2,"i8":3,"f4":1.5,"f8":2.5,"n":1.250,"n2":12.50,"t":"x","u":"5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5b"}`,
	`{"b":"yes","i2":"-32768","i4":"+5","i8":" 9223372036854775807 ","f4":"NaN","f8":"-inf","n":"Infinity","n2":"1e2"}`,
	`{"b":1}`, `{"b":0}`, `{"b":2}`, `{"b":"o"}`, `{"b":"OF"}`, `{"b":1.0}`, `{"b":[]}`,
	`{"i2":32768}`, `{"i4":2147483648}`, `{"i8":9223372036854775808}`, `{"i8":-9223372036854775808}`, `{"i8":1e2}`, `{"i8":1.5}`, `{"i8":15e-1}`, `{"i8":100e-2}`, `{"i8":1e1000000}`, `{"i8":0e1000000}`, `{"i8":"1.0"}`, `{"i8":"0x10"}`, `{"i8":-0}`, `{"i8":"--1"}`, `{"i8":"+"}`,
	`{"f4":3.5e38}`, `{"f8":1e309}`, `{"f8":1e-400}`, `{"f8":4.9e-324}`, `{"f8":-0}`, `{"f8":-0.0}`, `{"f4":16777217}`, `{"f8":0.1}`, `{"f8":123456789012345678}`, `{"f8":9007199254740993}`,
	`{"n":1e131071}`, `{"n":1e131072}`, `{"n":1e-16383}`, `{"n":1e-16384}`, `{"n":0.000010}`, `{"n":12345678901234567890.123456789}`, `{"n":-0.00}`, `{"n":1.50e1}`, `{"n":"  .5  "}`, `{"n":"5."}`, `{"n":10000}`, `{"n":100000000}`, `{"n":1e3}`,
	`{"n2":0.005}`, `{"n2":0.010}`, `{"n2":9999999999.99}`, `{"n2":10000000000}`, `{"n2":"NaN"}`, `{"n2":"inf"}`, `{"ns":99000}`, `{"ns":99500}`, `{"ns":100000}`, `{"nf":0.00999}`, `{"nf":0.01}`, `{"nf":0.000001}`, `{"n30":0.0000000001}`, `{"n30":12345678901234567890.5}`,
	`{"t":1}`, `{"t":1.50}`, `{"t":true}`, `{"t":null}`, `{"t":{"a":[1, 2]}}`, `{"t":"\u00e9\n\t\"\\\/\b\f\r"}`, `{"t":"\ud83d\ude00"}`, `{"t":"\ud83d"}`, `{"t":"\ude00"}`, `{"t":"\ud83d\ud83d\ude00"}`, `{"t":"\u0000"}`, `{"t":"\uD83Dx"}`, "{\"t\":\"\xff\"}", "{\"t\":\"ab\xff\",\"unused\":\"padding\"}", "{\"t\":\"abcdefgh\xffijk\",\"unused\":\"padding\"}", "{\"t\":\"abcdefghij\xff\",\"unused\":\"padding\"}", "{\"t\":\"a\\nb\xff\",\"unused\":\"padding\"}", "{\"t\":\"a\nb\"}", "{\"t\":\"a\x00b\"}", `{"t":"\x"}`, `{"t":"\u12g4"}`, `{"t":"0123456789abcdef0123456789"}`, `{"t":"é"}`, `{"t":"\"`, `{"t":"`,
	"{\"unused\":\"\xff\\ud800\\u0000\",\"unused2\":1e999999,\"i4\":1}", "{\"un\xffused\":[{\"a\":1e9}],\"i4\":1}",
	`{"v":"abc"}`, `{"v":"abcd"}`, `{"v":"äöü"}`, `{"c":"ab "}`, `{"c":"abc "}`, `{"v":1234}`,
	`{"by":"\\xDEADbeef"}`, `{"by":"\\xabc"}`, `{"by":"3q2+7w=="}`, `{"by":"3q2+7x=="}`, `{"by":"3q2+7w"}`, `{"by":""}`, `{"by":"3q2+\n7w=="}`, `{"by":1}`,
	`{"u":"{5F0C6C2E8D6B4A3B9C440D1C2E3F4A5B}"}`, `{"u":"5f0c-6c2e-8d6b-4a3b-9c44-0d1c-2e3f-4a5b"}`, `{"u":"5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5g"}`, `{"u":"5f0c6c2e"}`, "{\"u\":\"5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5`\"}", `{"u":"@f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5b"}`, `{"u":"5f0c6c2e-8d6/-4a3b-9c44-0d1c2e3f4a5b"}`, `{"u":"5f0c6c2e-8d6b-4a3b-9c4:-0d1c2e3f4a5b"}`, `{"u":"5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4aGb"}`, `{"u":"5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3fÁa"}`, `{"u":""}`,
	`{"d":"2026-11-22"}`, `{"d":"2024-02-29"}`, `{"d":"2023-02-29"}`, `{"d":"0001-01-01 BC"}`, `{"d":"infinity"}`, `{"d":"5874897-12-31"}`, `{"d":"5874898-01-01"}`, `{"d":"4714-11-24 BC"}`, `{"d":"4714-11-23 BC"}`, `{"d":20261122}`, `{"d":"0000-01-01"}`, `{"d":"2026-11-22T00:00:00"}`, `{"d":"1900-02-29"}`,
	`{"ti":"12:34:56.789"}`, `{"ti":"24:00:00"}`, `{"ti":"24:00:01"}`, `{"ti":"23:59:60"}`, `{"ti":"12:34"}`, `{"ti":"12:34:56.1234567"}`, `{"ti":"12:34:56.1234560"}`, `{"ti":"12:34:56Z"}`, `{"ti":"1:02:03"}`,
	`{"ts":"2026-11-22T12:34:56"}`, `{"ts":"2026-11-22 12:34:56.5Z"}`, `{"ts":"2026-11-22T12:34:56+01:00"}`, `{"ts":"0044-03-15 12:00:00 BC"}`, `{"ts":"294276-12-31T23:59:59.999999"}`, `{"ts":"294277-01-01T00:00:00"}`, `{"ts":1732278896}`, `{"ts":"2026-11-22T24:00:00"}`, `{"ts":"-infinity"}`, `{"ts":"inf"}`,
	`{"tz":"2026-11-22T12:34:56.789012Z"}`, `{"tz":"2026-11-22T12:34:56Z"}`, `{"tz":"2026-11-22T12:34:56.7+05:30"}`, `{"tz":"2026-11-22 12:34:56-08"}`, `{"tz":"2026-11-22T12:34:56.7890125Z"}`, `{"tz":"2026-11-22T12:34:56.123000000Z"}`, `{"tz":"2026-11-22T12:34:56"}`, `{"tz":"2026-11-22T12:34:56+0530"}`, `{"tz":"2026-02-30T12:34:56Z"}`, `{"tz":"0000-01-01T00:00:00Z"}`, `{"tz":"2026-11-00T12:34:56Z"}`, `{"ts":"0589238-01-01T00:00:00 BC"}`, `{"ts":"0600000-01-01T00:00:00 BC"}`, `{"ts":"1000000-01-01T00:00:00 BC"}`, `{"ts":"3000000-01-01T00:00:00 BC"}`, `{"ts":"0880000-01-01T00:00:00"}`, `{"ts":"1000000-01-01T00:00:00"}`, `{"ts":"2000000-01-01T00:00:00"}`, `{"ts":"0600000-01-01T00:00:00"}`, `{"tz":"2026-00-22T12:34:56Z"}`, `{"tz":"2026-11-22T12:60:56Z"}`, `{"tz":"2026-11-22T12:34:60Z"}`, `{"tz":"2026-11-22T12:34:5:Z"}`, `{"tz":"2026-11-22T12:34:56.12/456Z"}`, `{"tz":"2026-13-01T12:34:56Z"}`, `{"tz":"2026-11-22T25:00:00Z"}`, `{"tz":"2026-11-22T12:34:56.Z"}`, `{"tz":"2026-11-22t12:34:56z"}`, `{"tz":"2026-11-22T12:34:56+16:00"}`, `{"tz":"2026-11-22T12:34Z"}`, `{"tz":"2026-11-22T12:34:56 +01:00"}`, `{"tz":"0044-03-15T12:00:00Z BC"}`, `{"tz":"\u0032026-11-22T12:34:56Z"}`,
	`{"tz3":"2026-11-22T12:34:56.123Z"}`, `{"tz3":"2026-11-22T12:34:56.1234Z"}`, `{"tz3":"2026-11-22T12:34:56.123000Z"}`,
	`{"j": { "a" : [ 1 , 2 ] } ,"jb":{"a":"\u0000"}}`, `{"jb":{"a":1e401}}`, `{"jb":{"a":1e400}}`, `{"jb":[1e-400,-0,0.0]}`, `{"jb":"x"}`, `{"jb":"\ud800"}`, `{"j":{"\u0000":1}}`, "{\"jb\":{\"\xff\":1}}", `{"jb":{"a":"1e999 \"1e999\""}}`,
	`{"ai":[1,2,3]}`, `{"ai":[]}`, `{"ai":[[1,2],[3,4]]}`, `{"ai":[[1,2],[3]]}`, `{"ai":[[]]}`, `{"ai":[1,[2]]}`, `{"ai":[null,1]}`, `{"ai":[null,[1]]}`, `{"ai":[[null],null]}`, `{"ai":[1.5]}`, `{"ai":"{1,2}"}`, `{"ai":[[[[[[1]]]]]]}`, `{"ai":[[[[[[[1]]]]]]]}`, `{"ai":[ [ 1 , 2 ] , [ 3 , 4 ] ]}`, `{"at":["a",null,"\u00e9",1,true,{"x":1}]}`, `{"aj":[[1],{"a":null},null,"x"]}`, `{"an":[1.25,"2.5"]}`, `{"an":[1.255]}`, `{"an":[1000]}`,
	`{"o":{"x":1,"y":"z","p":{"z":"deep"}}}`, `{"o":{"x":1},"o":{"y":"2"}}`, `{"o":{"x":1},"o":null}`, `{"o":{"x":1},"o":5}`, `{"o":5,"o":{"x":1}}`, `{"o":{"p":5}}`, `{"o":{"p":null,"x":1,"x":2}}`, `{"o":{"p":{"z":"a"},"p":{}}}`, `{"i8":1,"i8":2}`, `{"i8":"bad","i8":2}`, `{"i8":2,"i8":"bad"}`, `{"\u0069\u0038":7}`, `{"i8" : 7 }`, " {\n\t\"i8\"\r: 7,\n\"t\" :\"x\" }\n", `{"o":[1]}`, `{"o":"s"}`,
	`{"a_name_that_is_longer_than_sixteen_bytes":"x","a_name_that_is_longer_than_sixteen_bytes_":"y"}`, `{"sp ace.\"\\é":"x"}`, `{"sp ace.\"\\\u00e9":"x"}`, `{"":1,"i8":2}`, `{"i8":1,"sp ace."\é":2}`,
	`{"e":"ok"}`, `{"e":"h\u00e4ppy"}`, `{"e":"OK"}`, `{"e":1}`,
	`{"x":[[[[[[[[[[]]]]]]]]]]}`, `{"x":[[[[[[[[[[[]]]]]]]]]]]}`, `{"x":{"x":{"x":{"x":{"x":{"x":{"x":{"x":{"x":{"x":{}}}}}}}}}}}`,
}

// pairs are values, and what the encoder saw before them and expects again.
var pairs = [][2]string{
	{`{"a_name_that_is_longer_than_sixteen_BYTES":"x"}`, `{"a_name_that_is_longer_than_sixteen_bytes":"x"}`},
	{`{"a_name_that_is_l":"x","i8":12345678901234567}`, `{"a_name_that_is_longer_than_sixteen_bytes":"x"}`},
	{`{"sp ace."\é":"x","i8":12345678901234567}`, `{"sp ace.\"\\é":"x"}`},
	{`{"t":"x","o":{"y":"1"},"i8":2}`, `{"i8":2,"t":"x","o":{"y":"1","x":5}}`},
	{`{"i8":2,"i8":3,"t":"x"}`, `{"i8":2,"t":"x"}`},
	{"{\"i8\"\x00:2}", `{"i8":2}`},
}

const fuzzDepth = 11

// unmarked is a text without one byte order mark at its beginning, which only sinker passes over.
func unmarked(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) }

// FuzzDecode holds the encoder to the strict decoder: the same bytes for what both take, and both refuse the same. One
// encoder that remembers the order of fields of earlier inputs must do what a new one does.
func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), []byte(`{"i8":1,"t":"before"}`))
		f.Add([]byte(s), []byte(s))
	}
	for _, pair := range pairs {
		f.Add([]byte(pair[0]), []byte(pair[1]))
	}
	for _, r := range orders(5) {
		f.Add(r.Value, r.Value)
	}
	r, table, strict := everyType(f)
	r.MaxDepth = fuzzDepth
	p, err := Compile(r, table)
	if err != nil {
		f.Fatal(err)
	}
	old := p.NewEncoder(nil)
	f.Fuzz(func(t *testing.T, value, before []byte) {
		want, wantErr := strictRow(unmarked(value), strict, fuzzDepth)
		warmed := p.NewEncoder(nil)
		warmed.Append(nil, &record.Record{Value: before})
		for name, e := range map[string]*Encoder{"new": p.NewEncoder(nil), "warmed": warmed, "old": old} {
			value := value[:len(value):len(value)]
			got, op, err := e.Append([]byte("before"), &record.Record{Value: value})
			var bad *BadRecord
			switch {
			case err != nil && (!errors.As(err, &bad) || bad.Code == "" || bad.Reason == "" || string(got) != "before"):
				t.Fatalf("%s encoder: error %#v, and %q", name, err, got)
			case (err != nil) != (wantErr != nil):
				t.Fatalf("%s encoder: %q: error %v, the strict decoder's %v", name, value, err, wantErr)
			case err == nil && (!bytes.Equal(got[6:], want) || op != Write):
				t.Fatalf("%s encoder: %q:\n got %s\nwant %s", name, value, fieldsOf(got[6:]), fieldsOf(want))
			}
		}
	})
}

// fieldsOf shows a tuple's fields, for messages.
func fieldsOf(tuple []byte) string {
	var b strings.Builder
	for i := 2; i < len(tuple); {
		n := int32(binary.BigEndian.Uint32(tuple[i:]))
		i += 4
		if n < 0 {
			b.WriteString("NULL|")
			continue
		}
		b.WriteString(strings.ReplaceAll(string(tuple[i:i+int(n)]), "\x00", "·") + "|")
		i += int(n)
	}
	return b.String()
}
