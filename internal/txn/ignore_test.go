package txn

import (
	"testing"

	"sinker/internal/transform"
)

// TestIgnoreTombstones: `delete: ignore` counts a null value as filtered, in every write mode, and never as a dead letter: not for
// stop_after and not where the first bad record stops the partition.
func TestIgnoreTombstones(t *testing.T) {
	count := func(s *Sink) {
		s.Rule = transform.Rule{Columns: []transform.Column{{Name: "id"}, {Name: "n", Path: transform.CountPath}}, Key: []string{"id"},
			Folds: []transform.Fold{transform.Group, transform.Add}}
	}
	for name, mode := range map[string]func(*Sink){"append": func(*Sink) {}, "upsert": keyed, "aggregate": count} {
		for _, stop := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				sink := orders(mode, func(s *Sink) { s.Rule.IgnoreTombstones = true })
				l := newLoader(t, `CREATE TABLE orders (id bigint PRIMARY KEY, note text, n bigint)`,
					Config{Sinks: []Sink{sink}, StopOnBad: stop, StopAfter: 0.01})
				r := rangeOf(l.pos, `{"id":1}`, ``, `{"id":2}`, ``)
				held(r)[1].Value, held(r)[1].Key = nil, []byte(`1`)
				held(r)[3].Value = nil
				res, err := l.commitRange(r)
				if err != nil {
					t.Fatal(err)
				}
				if res.Filtered != 2 || res.Written != 2 || res.Dead != 0 || res.Tables[0].Deleted != 0 {
					t.Errorf("%+v", res)
				}
				l.want(`SELECT string_agg(id::text, ' ' ORDER BY id) FROM orders`, "1 2")
				l.want(`SELECT consumed || ' ' || written || ' ' || dead FROM sinker.offsets`, "4 2 0")
				l.want(`SELECT count(*) FROM sinker.dead_letters`, "0")
			})
		}
	}
}
