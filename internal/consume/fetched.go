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
	from, to  int64
	records   []*kgo.Record // without control records
	count     int
	bytes     int64 // of keys and values
	epoch     int32 // of the last record
	timestamp int64 // of the last record
	view      view
}

var _ record.Batch = (*fetched)(nil)

// newFetched makes a batch of records of one partition, for the offsets [from, to).
func newFetched(tp record.TopicPartition, from, to int64, records []*kgo.Record) *fetched {
	b := &fetched{from: from, to: to, records: records, count: len(records), epoch: -1, timestamp: -1}
	b.view.record.TopicPartition = tp
	for _, r := range records {
		b.bytes += int64(len(r.Key) + len(r.Value))
	}
	if len(records) > 0 {
		last := records[len(records)-1]
		b.epoch, b.timestamp = last.LeaderEpoch, last.Timestamp.UnixMilli()
	}
	return b
}

func (b *fetched) From() int64        { return b.from }
func (b *fetched) To() int64          { return b.to }
func (b *fetched) Count() int         { return b.count }
func (b *fetched) Bytes() int64       { return b.bytes }
func (b *fetched) LeaderEpoch() int32 { return b.epoch }
func (b *fetched) Timestamp() int64   { return b.timestamp }

func (b *fetched) Walk(from int64, f func(*record.Record) bool) {
	first := 0
	if from > b.from {
		byOffset := func(r *kgo.Record, at int64) int { return cmp.Compare(r.Offset, at) }
		first, _ = slices.BinarySearchFunc(b.records, from, byOffset)
	}
	for _, r := range b.records[first:] {
		if !f(b.view.of(r)) {
			return
		}
	}
}

// Release gives the records back to franz-go, which reads others into their memory.
func (b *fetched) Release() {
	for _, r := range b.records {
		r.Recycle()
	}
	b.records = nil
}

// view shows franz-go's records of one partition, one at a time.
type view struct {
	record  record.Record
	at      *kgo.Record // with headers, the same
	headers []record.Header
}

// of shows a record. It holds until the next one is shown.
func (v *view) of(r *kgo.Record) *record.Record {
	s := &v.record
	s.Offset, s.Timestamp, s.LeaderEpoch = r.Offset, r.Timestamp.UnixMilli(), r.LeaderEpoch
	s.Key, s.Value, s.Source = r.Key, r.Value, nil
	if len(r.Headers) > 0 {
		v.at, s.Source = r, v
	}
	return s
}

// Headers returns the headers of the record that is shown.
func (v *view) Headers() []record.Header {
	v.headers = v.headers[:0]
	for _, h := range v.at.Headers {
		v.headers = append(v.headers, record.Header(h))
	}
	return v.headers
}
