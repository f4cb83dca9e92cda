package transform

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sinker/internal/record"
)

// inferredTypes are the columns as "name type", lines.
func inferredTypes(in Inference) string {
	var got []string
	for _, c := range in.Columns {
		got = append(got, c.Name+" "+c.Type)
	}
	return strings.Join(got, "\n")
}

func TestInfer(t *testing.T) {
	records := []*record.Record{
		{}, ofValue(`[1]`), ofValue(`not JSON`),
		ofValue(`{"id":1,"big":1,"mixed":1,"ok":true,"at":"2026-11-22T12:34:56Z","when":"2026-11-22T12:34:56","doc":{"a":1},"never":null,"any":1,"twice":"x","twice":1,"od.d \"$\"":1,
			"day":"2026-11-22","zip":"09005","notaday":"2026-02-30","flag":1,"tree":{},"spaced":"2026-11-22 12:34:56","two":"2026-11-22","huge":1}`),
		ofValue(`{"late":[1],"id":-5,"big":99999999999999999999,"mixed":1.5,"ok":null,"at":"2026-11-22T12:34:56.5+01:00","any":"x","exp":1e3,"max":9223372036854775807,"text":"2026-11-22T12:34:56Z",
			"flag":true,"tree":"x","two":"2026-11-22T12:34:56","huge":1e200000}`),
		ofValue(`{"text":"x","nano":"2026-11-22T12:34:56.123456789Z","huge":null}`),
	}
	in, err := Infer(Rule{}, nil, slices.Values(records))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"id numeric", "big numeric", "mixed numeric", "ok boolean", "at timestamptz", "when timestamp", "doc jsonb", "never text", "any text",
		"twice numeric", `od.d "$" numeric`, "day date", "zip text", "notaday text", "flag jsonb", "tree jsonb", "spaced timestamp", "two text", "huge text",
		"late jsonb", "exp numeric", "max numeric", "text text", "nano text"}
	if got := inferredTypes(in); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	e := declared(t, Rule{Columns: in.Columns}).NewEncoder(nil)
	for _, r := range records[3:] {
		if _, _, err := e.Append(nil, r); err != nil {
			t.Errorf("%s does not go into the table made of it: %v", r.Value, err)
		}
	}
}

// TestInferBigint: whole numbers become bigint once there were a thousand of them, and nothing else was there.
func TestInferBigint(t *testing.T) {
	for _, test := range []struct {
		n    int
		last string
		want string
	}{
		{1, "1", "numeric"}, {999, "1", "numeric"}, {1000, "1", "bigint"}, {5000, "-9223372036854775808", "bigint"},
		{5000, "1.5", "numeric"}, {5000, "1.0", "numeric"}, {5000, "1e2", "numeric"}, {5000, "9223372036854775808", "numeric"},
		{5000, `"x"`, "text"}, {5000, "true", "jsonb"}, {5000, "[1]", "jsonb"}, {1000, "null", "numeric"}, {1001, "null", "bigint"},
	} {
		var records []*record.Record
		for i := range test.n - 1 {
			records = append(records, ofValue(fmt.Sprintf(`{"n":%d}`, i)))
		}
		in, err := Infer(Rule{}, nil, slices.Values(append(records, ofValue(`{"n":`+test.last+`}`))))
		if err != nil || in.Columns[0].Type != test.want {
			t.Errorf("%d numbers, the last %s: %+v, %v, want %s", test.n, test.last, in.Columns, err, test.want)
		}
	}
}

// TestInferLeavesOut: a field that cannot be a column does not keep the others from being some.
func TestInferLeavesOut(t *testing.T) {
	long := strings.Repeat("x", 63)
	for name, reason := range map[string]string{
		``: "empty", `\u0000`: "not text", `x\u0000y`: "not text", `\ud800`: "not text", "\xff": "not text", "a\xc3": "not text",
		long + "y": "64 bytes", strings.Repeat("é", 32): "64 bytes", "kafka_offset": "meta fills",
		"ctid": "Postgres has", "xmin": "Postgres has", "xmax": "Postgres has", "cmin": "Postgres has", "cmax": "Postgres has", "tableoid": "Postgres has",
		"ct\\u0069d": "Postgres has",
		long:         "", "CTID": "", "oid": "", "kafka_key": "", `a\"b`: "", "select": "", "a.b": "", " ": "", "\\n": "", "é": "", "$key": "", "😀": "", "a;--": "",
	} {
		in, err := Infer(Rule{Meta: []string{"offset"}}, nil, slices.Values([]*record.Record{ofValue(`{"` + name + `":1,"id":2}`)}))
		switch {
		case err != nil:
			t.Errorf("%q: %v", name, err)
		case reason == "" && (len(in.Columns) != 2 || len(in.LeftOut) > 0):
			t.Errorf("%q is left out: %+v", name, in)
		case reason != "" && (inferredTypes(in) != "id numeric" || len(in.LeftOut) != 1 || !strings.Contains(in.LeftOut[0].Reason, reason)):
			t.Errorf("%q: %+v, want %s", name, in, reason)
		}
	}
	var many []*record.Record
	for i := range 1700 {
		many = append(many, ofValue(fmt.Sprintf(`{"f%d":1}`, i)))
	}
	in, err := Infer(Rule{Meta: []string{"offset"}}, nil, slices.Values(many))
	if err != nil || len(in.Columns) != 1599 || len(in.LeftOut) != 101 || !strings.Contains(in.LeftOut[0].Reason, "1600 columns") {
		t.Errorf("1700 fields: %d columns, %d left out, %v", len(in.Columns), len(in.LeftOut), err)
	}
}

func TestInferErrors(t *testing.T) {
	avro := "\x00\x00\x00\x01\x02\x02\x08abcd"
	for _, test := range []struct {
		values []string
		key    string
		says   string
	}{
		{[]string{`[1]`, `5`, `"x"`}, "", "3 are JSON without fields, such as an array"},
		{[]string{`{}`}, "", "1 is an object without a field"},
		{[]string{`{}`, `x`, ``, `[]`, avro, avro}, "", "none of 6 sampled records is a JSON object with a field, so there is nothing to make columns of: " +
			"4 are not JSON (of one of them: it begins with byte 0 and the id 258, as the records of a schema registry do (Avro, Protobuf); " +
			"sinker reads plain JSON only: let the producer write JSON, or convert the topic before); " +
			"1 is JSON without fields, such as an array; 1 is an object without a field"},
		{[]string{`{"ctid":1}`}, "", "none of the fields of 1 sampled record can be a column; the first: ctid, because Postgres has a column of that name"},
		{[]string{`{"ID":1,"a":2}`}, "id", "no sampled record has a field for the key column id (did you mean ID?); they have ID, a"},
		{[]string{`{"ctid":1,"a":2}`}, "ctid", "key column ctid cannot be made: Postgres has"},
	} {
		var records []*record.Record
		for _, v := range test.values {
			records = append(records, ofValue(v))
		}
		var r Rule
		if test.key != "" {
			r.Key = []string{test.key}
		}
		if _, err := Infer(r, nil, slices.Values(records)); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%.40q:\n got %v\nwant %s", test.values, err, test.says)
		}
	}
	if _, err := Infer(Rule{MaxDepth: 2}, nil, slices.Values([]*record.Record{ofValue(`{"a":[[]]}`)})); err == nil || !strings.Contains(err.Error(), "1 is nested deeper than max_depth") {
		t.Errorf("a deep record: %v", err)
	}
	if _, err := Infer(Rule{}, nil, slices.Values([]*record.Record{{}})); err == nil || !strings.Contains(err.Error(), "1 has a null value") {
		t.Errorf("a tombstone: %v", err)
	}
	// A dead letter of such a record says it too.
	e := compile(t, Rule{}, columns(t, "id int"))
	if got := row(e, ofValue(avro)); !strings.HasPrefix(got, "not_json not JSON: it begins with byte 0 and the id 258, as the records of a schema registry do") {
		t.Error(got)
	}
}
