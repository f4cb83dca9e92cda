package e2e

import "testing"

// The reader that the checker relies on shows every committed record, tombstones included, and no aborted one.
func TestTruth(t *testing.T) {
	b := bed.Use(t)
	ctx := t.Context()
	if err := b.Kafka.CreateTopic(ctx, "truth", 3); err != nil {
		t.Fatal(err)
	}
	l := &Load{Addr: b.Kafka.Addr, Topic: "truth", Partitions: 3}
	if err := l.Plain(ctx, 5000); err != nil {
		t.Fatal(err)
	}
	if err := l.Transactions(ctx, "truth", 10, 100, func(i int) bool { return i%2 == 0 || i == 9 }); err != nil {
		t.Fatal(err)
	}
	if err := l.Tombstones(ctx, 7); err != nil {
		t.Fatal(err)
	}
	if err := l.Transactions(ctx, "truth", 1, 50, func(int) bool { return true }); err != nil {
		t.Fatal(err)
	}
	records, err := b.Kafka.Truth(ctx, "truth", l.Last())
	if err != nil {
		t.Fatal(err)
	}
	ids, tombstones := map[int64]bool{}, 0
	for _, r := range records {
		switch {
		case r.Tombstone:
			tombstones++
		case !r.Kept || ids[r.ID]:
			t.Errorf("partition %d offset %d: id %d, kept %t, seen before %t", r.Partition, r.Offset, r.ID, r.Kept, ids[r.ID])
		default:
			ids[r.ID] = true
		}
	}
	if int64(len(records)) != l.Committed() || tombstones != 1 || l.Aborted() == 0 {
		t.Errorf("%d records of %d, %d tombstones, %d aborted", len(records), l.Committed(), tombstones, l.Aborted())
	}
}
