package demo

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// feed produces the demonstration's records, no further than it is let: so a loader can be met in the middle of its
// work however fast it is. Record i goes to partition i modulo partitions, in order, so that it is known from a
// row's partition and offset which record it must have come from.
type feed struct {
	records source
	stop    func()     // ends it and waits
	failed  chan error // what went wrong, once

	mu      sync.Mutex
	allowed int64
	more    chan struct{} // closed when allowed grows
	acked   [partitions]int64
}

func newFeed(records source) *feed {
	return &feed{records: records, failed: make(chan error, 1), more: make(chan struct{})}
}

// start begins to produce in the background.
func (f *feed) start(ctx context.Context, broker string) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	f.stop = func() { cancel(); <-done }
	go func() {
		defer close(done)
		if err := f.run(ctx, broker); err != nil && ctx.Err() == nil {
			f.fail(fmt.Errorf("produce: %w", err))
		}
	}()
}

func (f *feed) fail(err error) {
	select {
	case f.failed <- err:
	default:
	}
}

// allow lets it go on to record n, exclusive.
func (f *feed) allow(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n > f.allowed {
		f.allowed = n
		close(f.more)
		f.more = make(chan struct{})
	}
}

// limit is how far it may go, and a channel that closes when that changes.
func (f *feed) limit() (int64, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.allowed, f.more
}

// produced is how many records Kafka has acknowledged, by partition, and in all.
func (f *feed) produced() (by [partitions]int64, all int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.acked {
		all += n
	}
	return f.acked, all
}

func (f *feed) run(ctx context.Context, broker string) error {
	batch := int32(max(1<<20, f.records.longest()+4096))
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(20_000), kgo.MaxBufferedBytes(int(2*batch)+64<<20), kgo.ProducerBatchMaxBytes(batch),
		kgo.BrokerMaxWriteBytes(batch+100<<20))
	if err != nil {
		return err
	}
	defer cl.Close()
	for i := int64(0); i < f.records.count(); i++ {
		for allowed, more := f.limit(); i >= allowed; allowed, more = f.limit() {
			select {
			case <-more:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		value, err := f.records.at(make([]byte, 0, 256), i)
		if err != nil {
			return err
		}
		cl.Produce(ctx, &kgo.Record{Value: value, Partition: int32(i % partitions)}, f.ack)
	}
	return cl.Flush(ctx)
}

// ack is told of each record, in the order of the partition.
func (f *feed) ack(r *kgo.Record, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil:
		f.fail(fmt.Errorf("produce: %w", err))
	case r.Offset != f.acked[r.Partition]:
		f.fail(fmt.Errorf("produce: Kafka put record %d of partition %d at offset %d", f.acked[r.Partition], r.Partition,
			r.Offset))
	default:
		f.acked[r.Partition]++
	}
}

// recordAt is the number of the record that was produced to a place.
func recordAt(partition int32, offset int64) int64 { return offset*partitions + int64(partition) }
