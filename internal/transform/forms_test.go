package transform

import (
	"bytes"
	"fmt"
	"testing"
)

// TestForms reads one path in several forms at once: each column must get what it gets alone.
func TestForms(t *testing.T) {
	types := []string{"text", "jsonb", "json", "text[]", "jsonb[]", "bigint", "bigint[]", "numeric", "boolean", "bytea", "double precision"}
	values := []string{
		`null`, `true`, `1`, `-2.50`, `1e2`, `"a"`, `"\u00e9\n"`, `"é"`, `"\u0000"`, `"\ud800"`, `""`, `{}`, `{"a":"\u00e9"}`, `{"b":[1,{"a":2}]}`,
		`[]`, `[1,2]`, `["x","\"y\"",null]`, `[[1,2],[3,4]]`, `[[1],[2,3]]`, `[{"a":1},[2],"s",3,null,true]`, `["\ud800"]`, `[ 1 , [ ] ]`, "\"\xff\"", "[\"\xff\"]",
	}
	for _, path := range []string{"a", "o.a"} {
		alone := make([]*Encoder, len(types))
		for i, typ := range types {
			alone[i] = declared(t, Rule{Columns: []Column{{"c", path, typ}}}).NewEncoder(nil)
		}
		for _, v := range values {
			// Of a repeated field the last one counts, in every form.
			text := fmt.Sprintf(`{"a":["old",{"x":1}],"a":%s}`, v)
			if path == "o.a" {
				text = fmt.Sprintf(`{"o":{"a":"old"},"z":1,"o":%s}`, text)
			}
			var columns []Column
			var want []byte
			for i, e := range alone {
				tuple, _, err := e.Append(nil, ofValue(text))
				if err == nil {
					columns = append(columns, Column{fmt.Sprint("c", i), path, types[i]})
					want = append(want, tuple[2:]...)
				}
			}
			if len(columns) == 0 {
				continue
			}
			got, _, err := declared(t, Rule{Columns: columns}).NewEncoder(nil).Append(nil, ofValue(text))
			if err != nil || !bytes.Equal(got[2:], want) {
				t.Errorf("%s of %s into %v: %q, %v; alone %q", path, text, columns, got, err, want)
			}
		}
	}
}
