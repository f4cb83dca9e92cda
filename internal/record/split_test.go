package record_test

import (
	"testing"

	"sinker/internal/record"
	"sinker/internal/record/recordtest"
)

// TestSplit holds the parts of batches to what a batch promises: heads, tails, and what lies between.
func TestSplit(t *testing.T) {
	for name, before := range map[string]int64{"Head": 0, "Tail": 20, "Between": 20} {
		t.Run(name, func(t *testing.T) {
			recordtest.Batches(t, func(from, to int64, records []*record.Record) record.Batch {
				return within(from, to, min(before, from), name != "Tail", records)
			})
		})
	}
}

// within makes a batch of records and, around them, of others, and takes these off again.
func within(from, to, before int64, more bool, records []*record.Record) record.Batch {
	other := func(offset int64) *record.Record {
		return &record.Record{Offset: offset, LeaderEpoch: 99, Timestamp: 99, Value: []byte("another record")}
	}
	all := []*record.Record{}
	for o := from - before; o < from; o++ {
		all = append(all, other(o))
	}
	all = append(all, records...)
	end := to
	if more {
		all, end = append(all, other(to), other(to+1)), to+2
	}
	b := record.Batch(record.NewList(from-before, end, all...))
	if from > b.From() {
		_, b = record.Split(b, from)
	}
	if to < end {
		b, _ = record.Split(b, to)
	}
	if b == nil { // no offsets at all
		b = record.NewList(from, to)
	}
	return b
}

// TestSplitTiles: the parts of a batch are the batch, wherever it is split and split again, and the last one releases it.
func TestSplitTiles(t *testing.T) {
	var records []*record.Record
	for _, o := range []int64{3, 4, 8, 9, 10, 17} {
		r := &record.Record{Offset: o, Value: make([]byte, o), Timestamp: o, LeaderEpoch: int32(o)}
		records = append(records, r)
	}
	for first := int64(0); first <= 21; first++ {
		for second := first; second <= 21; second++ {
			whole := &counted{List: record.NewList(2, 20, records...)}
			parts := []record.Batch{}
			head, rest := record.Split(whole, first)
			if head != nil {
				parts = append(parts, head)
			}
			if rest != nil {
				middle, tail := record.Split(rest, second)
				for _, p := range []record.Batch{middle, tail} {
					if p != nil {
						parts = append(parts, p)
					}
				}
			}
			at, n, size := int64(2), 0, int64(0)
			for i, p := range parts {
				if p.From() != at {
					t.Fatalf("split at %d and %d: part %d is from %d, want %d", first, second, i, p.From(), at)
				}
				at, n, size = p.To(), n+p.Count(), size+p.Bytes()
				p.Release()
				if released := whole.released > 0; released != (i == len(parts)-1) {
					t.Errorf("split at %d and %d: after part %d of %d the batch is released: %v",
						first, second, i, len(parts), released)
				}
			}
			if at != 20 || n != len(records) || size != 3+4+8+9+10+17 {
				t.Errorf("split at %d and %d: up to %d, %d records of %d bytes", first, second, at, n, size)
			}
		}
	}
}

// counted counts how often it is released, and keeps its records for the walks of other parts.
type counted struct {
	*record.List
	released int
}

func (c *counted) Release() { c.released++ }
