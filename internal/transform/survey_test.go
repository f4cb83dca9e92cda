package transform

import (
	"fmt"
	"strings"
	"testing"

	"sinker/internal/format"
	"sinker/internal/record"
)

// TestUnasked counts the fields that no column takes, by name, and within bounds.
func TestUnasked(t *testing.T) {
	table := columns(t, "id int", "v text", "made int=")
	e := compile(t, Rule{}, table)
	show := func() string {
		counts := e.Unasked(nil)
		SortFields(counts)
		return fmt.Sprint(counts)
	}
	for _, v := range []string{`{"id":1,"v":"x"}`, `{"x":1,"id":2}`, `{"x":{"id":7,"y":1},"id":2,"x2":[]}`, `{"x":null}`, `{"id":1,"ID":2}`, `{"id":1,"\u0078":1,"\u007a":1}`} {
		e.Append(nil, ofValue(v))
	}
	if got, want := show(), "[{x 4} { 1} {ID 1} {x2 1}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := show(); got != "[]" {
		t.Errorf("%s were counted twice", got)
	}
	for i := range 3000 { // a hostile topic
		e.Append(nil, ofValue(fmt.Sprintf(`{"id":1,"name %d":1,"%s":2}`, i, strings.Repeat("x", 101+i))))
	}
	counts := e.Unasked(nil)
	SortFields(counts)
	var sum int64
	for _, c := range counts {
		sum += c.Count
		if len(c.Field) > 100 {
			t.Errorf("a name of %d bytes is kept", len(c.Field))
		}
	}
	if len(counts) > format.MostNames || sum != 6000 || counts[0].Field != "" {
		t.Errorf("%d names, %d fields, the first %+v", len(counts), sum, counts[0])
	}
	listed := compile(t, Rule{Columns: []Column{{Name: "id"}}}, table)
	listed.Append(nil, ofValue(`{"id":1,"x":1}`))
	if got := listed.Unasked(nil); len(got) > 0 {
		t.Errorf("fields that are not listed: %v", got)
	}
	buf := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(1000, func() { e.Append(buf, record2) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

var record2 = ofValue(`{"id":1,"x":1,"name 1":2}`)

// TestSurvey names columns without a field, fields without a column, and what may be meant, of all that a column can come from.
func TestSurvey(t *testing.T) {
	keyed := func(v, key string, headers ...string) *record.Record {
		r := ofValue(v)
		r.Key = []byte(key)
		var list record.HeaderList
		for _, h := range headers {
			list = append(list, record.Header{Key: h})
		}
		if len(list) > 0 {
			r.Source = list
		}
		return r
	}
	list := func(paths ...string) (r Rule) {
		for i, p := range paths {
			r.Columns = append(r.Columns, Column{Name: string(rune('a' + i)), Path: p})
		}
		return r
	}
	table := columns(t, "a text", "b text", "c text")
	for _, test := range []struct {
		name    string
		rule    Rule
		table   Table
		records []*record.Record
		lacking string
		spare   string
	}{
		{"all there", Rule{}, table, []*record.Record{ofValue(`{"a":1}`), ofValue(`{"b":null,"c":2}`)}, "[]", "[]"},
		{"another case", Rule{}, table, []*record.Record{ofValue(`{"A":1,"b":1,"x":1}`)}, "[{a a A} {c c }]", "[A x]"},
		{"camel case", Rule{}, columns(t, "customer_id int", "b int"), []*record.Record{ofValue(`{"customerId":1,"b":1}`)}, "[{customer_id customer_id customerId}]", "[customerId]"},
		{"snake case", Rule{}, columns(t, "customerId int", "b int"), []*record.Record{ofValue(`{"customer_id":1,"b":1}`)}, "[{customerId customerId customer_id}]", "[customer_id]"},
		{"listed", list("o.x", "o.y", "p.z"), table, []*record.Record{ofValue(`{"o":{"x":1},"P":1}`), {}, ofValue(`[]`), ofValue(`x`)}, "[{b o.y } {c p.z P}]", "[P]"},
		{"the whole record", list(".", "x"), table, []*record.Record{ofValue(`{"y":1}`)}, "[{b x }]", "[]"},
		{"keys and headers", list("$key.k", "$headers.h", "x"), table, []*record.Record{keyed(`{"x":1}`, `{"k":1}`, "h")}, "[]", "[]"},
		{"no such key and header", list("$key.k", "$headers.h", "x"), table, []*record.Record{keyed(`{"x":1}`, `{"l":1}`, "g")}, "[{a $key.k } {b $headers.h }]", "[]"},
		{"what Postgres computes", Rule{}, columns(t, "a text", "id text=", "made_at text="), []*record.Record{ofValue(`{"a":1,"madeAt":1}`)}, "[{made_at made_at madeAt}]", "[madeAt]"},
		{"what every record has", list("$topic", "$offset", "$key"), columns(t, "a text", "b bigint", "c text"), []*record.Record{ofValue(`{"x":1}`)}, "[]", "[x]"},
	} {
		p, err := Compile(test.rule, test.table)
		if err != nil {
			t.Fatal(err)
		}
		s := p.NewSurvey(nil)
		for _, r := range test.records {
			s.Add(r)
		}
		if got := fmt.Sprint(s.Lacking()); got != test.lacking {
			t.Errorf("%s: lacking %s, want %s", test.name, got, test.lacking)
		}
		if got := fmt.Sprint(s.Spare()); got != test.spare {
			t.Errorf("%s: spare %s, want %s", test.name, got, test.spare)
		}
	}
}
