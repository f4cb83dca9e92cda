package transform

import (
	"testing"

	"sinker/internal/record"
)

// TestIgnoredTombstones: `delete: ignore` filters a null value in every way a table is filled, with and without a key.
func TestIgnoredTombstones(t *testing.T) {
	table := columns(t, "id int!", "v text", "kafka_offset bigint")
	group := Rule{Columns: []Column{{"id", "", ""}, {"kafka_offset", "$offset", ""}}, Key: []string{"id"}, Folds: []Fold{Group, Max}}
	noValue := Rule{Columns: []Column{{"id", "$partition", ""}, {"kafka_offset", "1", ""}}, Key: []string{"id"}, Folds: []Fold{Group, Add}}
	for name, rule := range map[string]Rule{
		"append by name":            {},
		"append by name with meta":  {Meta: []string{"offset"}},
		"append of listed columns":  {Columns: []Column{{"id", "a.id", ""}}},
		"append of the whole value": {Columns: []Column{{"id", "$partition", ""}, {"v", ".", ""}}},
		"append without the value":  {Columns: []Column{{"id", "$partition", ""}}},
		"upsert by name":            {Key: []string{"id"}},
		"upsert by the record key":  {Key: []string{"id"}, Columns: []Column{{"id", "$key.id", ""}, {"v", "", ""}}},
		"aggregate":                 group,
		"aggregate of no value":     noValue,
	} {
		rule.IgnoreTombstones = true
		e := compile(t, rule, table)
		for _, r := range []*record.Record{{}, {Key: []byte(`{"id":7}`)}, {Key: []byte(`7`)}} {
			if got := row(e, r); got != "filter " {
				t.Errorf("%s, key %q: %q", name, r.Key, got)
			}
		}
	}
	if _, err := Compile(Rule{Key: []string{"id"}, Tombstones: true, IgnoreTombstones: true}, table); err == nil {
		t.Error("delete and ignore were taken together")
	}
}
