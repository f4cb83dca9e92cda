package record

import (
	"cmp"
	"slices"
)

// List is a batch of records that are in memory as they are: what tests and samples are made of.
type List struct {
	from, to  int64
	records   []*Record
	epoch     int32 // of the last record
	timestamp int64 // of the last record
	released  bool
	scratch   Record
}

// NewList makes a batch of records in offset order, for the offsets [from, to).
func NewList(from, to int64, records ...*Record) *List {
	l := &List{from: from, to: to, records: records, epoch: -1, timestamp: -1}
	if len(records) > 0 {
		last := records[len(records)-1]
		l.epoch, l.timestamp = last.LeaderEpoch, last.Timestamp
	}
	return l
}

// Records are what the batch was made of, in offset order.
func (l *List) Records() []*Record { return l.records }

// From is the position before the batch.
func (l *List) From() int64 { return l.from }

// To is the position after the batch.
func (l *List) To() int64 { return l.to }

// Count is how many records there are.
func (l *List) Count() int { return len(l.records) }

// Bytes is how many bytes the keys and values have.
func (l *List) Bytes() (n int64) {
	for _, r := range l.records {
		n += r.Size()
	}
	return n
}

// LeaderEpoch is the last record's.
func (l *List) LeaderEpoch() int32 { return l.epoch }

// Timestamp is the last record's.
func (l *List) Timestamp() int64 { return l.timestamp }

// Walk hands out copies in the same memory each, as other batches do, so that whoever keeps a record is found out.
// After Release it hands out nothing.
func (l *List) Walk(from int64, f func(*Record) bool) {
	if l.released {
		return
	}
	first, _ := slices.BinarySearchFunc(l.records, from, func(r *Record, at int64) int {
		return cmp.Compare(r.Offset, at)
	})
	for _, r := range l.records[first:] {
		l.scratch = *r
		if !f(&l.scratch) {
			break
		}
	}
	l.scratch = Record{}
}

// Release says that nobody walks the list again.
func (l *List) Release() { l.released = true }
