package config

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sinker/internal/record"
	"sinker/internal/transform"
)

// TestProposedColumnsAreRead: what `check` and `run` print of a table that is made from records is a configuration
// that makes the same columns of the same fields, whatever the fields' names.
func TestProposedColumnsAreRead(t *testing.T) {
	var object strings.Builder
	names := []string{"id", "a.b", "$key", "$offset", "${HOME}", "$$", `q"u`, `back\slash`, "sp ace", "yes", "null",
		"NO", "1", "1.5", "~", "date", "timestamp", "double", "time",
		"a: b", "- x", "#x", "x #y", "[x]", "{x}", "x,y", "&a", "*a", "!t", "f(x)", "a*b", "a+b", "%x", "@x", "`x`", "'x'",
		"|", ">", "?", "é", "日本", "😀", " x ", "\n", "\t", "<<", "=", ".", "",
		"\u007f", "\u0085", "\u2028", "\u200b", "\ufeff", "<a&b>", strings.Repeat("x", 63)}
	for i, n := range names {
		text, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		object.WriteString(map[bool]string{true: "{", false: ","}[i == 0] + string(text) + ":" +
			[]string{"1", `"x"`, `"2026-11-22"`, `"2026-11-22T12:00:00"`, `"2026-11-22T12:00:00Z"`, "{}", "true"}[i%7])
	}
	in, err := transform.Infer(transform.Rule{}, nil, slices.Values([]*record.Record{{Value: []byte(object.String() + "}")}}))
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Columns) != len(names)-1 { // without the empty one
		t.Fatalf("%d columns of %d names", len(in.Columns), len(names))
	}
	entries := transform.ColumnsYAML(in.Columns)
	for form, block := range map[string]string{
		"lines":  "    columns:\n      " + strings.Join(entries, "\n      ") + "\n",
		"braces": "    columns: { " + strings.Join(entries, ", ") + " }\n",
	} {
		p, err := Parse("x.yaml", []byte(small+"    create: yes\n"+block), vars("DATABASE_URL", "postgres://h/db"))
		if err != nil {
			t.Errorf("%s: %v\n%s", form, err, block)
			continue
		}
		field := func(c transform.Column) string { // a path of one segment, in quotes or not
			var name string
			if json.Unmarshal([]byte(c.Path), &name) == nil && c.Path[0] == '"' {
				return name
			}
			return c.Path
		}
		same := func(a, b transform.Column) bool { return a.Name == b.Name && a.Type == b.Type && field(a) == field(b) }
		if got := p.Sinks[0].Rule.Columns; !slices.EqualFunc(got, in.Columns, same) {
			t.Errorf("%s: %+v was read as %+v", form, in.Columns, got)
		}
	}
}
