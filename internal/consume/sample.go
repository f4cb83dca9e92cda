package consume

import (
	"context"
	"errors"
	"time"

	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Sample reads up to n of a topic's last records, without a group and without a trace. It is for
// looking at what a topic holds before anything is loaded.
func Sample(ctx context.Context, c Config, topic string, n int) ([]*record.Record, error) {
	return sample(ctx, c, topic, n, func(_ int32, start, end int64) int64 { return max(start, end-int64(n)) })
}

// SampleAt is Sample of the records that a pipeline reads next, by its positions. Partitions
// without one, and those that stand at their end, are left out.
func SampleAt(ctx context.Context, c Config, topic string, positions map[int32]int64, n int) ([]*record.Record, error) {
	return sample(ctx, c, topic, n, func(partition int32, start, end int64) int64 {
		if at, known := positions[partition]; known {
			return max(start, at)
		}
		return end
	})
}

// sample reads up to n records. from says where it begins in a partition whose log goes from start
// to end.
func sample(ctx context.Context, c Config, topic string, n int,
	from func(partition int32, start, end int64) int64) ([]*record.Record, error) {
	c.defaults()
	cl, err := newReader(&c, kgo.FetchMaxWait(250*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	admin := kadm.NewClient(cl.Client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends, err := admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	begin := map[int32]kgo.Offset{}
	last := map[int32]int64{}
	starts.Each(func(s kadm.ListedOffset) {
		end, ok := ends.Lookup(topic, s.Partition)
		if !ok {
			return
		}
		if at := from(s.Partition, s.Offset, end.Offset); at < end.Offset {
			begin[s.Partition] = kgo.NoResetOffset().At(at)
			last[s.Partition] = end.Offset
		}
	})
	if len(begin) == 0 {
		return nil, ends.Error()
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: begin})
	return readSample(ctx, cl, last, n)
}

// readSample reads until there are n records, or a moment has passed without any: the last offsets
// may belong to aborted transactions. A batch that cannot be read ends it, with a *BadBatch.
// Records are copies, so that of a large batch they keep only themselves in memory, and large ones
// end it early.
func readSample(ctx context.Context, cl *reader, last map[int32]int64, n int) (records []*record.Record, err error) {
	room := int64(sampleMemory)
	var v view
	for len(records) < n && len(last) > 0 && room > 0 {
		poll, cancel := context.WithTimeout(ctx, 2*time.Second)
		fetches := cl.poll(poll, n-len(records), false, len(last))
		cancel()
		if err := fetches.Err0(); err != nil && ctx.Err() == nil && poll.Err() == nil && !errors.Is(err, errNoRoom) {
			return records, cl.explain(err)
		}
		for _, e := range fetches.Errors() {
			var bad *BadBatch
			if errors.As(cl.explain(e.Err), &bad) {
				return records, bad
			}
		}
		if fetches.Empty() {
			return records, nil
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if room > 0 {
				v.record.TopicPartition = record.TopicPartition{Topic: r.Topic, Partition: r.Partition}
				kept := v.of(r).Clone()
				room -= kept.Size()
				records = append(records, kept)
			}
			if r.Offset+1 >= last[r.Partition] {
				delete(last, r.Partition)
			}
		})
		cl.letGo()
	}
	return records, nil
}

// sampleMemory is how many bytes of keys and values make a sample large enough.
const sampleMemory = 32 << 20
