package transform_test

import (
	"testing"

	"sinker/internal/record"
)

// TestJSONNull holds what the manual says of null in json and jsonb: the column is NULL, and what is within a document stays.
func TestJSONNull(t *testing.T) {
	pg := connect(t)
	for _, typ := range []string{"json", "jsonb", "json[]", "jsonb[]"} {
		pg.exec(`DROP TABLE IF EXISTS v; CREATE TABLE v (v ` + typ + `)`)
		e := columnEncoder(t, typ)
		values := map[string]string{`null`: `NULL`}
		if typ[len(typ)-1] == ']' {
			values[`[null]`], values[`[[null]]`] = `{NULL}`, `{[null]}`
			values[`[{"a": null}]`] = `{"{\"a\": null}"}`
		} else {
			values[`{"a": null}`], values[`[null]`], values[`"null"`] = `{"a": null}`, `[null]`, `"null"`
		}
		for value, want := range values {
			tuple, _, err := e.Append(nil, &record.Record{Value: []byte(`{"v":` + value + `}`)})
			if err != nil {
				t.Errorf("%s of %s: %v", typ, value, err)
				continue
			}
			pg.exec(`TRUNCATE v`)
			pg.copy("v (v)", tuple)
			if got := pg.one(`SELECT v::text FROM v`); got != want {
				t.Errorf("%s of %s is %s, want %s", typ, value, got, want)
			}
		}
	}
}
