// Package recordtest holds every kind of record.Batch to what its interface promises.
package recordtest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"sinker/internal/record"
)

// Build makes a batch of the kind under test, of records in offset order, for the offsets [from, to).
type Build func(from, to int64, records []*record.Record) record.Batch

var place = record.TopicPartition{Topic: "orders", Partition: 3}

// at is a record that differs from its neighbours in everything.
func at(offset int64) *record.Record {
	r := &record.Record{TopicPartition: place, Offset: offset, Timestamp: 1_800_000_000_000 + offset*7,
		LeaderEpoch: int32(offset / 5), Key: fmt.Append(nil, "key ", offset), Value: fmt.Append(nil, "value ", offset*3)}
	switch offset % 4 {
	case 0:
		r.Key = nil
	case 1:
		r.Value = nil
	case 2:
		r.Key, r.Value, r.Timestamp = []byte{}, []byte{}, -1
	}
	for i := range int(offset % 3) {
		r.Source = append(list(r), record.Header{Key: "h", Value: fmt.Append(nil, i)}, record.Header{Key: "", Value: nil})
	}
	return r
}

func list(r *record.Record) record.HeaderList {
	l, _ := r.Source.(record.HeaderList)
	return l
}

func span(offsets ...int64) (all []*record.Record) {
	for _, o := range offsets {
		all = append(all, at(o))
	}
	return all
}

func upTo(n int64) (all []*record.Record) {
	for o := range n {
		all = append(all, at(o))
	}
	return all
}

// Batches tests a kind of batch. It compares each walk with the records that the batch was made of.
func Batches(t *testing.T, build Build) {
	for _, c := range []struct {
		name     string
		from, to int64
		records  []*record.Record
	}{
		{"Empty", 7, 7, nil},
		{"ControlRecordsAlone", 7, 12, nil},
		{"One", 7, 8, span(7)},
		{"Full", 0, 50, upTo(50)},
		{"GapsAtBothEnds", 3, 40, span(10, 11, 12)},
		{"Compacted", 0, 1000, span(0, 1, 5, 6, 100, 101, 102, 500, 999)},
		{"HighOffsets", 1 << 62, 1<<62 + 10, span(1<<62, 1<<62+9)},
		{"Huge", 0, 20_000, upTo(20_000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := build(c.from, c.to, clones(c.records))
			checkSums(t, b, c.from, c.to, c.records)
			for _, from := range starts(c.from, c.to, c.records) {
				checkWalk(t, b, from, c.records)
			}
			checkWalk(t, b, c.from, c.records) // again: a retry walks what was walked before
			checkStops(t, b, c.records)
			checkAllocations(t, b)
			b.Release()
		})
	}
}

// clones keeps the records to compare with out of the hands of what is tested.
func clones(records []*record.Record) []*record.Record {
	all := make([]*record.Record, len(records))
	for i, r := range records {
		all[i] = r.Clone()
	}
	return all
}

// starts are offsets to walk from: the ends, before and after them, every record and what lies beside it; of many a
// few.
func starts(from, to int64, records []*record.Record) []int64 {
	all := []int64{from, to, to + 1, max(0, from-1), 0, (from + to) / 2}
	for i, r := range records {
		if len(records) < 100 || i%(len(records)/5) == 0 {
			all = append(all, r.Offset, r.Offset+1, max(0, r.Offset-1))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func checkSums(t *testing.T, b record.Batch, from, to int64, records []*record.Record) {
	t.Helper()
	size, epoch, timestamp := int64(0), int32(-1), int64(-1)
	for _, r := range records {
		size, epoch, timestamp = size+int64(len(r.Key)+len(r.Value)), r.LeaderEpoch, r.Timestamp
	}
	if b.From() != from || b.To() != to || b.Count() != len(records) || b.Bytes() != size {
		t.Errorf("[%d, %d), %d records of %d bytes; want [%d, %d), %d, %d",
			b.From(), b.To(), b.Count(), b.Bytes(), from, to, len(records), size)
	}
	if b.LeaderEpoch() != epoch || b.Timestamp() != timestamp {
		t.Errorf("epoch %d at %d, want %d at %d", b.LeaderEpoch(), b.Timestamp(), epoch, timestamp)
	}
}

func checkWalk(t *testing.T, b record.Batch, from int64, records []*record.Record) {
	t.Helper()
	for len(records) > 0 && records[0].Offset < from {
		records = records[1:]
	}
	n := 0
	var kept []*record.Record
	b.Walk(from, func(r *record.Record) bool {
		if n < len(records) {
			compare(t, r, records[n])
		}
		if n < 20 {
			kept = append(kept, r.Clone())
		}
		n++
		return !t.Failed()
	})
	if n != len(records) {
		t.Errorf("a walk from %d gave %d records, want %d", from, n, len(records))
	}
	for i := range kept {
		compare(t, kept[i], records[i]) // a clone outlives the walk
	}
}

func compare(t *testing.T, got, want *record.Record) {
	t.Helper()
	same := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
	if got.TopicPartition != want.TopicPartition || got.Offset != want.Offset || got.Timestamp != want.Timestamp ||
		got.LeaderEpoch != want.LeaderEpoch || !same(got.Key, want.Key) || !same(got.Value, want.Value) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for range 2 { // asked for twice
		if !slices.EqualFunc(got.Headers(), want.Headers(), func(a, b record.Header) bool {
			return a.Key == b.Key &&
				same(a.Value, b.Value)
		}) {
			t.Errorf("headers %v, want %v", got.Headers(), want.Headers())
		}
	}
}

// checkStops ends walks early, after each of the first records and before the last one.
func checkStops(t *testing.T, b record.Batch, records []*record.Record) {
	t.Helper()
	for n := 1; n <= min(len(records), 20); n++ {
		calls := 0
		b.Walk(b.From(), func(*record.Record) bool { calls++; return calls < n })
		if calls != n {
			t.Errorf("a walk that was to end after %d records had %d", n, calls)
		}
	}
}

// checkAllocations: a walk costs no allocation per record.
func checkAllocations(t *testing.T, b record.Batch) {
	t.Helper()
	size, from := 0, b.From()
	walk := func() {
		b.Walk(from, func(r *record.Record) bool { size += len(r.Value) + len(r.Headers()); return true })
	}
	if n := testing.AllocsPerRun(3, walk); n > 3 {
		t.Errorf("a walk of %d records allocates %v times", b.Count(), n)
	}
}
