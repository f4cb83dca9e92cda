package consume

import (
	"cmp"
	"slices"

	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kgo"
)

// fetched is a batch of records as franz-go hands them out. Nothing of them is copied: a walk shows each of them as a
// record.Record, in the same memory.
type fetched struct {
	from, to int64
	records  []*kgo.Record // without control records
	bytes    int64         // of keys and values

	shown   record.Record // the record that a walk has come to
	at      *kgo.Record   // the same, as franz-go has it
	headers []record.Header
}

var _ record.Batch = (*fetched)(nil)

// newFetched makes a batch of records of one partition, for the offsets [from, to).
func newFetched(tp record.TopicPartition, from, to int64, records []*kgo.Record) *fetched {
	b := &fetched{from: from, to: to, records: records, shown: record.Record{TopicPartition: tp}}
	for _, r := range records {
		b.bytes += recordBytes(r)
	}
	return b
}

func (b *fetched) From() int64  { return b.from }
func (b *fetched) To() int64    { return b.to }
func (b *fetched) Count() int   { return len(b.records) }
func (b *fetched) Bytes() int64 { return b.bytes }

func (b *fetched) LeaderEpoch() int32 {
	if len(b.records) == 0 {
		return -1
	}
	return b.records[len(b.records)-1].LeaderEpoch
}

func (b *fetched) Timestamp() int64 {
	if len(b.records) == 0 {
		return -1
	}
	return b.records[len(b.records)-1].Timestamp.UnixMilli()
}

func (b *fetched) Walk(from int64, f func(*record.Record) bool) {
	first := 0
	if from > b.from {
		first, _ = slices.BinarySearchFunc(b.records, from, func(r *kgo.Record, at int64) int { return cmp.Compare(r.Offset, at) })
	}
	for _, r := range b.records[first:] {
		b.show(r)
		if !f(&b.shown) {
			return
		}
	}
}

// show makes the record the one that is seen.
func (b *fetched) show(r *kgo.Record) {
	s := &b.shown
	s.Offset, s.Timestamp, s.LeaderEpoch = r.Offset, r.Timestamp.UnixMilli(), r.LeaderEpoch
	s.Key, s.Value, s.Source = r.Key, r.Value, nil
	if len(r.Headers) > 0 {
		b.at, s.Source = r, b
	}
}

// Headers returns the headers of the record that is seen.
func (b *fetched) Headers() []record.Header {
	b.headers = b.headers[:0]
	for _, h := range b.at.Headers {
		b.headers = append(b.headers, record.Header(h))
	}
	return b.headers
}

// Release gives the records back to franz-go, which reads others into their memory.
func (b *fetched) Release() {
	for _, r := range b.records {
		r.Recycle()
	}
	b.records = nil
}
