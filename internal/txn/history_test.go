package txn

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sinker/internal/record"
)

// TestHistoryOfAKey: where Postgres refuses the last record of a key, what is left of the key is what an INSERT … ON CONFLICT or
// a DELETE for each record, in log order, leaves. Postgres does that too, refusals passed over.
func TestHistoryOfAKey(t *testing.T) {
	for name, table := range map[string]string{
		"Check":    `id int PRIMARY KEY, v int CHECK (v < 7), w int DEFAULT 5`,
		"Computed": `id int PRIMARY KEY, v int CHECK (v < 7), w int DEFAULT length(current_user), CHECK (v + w < 70)`,
		"Domain":   `id int PRIMARY KEY, v public.small, w int`,
		"NotNull":  `id int PRIMARY KEY, v int NOT NULL CHECK (v < 7), w int`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLoader(t, `CREATE DOMAIN public.small AS int CHECK (VALUE < 7); CREATE TABLE public.orders (`+table+`);
				CREATE TABLE public.reference (LIKE public.orders INCLUDING ALL)`, Config{Sinks: []Sink{orders(keyed, tombstones)}})
			rng := rand.New(rand.NewPCG(3, 5))
			for range 60 {
				l.store.careful = 0
				var records []*record.Record
				for range 1 + rng.IntN(9) {
					records = append(records, l.oneOfAKey(rng))
				}
				r := rangeOf(l.pos)
				for i, rec := range records {
					rec.TopicPartition, rec.Offset = r.TopicPartition, r.From+int64(i)
				}
				r.Add(record.NewList(r.From, r.From+int64(len(records)), records...))
				before := l.one(content + `orders`)
				if _, err := commitBatch(t.Context(), l.store, Batch{r}, nil); err != nil {
					t.Fatal(err)
				}
				l.pos.NextOffset = r.To
				if got, want := l.one(content+`orders`), l.one(content+`reference`); got != want {
					t.Fatalf("%s onto %s: %s, one by one %s", shown(records), before, got, want)
				}
			}
			if l.one(`SELECT count(*) FROM sinker.dead_letters`) == "0" {
				t.Error("nothing was refused")
			}
		})
	}
}

// oneOfAKey makes a record of one of three keys, and applies it to the reference.
func (l *loader) oneOfAKey(rng *rand.Rand) *record.Record {
	id, v, w := rng.IntN(3), rng.IntN(10), rng.IntN(90)
	rec := &record.Record{Key: fmt.Append(nil, id)}
	sql := fmt.Sprintf(`DELETE FROM reference WHERE id = %d`, id)
	switch n := rng.IntN(6); {
	case n == 1: // a field is left out
		rec.Value = fmt.Appendf(nil, `{"id":%d,"v":%d}`, id, v)
		set := ", w = excluded.w"
		if strings.Contains(l.one(`SELECT coalesce(pg_get_expr(adbin, adrelid), '') FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = 'orders'::regclass AND attname = 'w'`), "CURRENT_USER") {
			set = "" // one that Postgres computes stays as it is
		}
		sql = fmt.Sprintf(`INSERT INTO reference (id, v) VALUES (%d, %d) ON CONFLICT (id) DO UPDATE SET v = excluded.v%s`, id, v, set)
	case n > 1:
		rec.Value = fmt.Appendf(nil, `{"id":%d,"v":%d,"w":%d}`, id, v, w)
		sql = fmt.Sprintf(`INSERT INTO reference (id, v, w) VALUES (%d, %d, %d) ON CONFLICT (id) DO UPDATE SET v = excluded.v, w = excluded.w`, id, v, w)
	}
	l.exec(`DO $$ BEGIN ` + sql + `; EXCEPTION WHEN check_violation OR not_null_violation THEN NULL; END $$`)
	return rec
}

func shown(records []*record.Record) string {
	var list []string
	for _, r := range records {
		list = append(list, fmt.Sprintf("%s:%s", r.Key, r.Value))
	}
	return strings.Join(list, " ")
}
