package transform

import (
	"fmt"
	"strings"
	"testing"

	"sinker/internal/record"
)

// TestNoField: a record that fills no column is refused, and one that fills any is not, in every way in which columns are filled.
func TestNoField(t *testing.T) {
	table := columns(t, "id int", "v text", "made timestamptz!=", "kafka_topic text", "kafka_offset bigint", "kafka_key bytea")
	table.Columns[1].HasDefault, table.Columns[1].Default = true, []byte("x")
	strange := []string{`{}`, `{"ID":14}`, `{"schema":{"id":1},"payload":{"id":1,"v":"x"}}`, `{"before":null,"after":{"id":1}}`, `{"i\u0064x":1}`,
		`{"":1}`, `{"o":null}`, `{"o":{}}`, `{"o":{"id2":1}}`, `{"a":[{"id":1}]}`}
	plain := func(v string) *record.Record {
		return &record.Record{TopicPartition: record.TopicPartition{Topic: "t"}, Value: []byte(v), Timestamp: 1}
	}
	keyed := func(v string) *record.Record {
		r := plain(v)
		r.Key, r.Source = []byte(`{"id":3,"name":null}`), record.HeaderList{{Key: "h"}}
		return r
	}
	list := func(paths ...string) (r Rule) {
		for i, p := range paths {
			r.Columns = append(r.Columns, Column{Name: []string{"id", "v", "kafka_topic", "kafka_offset"}[i], Path: p})
		}
		return r
	}
	meta := list("id")
	meta.Meta = []string{"topic", "offset", "key"}
	key := Rule{Key: []string{"id"}}
	for _, test := range []struct {
		name   string
		rule   Rule
		record func(string) *record.Record
		fills  bool
	}{
		{"by name", Rule{}, keyed, false},
		{"by name with meta", Rule{Meta: []string{"topic", "offset", "key"}}, keyed, false},
		{"by name, upsert", key, keyed, false},
		{"listed", list("id", "v"), keyed, false},
		{"listed with meta", meta, keyed, false},
		{"listed within", list("o.id", "o.p.v"), keyed, false},
		{"the whole value", list("id", "."), plain, true},
		{"the topic", list("id", "v", "$topic"), plain, true},
		{"the offset", list("id", "v", "v", "$offset"), plain, true},
		{"a key", list("id", "$key"), keyed, true},
		{"no key", list("id", "$key"), plain, false},
		{"a field of the key", list("id", "$key.id"), keyed, true},
		{"a null of the key", list("id", "$key.name"), keyed, true},
		{"no field of the key", list("id", "$key.x"), keyed, false},
		{"a header", list("id", "$headers.h"), keyed, true},
		{"no such header", list("id", "$headers.g"), keyed, false},
		{"headers", list("id", "$headers"), keyed, true},
		{"no headers", list("id", "$headers"), plain, false},
	} {
		e := compile(t, test.rule, table)
		for _, v := range strange {
			got := row(e, test.record(v))
			if refused := strings.HasPrefix(got, CodeNoField+" "); refused == test.fills {
				t.Errorf("%s: %s: %s", test.name, v, got)
			}
		}
		first := "id"
		if strings.HasPrefix(test.name, "listed within") {
			first = `o":{"id`
		}
		end := strings.Repeat("}", strings.Count(first, "{"))
		for _, v := range []string{`5`, `null`} {
			got := row(e, test.record(fmt.Sprintf(`{"%s":%s}%s`, first, v, end)))
			if !strings.HasPrefix(got, "write ") && !(v == "null" && test.name == "by name, upsert") {
				t.Errorf("%s with a field that is %s: %s", test.name, v, got)
			}
		}
	}
}

// TestNoFieldSays names the fields there are and those that are wanted, and what may be meant.
func TestNoFieldSays(t *testing.T) {
	for _, test := range []struct{ table, value, says string }{
		{"id int", `{}`, "the record has no field, the columns want id"},
		{"id int|v text", `{"ID":14,"x":1}`, "none of the fields that fill a column; it has ID, x, the columns want id, v; the names differ in form only: list the column as `id: ID`"},
		{"customer_id int", `{"customerId":14}`, "list the column as `customer_id: customerId`"},
		{"customerId int", `{"customer-id":14}`, `list the column as ` + "`customerId: customer-id`"},
		{"id int", `{"schema":{},"payload":{"v":1,"id":1}}`, "id is within payload: list such columns with their paths, `id: payload.id`"},
		{"id int", `{"a b":{"id":1}}`, "`id: \"a b\".id`"},
		{"id int", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1}`, "it has a, b, c, d, e and 2 more"},
		{"id int", `{"\u001b[2J":1}`, `it has "\x1b[2J",`},
		{"id int", `{"` + strings.Repeat("é", 500) + `":1}`, strings.Repeat("é", 20) + `"…, the`},
	} {
		e := compile(t, Rule{}, columns(t, strings.Split(test.table, "|")...))
		if got := row(e, ofValue(test.value)); !strings.HasPrefix(got, CodeNoField) || !strings.Contains(got, test.says) {
			t.Errorf("%s:\n got %s\nwant … %s", test.value, got, test.says)
		}
	}
}
