package record

import "github.com/twmb/franz-go/pkg/kgo"

// Wrapper shows franz-go's records as ours, one at a time and without copying anything but their headers, which it
// copies when they are asked for. It is used again for the next record.
type Wrapper struct {
	record  Record
	of      *kgo.Record
	headers []Header
}

// Of returns the record as ours. It holds until the next call.
func (w *Wrapper) Of(r *kgo.Record) *Record {
	w.of = r
	w.record = Record{
		TopicPartition: TopicPartition{Topic: r.Topic, Partition: r.Partition},
		Offset:         r.Offset, Timestamp: r.Timestamp.UnixMilli(), LeaderEpoch: r.LeaderEpoch, Key: r.Key, Value: r.Value,
	}
	if len(r.Headers) > 0 {
		w.record.Source = w
	}
	return &w.record
}

// Headers returns the headers of the record.
func (w *Wrapper) Headers() []Header {
	w.headers = w.headers[:0]
	for _, h := range w.of.Headers {
		w.headers = append(w.headers, Header(h))
	}
	return w.headers
}
