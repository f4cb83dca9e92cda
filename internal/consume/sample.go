package consume

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Sample reads up to n of a topic's last records, without a group and without a trace. It is for looking at what a
// topic holds before anything is loaded.
func Sample(ctx context.Context, c Config, topic string, n int) ([]*kgo.Record, error) {
	opts := append([]kgo.Opt{kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(250 * time.Millisecond)}, c.Kafka...)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	admin := kadm.NewClient(cl)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends, err := admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	from := map[int32]kgo.Offset{}
	last := map[int32]int64{}
	starts.Each(func(s kadm.ListedOffset) {
		end, ok := ends.Lookup(topic, s.Partition)
		if ok && end.Offset > s.Offset {
			from[s.Partition] = kgo.NoResetOffset().At(max(s.Offset, end.Offset-int64(n)))
			last[s.Partition] = end.Offset
		}
	})
	if len(from) == 0 {
		return nil, ends.Error()
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	return readSample(ctx, cl, last, n)
}

// readSample reads until there are n records, or a moment has passed without any: the last offsets may belong to
// aborted transactions.
func readSample(ctx context.Context, cl *kgo.Client, last map[int32]int64, n int) (records []*kgo.Record, err error) {
	for len(records) < n && len(last) > 0 {
		poll, cancel := context.WithTimeout(ctx, 2*time.Second)
		fetches := cl.PollRecords(poll, n-len(records))
		cancel()
		if err := fetches.Err0(); err != nil && ctx.Err() == nil && poll.Err() == nil {
			return records, err
		}
		if fetches.Empty() {
			return records, nil
		}
		fetches.EachRecord(func(r *kgo.Record) {
			records = append(records, r)
			if r.Offset+1 >= last[r.Partition] {
				delete(last, r.Partition)
			}
		})
	}
	return records, nil
}
