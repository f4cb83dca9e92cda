package transform

import (
	"encoding/binary"
	"strings"
	"testing"
)

// TestLacking: a field that is not there and whose column has a default that only Postgres can compute is left out of the tuple,
// and the tuple's shape says so.
func TestLacking(t *testing.T) {
	table := columns(t, "id text!", "a text=", "b text!=", "c text", "d text!=")
	table.Columns[4].Default = []byte("four")
	p, err := Compile(Rule{Key: []string{"id"}}, table)
	if err != nil {
		t.Fatal(err)
	}
	e := p.NewEncoder(nil)
	shapes := map[string]Shape{}
	for range 2 { // a shape is met again
		for _, test := range []struct{ value, want, columns string }{
			{`{"id":"k","a":"1","b":"2","c":"3","d":"4"}`, "write k|1|2|3|4|", "id a b c d"},
			{`{"id":"k","a":null,"b":"2"}`, "write k|NULL|2|NULL|four|", "id a b c d"},
			{`{"id":"k","b":"2","c":"3"}`, "write k|2|3|four|", "id b c d"},
			{`{"id":"k","a":"1"}`, "write k|1|NULL|four|", "id a c d"},
			{`{"id":"k","c":null}`, "write k|NULL|four|", "id c d"},
			{`{"id":"k","b":null}`, "missing column b: it is NOT NULL, and its field is null", ""},
			{`{"a":"1"}`, "missing column id: it is a key column, and its field is not there", ""},
		} {
			if got := row(e, ofValue(test.value)); got != test.want {
				t.Errorf("%s:\n got %s\nwant %s", test.value, got, test.want)
			}
			if test.columns == "" {
				continue
			}
			if tuple, _, _ := e.Append(nil, ofValue(test.value)); int(binary.BigEndian.Uint16(tuple)) != len(strings.Fields(test.columns)) {
				t.Errorf("%s: %d fields", test.value, binary.BigEndian.Uint16(tuple))
			}
			if got := names(e.ColumnsOf(e.Shape())); got != test.columns {
				t.Errorf("%s: shape %d has the columns %s, want %s", test.value, e.Shape(), got, test.columns)
			}
			if s, ok := shapes[test.columns]; ok && s != e.Shape() {
				t.Errorf("%s: shape %d, was %d before", test.value, e.Shape(), s)
			}
			shapes[test.columns] = e.Shape()
		}
	}
	if e.Shapes() != 4 || shapes["id a b c d"] != 0 || !p.Computes() {
		t.Errorf("%d shapes: %v", e.Shapes(), shapes)
	}
	known, dst := ofValue(`{"id":"k","c":"3"}`), make([]byte, 0, 1<<10)
	if got := testing.AllocsPerRun(100, func() { _, _, _ = e.Append(dst, known) }); got > 0 {
		t.Errorf("%v allocations for a record of a known shape", got)
	}
}
