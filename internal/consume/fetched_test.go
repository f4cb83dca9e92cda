package consume

import (
	"testing"
	"time"

	"sinker/internal/record"
	"sinker/internal/record/recordtest"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestFetched(t *testing.T) {
	recordtest.Batches(t, func(from, to int64, records []*record.Record) record.Batch {
		all, tp := make([]*kgo.Record, len(records)), record.TopicPartition{}
		for i, r := range records {
			tp = r.TopicPartition
			all[i] = toKafka(r)
		}
		return newFetched(tp, from, to, all)
	})
}

// toKafka is the record as franz-go has it.
func toKafka(r *record.Record) *kgo.Record {
	k := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, LeaderEpoch: r.LeaderEpoch,
		Timestamp: time.UnixMilli(r.Timestamp), Key: r.Key, Value: r.Value}
	for _, h := range r.Headers() {
		k.Headers = append(k.Headers, kgo.RecordHeader(h))
	}
	return k
}
