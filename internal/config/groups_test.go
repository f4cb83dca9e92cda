package config

import (
	"slices"
	"testing"

	"sinker/internal/transform"
)

// TestFolds reads the forms of group, add, max and min, in whatever order the file has them, and shows them again.
func TestFolds(t *testing.T) {
	p, err := Parse("x.yaml", []byte(small+`    max_depth: 9
    add:
      orders: 1
      weight: 1 numeric
      revenue: amount.total numeric(14,2)
      items: bigint
      one: '"1"'
      total:
    group: { minute: minute( created_at ), day: day($timestamp) date, odd: 'hour("a b".c)',
      country: customer.country text }
    min: { first: created_at timestamptz }
`), database)
	if err != nil {
		t.Fatal(err)
	}
	got := p.Sinks[0].Rule
	want := []transform.Column{
		{Name: "orders", Path: "1"}, {Name: "weight", Path: "1", Type: "numeric"}, {Name: "revenue", Path: "amount.total",
			Type: "numeric(14,2)"}, {Name: "items", Type: "bigint"}, {Name: "one", Path: `"1"`}, {Name: "total"},
		{Name: "minute", Path: "minute(created_at)"}, {Name: "day", Path: "day($timestamp)", Type: "date"}, {Name: "odd",
			Path: `hour("a b".c)`}, {Name: "country", Path: "customer.country", Type: "text"},
		{Name: "first", Path: "created_at", Type: "timestamptz"},
	}
	if !slices.Equal(got.Columns, want) {
		t.Errorf("got  %q\nwant %q", got.Columns, want)
	}
	const add, group = transform.Add, transform.Group
	if !slices.Equal(got.Folds, []transform.Fold{add, add, add, add, add, add, group, group, group, group,
		transform.Min}) || !slices.Equal(got.Key, []string{"minute", "day", "odd", "country"}) || got.MaxDepth != 9 {
		t.Errorf("%+v", got)
	}
	again, err := Parse("again.yaml", []byte(p.Redacted()), database)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.Redacted())
	}
	if again.Redacted() != p.Redacted() || len(again.Sinks[0].Rule.Columns) != len(want) {
		t.Errorf("%s\nbecame\n%s", p.Redacted(), again.Redacted())
	}
}
