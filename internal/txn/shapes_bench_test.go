package txn

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// BenchmarkShapes appends batches of 20,000 rows of a table with an id from a sequence, by how many of the records lack which
// fields; the ways take turns, a batch each. Run with -benchtime 1x -v.
func BenchmarkShapes(b *testing.B) {
	const rows, batches = 20_000, 8
	ways := []struct {
		name  string
		lacks func(i int) int // bits: 1 id, 2 made, 4 ref
	}{
		{"none lacks any", func(int) int { return 0 }},
		{"all lack the id", func(int) int { return 1 }},
		{"one in a hundred has the id", func(i int) int { return min(i%100, 1) }},
		{"half lack the id", func(i int) int { return i % 2 }},
		{"eight shapes", func(i int) int { return i % 8 }},
	}
	var loaders []*loader
	for range ways {
		db := newDatabase(b)
		db.exec(`CREATE TABLE orders (id bigserial, customer bigint, note text, made timestamptz DEFAULT now(), ref uuid DEFAULT gen_random_uuid())`)
		s := db.storeWith(Config{Owner: "a", Sinks: []Sink{orders()}})
		loaders = append(loaders, &loader{database: db, store: s, pos: db.take(s, claim(orders0, 0))[0]})
	}
	best := make([]time.Duration, len(ways))
	for range b.N {
		for batch := range batches {
			for w, way := range ways {
				values := make([]string, rows)
				for i := range values {
					values[i] = fmt.Sprintf(`{"customer":%d,"note":"leave at the door %d"`, i*7, i)
					for bit, field := range []string{fmt.Sprintf(`"id":%d`, i), `"made":"2026-11-22T12:34:56.789012Z"`, `"ref":"5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5b"`} {
						if way.lacks(i)>>bit&1 == 0 {
							values[i] += "," + field
						}
					}
					values[i] += "}"
				}
				r := rangeOf(loaders[w].pos, values...)
				start := time.Now()
				if _, err := commitBatch(context.Background(), loaders[w].store, Batch{r}, nil); err != nil {
					b.Fatal(err)
				}
				if took := time.Since(start); batch == 0 || took < best[w] {
					best[w] = took
				}
				loaders[w].pos.NextOffset = r.To
			}
		}
	}
	for w, way := range ways {
		b.Logf("%-28s %.2f (%v)", way.name, float64(best[w])/float64(best[0]), best[w].Round(100*time.Microsecond))
	}
}
