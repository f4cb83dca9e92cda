package txn

import (
	"context"
	"testing"
)

// busyOffsets takes n partitions and commits a record to each of them, times times.
func busyOffsets(db *database, n, times int) {
	s := db.store("a")
	var claims []Claim
	for i := range n {
		claims = append(claims, claim(TopicPartition{Topic: "orders", Partition: int32(i)}, 0))
	}
	positions := db.take(s, claims...)
	for range times {
		var b Batch
		for i := range positions {
			r := rangeOf(positions[i], `{"id":1}`)
			b = append(b, r)
			positions[i].NextOffset = r.To
		}
		if _, err := commitBatch(context.Background(), s, b, nil); err != nil {
			db.t.Fatal(err)
		}
	}
}

func (db *database) pages(relation string) int64 {
	db.t.Helper()
	var n int64
	if err := db.conn.QueryRow(context.Background(), `SELECT pg_relation_size($1::text::regclass) / 8192`, relation).Scan(&n); err != nil {
		db.t.Fatal(err)
	}
	return n
}

// The row of a partition is updated by every commit. Only as long as these are HOT updates, whose dead versions go when
// the page is next looked at, does the table stay as small as it is after a day of a thousand commits a second.
func TestOffsetsStaySmall(t *testing.T) {
	db := newDatabase(t)
	busyOffsets(db, 20, 1000)
	if n := db.pages("sinker.offsets"); n > 16 {
		t.Errorf("sinker.offsets has grown to %d pages by 20,000 updates of 20 rows", n)
	}
	if n := db.pages("sinker.offsets_pkey"); n > 2 {
		t.Errorf("the primary key of sinker.offsets has grown to %d pages: its updates are not HOT", n)
	}
}

// BenchmarkCommit is a transaction of one record in each of four partitions: what light load pays. With
// -benchtime 100000x its last figures are the offset table's pages after 100,000 commits.
func BenchmarkCommit(b *testing.B) {
	db := newDatabase(b)
	busyOffsets(db, 4, b.N)
	b.ReportMetric(float64(db.pages("sinker.offsets")), "pages")
	b.ReportMetric(float64(db.pages("sinker.offsets_pkey")), "key-pages")
}
