package txn

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// busy is a store that commits a record to each of its partitions again and again.
type busy struct {
	*database
	store     *Store
	positions []Position
}

func newBusy(db *database, partitions int) *busy {
	b := &busy{database: db, store: db.store("a")}
	var claims []Claim
	for i := range partitions {
		claims = append(claims, claim(TopicPartition{Topic: "orders", Partition: int32(i)}, 0))
	}
	b.positions = db.take(b.store, claims...)
	return b
}

func (b *busy) commit(times int) {
	b.t.Helper()
	for range times {
		var batch Batch
		for i := range b.positions {
			r := rangeOf(b.positions[i], `{"id":1}`)
			batch = append(batch, r)
			b.positions[i].NextOffset = r.To
		}
		if _, err := commitBatch(context.Background(), b.store, batch, nil); err != nil {
			b.t.Fatal(err)
		}
	}
}

// hold keeps a snapshot, as pg_dump does, until the test's end.
func (db *database) hold() {
	db.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, db.url)
	if err != nil {
		db.t.Fatal(err)
	}
	db.t.Cleanup(func() { conn.Close(ctx) })
	if _, err := conn.Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM sinker.offsets`); err != nil {
		db.t.Fatal(err)
	}
}

// blocks is how many pages of sinker.offsets and its index the store's session has looked at.
func (b *busy) blocks() (heap, index int64) {
	b.t.Helper()
	ctx := context.Background()
	if _, err := b.store.conn.Exec(ctx, `SELECT pg_stat_force_next_flush()`); err != nil {
		b.t.Fatal(err)
	}
	err := b.conn.QueryRow(ctx, `SELECT heap_blks_read + heap_blks_hit, idx_blks_read + idx_blks_hit FROM pg_statio_all_tables WHERE relid = 'sinker.offsets'::regclass`).Scan(&heap, &index)
	if err != nil {
		b.t.Fatal(err)
	}
	return heap, index
}

// BenchmarkHeldSnapshot commits to four partitions while a snapshot is held; with -benchtime 30000x the last thousand commits
// are those at the end of ten minutes of two workers at the default batch.every.
func BenchmarkHeldSnapshot(b *testing.B) {
	db := newDatabase(b)
	w := newBusy(db, 4)
	w.commit(100)
	db.hold()
	for done := 0; done < b.N; done += 1000 {
		h0, i0 := w.blocks()
		start := time.Now()
		w.commit(min(1000, b.N-done))
		h1, i1 := w.blocks()
		b.Logf("%6d commits: %6.2f ms and %5d heap, %5d index pages each; %d pages", done, time.Since(start).Seconds(), (h1-h0)/1000, (i1-i0)/1000, db.pages("sinker.offsets"))
	}
}
