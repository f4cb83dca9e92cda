package txn

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sinker/internal/transform"
)

// TestUnaskedFields: fields that no column takes are counted once, whatever the attempts, and warned about once in a process.
func TestUnaskedFields(t *testing.T) {
	var log bytes.Buffer
	cfg := Config{Sinks: []Sink{orders()}, Log: slog.New(slog.NewTextHandler(&log, nil)), Fields: &Fields{}}
	l := newLoader(t, `CREATE TABLE orders (id bigint, note text CHECK (note <> 'bad'))`, cfg)
	// The row that only Postgres refuses costs a second attempt.
	res := l.mustCommit(`{"id":1,"note":"x","ID":2,"extra":true}`, `{"id":1,"note":"bad","extra":2}`, `{"id":1,"\u0041b\u001b[2J":1}`, `{"id":3}`)
	counts := map[string]int64{}
	for _, f := range res.Unasked {
		if f.Table != `"public"."orders"` {
			t.Errorf("%+v", f)
		}
		counts[f.Field] += f.Count
	}
	if got := fmt.Sprint(counts); got != "map[:1 ID:1 extra:2]" || res.Dead != 1 {
		t.Errorf("%s, %+v", got, res)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "ID (for column id?)") || !strings.Contains(log.String(), "extra") {
		t.Errorf("%d warnings: %s", n, &log)
	}
	log.Reset()
	if res := l.mustCommit(`{"id":1,"extra":2}`); len(res.Unasked) != 1 || res.Unasked[0].Count != 1 {
		t.Errorf("%+v", res.Unasked)
	}
	other := db2(l, cfg)
	other.mustCommit(`{"id":1,"extra":2}`, `{"id":1,"later":2}`)
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || strings.Contains(log.String(), "extra") || !strings.Contains(log.String(), "later") {
		t.Errorf("%d warnings of two stores: %s", n, &log)
	}
	log.Reset()
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf(`{"id":1,"key %d":1}`, i))
	}
	res = other.mustCommit(many...)
	if len(res.Unasked) > 1001 || strings.Count(log.String(), "no column takes") != 1 || log.Len() > 2000 {
		t.Errorf("%d fields, and a log of %d bytes", len(res.Unasked), log.Len())
	}
}

// db2 is another store that takes over.
func db2(l *loader, cfg Config) *loader {
	cfg.Owner = "b"
	s := l.storeWith(cfg)
	return &loader{database: l.database, store: s, pos: l.take(s, claim(orders0, 0))[0]}
}

// TestLackingColumns: columns for which the first hundred records have no field are warned about once, with what may be meant;
// fields that are not listed are not.
func TestLackingColumns(t *testing.T) {
	for name, test := range map[string]struct {
		rule transform.Rule
		says []string
		not  []string
	}{
		"by name": {transform.Rule{}, []string{"order_note (field orderNote?), gone", "none of the first records", "orderNote (for column order_note?), extra"}, []string{"id"}},
		"listed": {transform.Rule{Columns: []transform.Column{{Name: "id", Path: "id"}, {Name: "gone", Path: "o.gone"}, {Name: "order_note", Path: "OrderNote"}}},
			[]string{"gone from o.gone", "order_note from OrderNote (field orderNote?)"}, []string{"extra", "not loaded"}},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			cfg := Config{Sinks: []Sink{orders(func(s *Sink) { s.Rule = test.rule })}, Log: slog.New(slog.NewTextHandler(&log, nil))}
			l := newLoader(t, `CREATE TABLE orders (id bigint, order_note text, gone int)`, cfg)
			record := `{"id":1,"orderNote":"x","extra":1}`
			l.mustCommit(record)
			if strings.Contains(log.String(), "none of the first") {
				t.Errorf("one record was enough: %s", &log)
			}
			l.mustCommit(strings.Split(strings.Repeat(record+"\n", 99), "\n")[:99]...)
			l.mustCommit(record)
			for _, s := range test.says {
				if strings.Count(log.String(), s) != 1 {
					t.Errorf("%q is not there once: %s", s, &log)
				}
			}
			for _, s := range test.not {
				if strings.Contains(log.String(), s+",") || strings.Contains(log.String(), s+`"`) || s == "not loaded" && strings.Contains(log.String(), s) {
					t.Errorf("%q is there: %s", s, &log)
				}
			}
		})
	}
}
