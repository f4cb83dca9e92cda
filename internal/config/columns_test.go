package config

import (
	"slices"
	"testing"

	"sinker/internal/transform"
)

// TestColumns reads the forms of "column: path type", in the order of the file.
func TestColumns(t *testing.T) {
	p, err := Parse("x.yaml", []byte(small+`    columns:
      zulu: id bigint
      id: bigint
      total: numeric( 12, 2 )
      at: timestamp with time zone
      tags: text[]
      name:
      country: customer.country
      date: '"date"'
      "a\"b": '"odd \" name".x text'
      "9": "$headers.trace  varchar(20)"
      all: . jsonb
`), database)
	if err != nil {
		t.Fatal(err)
	}
	want := []transform.Column{
		{Name: "zulu", Path: "id", Type: "bigint"}, {Name: "id", Type: "bigint"}, {Name: "total",
			Type: "numeric( 12, 2 )"}, {Name: "at", Type: "timestamp with time zone"},
		{Name: "tags", Type: "text[]"}, {Name: "name"}, {Name: "country", Path: "customer.country"}, {Name: "date",
			Path: `"date"`}, {Name: `a"b`, Path: `"odd \" name".x`, Type: "text"},
		{Name: "9", Path: "$headers.trace", Type: "varchar(20)"}, {Name: "all", Path: ".", Type: "jsonb"},
	}
	if got := p.Sinks[0].Rule.Columns; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestTableNames(t *testing.T) {
	for text, want := range map[string][2]string{
		"orders": {"public", "orders"}, "sales.orders": {"sales", "orders"}, "Sales.Orders": {"Sales",
			"Orders"}, `"a.b"."c""d"`: {"a.b", `c"d`}, `"a.b"`: {"public", "a.b"}, "größe": {"public", "größe"},
		`"; DROP TABLE x; --"`: {"public", "; DROP TABLE x; --"},
	} {
		var s Sink
		if err := s.setTable(text); err != nil || s.Schema != want[0] || s.Table != want[1] {
			t.Errorf("%s: %q.%q, %v", text, s.Schema, s.Table, err)
		}
		var again Sink
		if err := again.setTable(joinName(s.Schema, s.Table)); err != nil || again.Schema != s.Schema ||
			again.Table != s.Table {
			t.Errorf("%s: %s is %q.%q, %v", text, joinName(s.Schema, s.Table), again.Schema, again.Table, err)
		}
	}
	for _, text := range []string{"", ".", "a.", ".a", "a.b.c", `"a`, `"a"b`, `a"b`, " a"} {
		if err := new(Sink).setTable(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
