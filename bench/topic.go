package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// topic is a topic that holds exactly the first rows records of a data set.
type topic struct {
	name       string
	data       *dataset
	rows       int64
	partitions int
	bytes      int64 // of the records' values; 0 when the topic was there already
}

// topic returns the named number of records of a data set as a topic, which it fills unless an earlier run has.
// Record i is in partition i mod partitions, so that all records of a key are in one partition, in the order of i.
func (k *kafka) topic(ctx context.Context, e *env, d *dataset, rows int64, partitions int) (*topic, error) {
	t := &topic{name: fmt.Sprintf("bench-%s-%d-p%d-%s", d.tag(), rows, partitions, e.compression), data: d, rows: rows,
		partitions: partitions}
	have, err := k.count(ctx, t.name)
	if err != nil {
		return nil, err
	}
	if have == rows {
		return t, nil
	}
	e.say("  filling topic %s", t.name)
	if err := k.recreate(ctx, t.name, partitions); err != nil {
		return nil, err
	}
	return t, k.fill(ctx, e, t)
}

// count is how many records a topic holds, -1 when there is no such topic.
func (k *kafka) count(ctx context.Context, name string) (int64, error) {
	ends, err := k.admin.ListEndOffsets(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("cannot list the offsets of topic %s: %w", name, err)
	}
	starts, err := k.admin.ListStartOffsets(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("cannot list the offsets of topic %s: %w", name, err)
	}
	if ends.Error() != nil || starts.Error() != nil {
		return -1, nil
	}
	var sum int64
	for p, end := range ends[name] {
		sum += end.Offset - starts[name][p].Offset
	}
	return sum, nil
}

// recreate makes an empty topic, in place of one of the same name.
func (k *kafka) recreate(ctx context.Context, name string, partitions int) error {
	if have, err := k.count(ctx, name); err != nil {
		return err
	} else if have >= 0 {
		if _, err := k.admin.DeleteTopic(ctx, name); err != nil {
			return fmt.Errorf("cannot delete topic %s: %w", name, err)
		}
	}
	var err error
	for range 100 { // the old topic's name is free a moment after its deletion is answered
		if _, err = k.admin.CreateTopic(ctx, int32(partitions), 1, nil, name); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("cannot create topic %s: %w", name, err)
	}
	for range 300 { // every partition has its leader a moment later
		if n, err := k.count(ctx, name); err == nil && n == 0 {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("topic %s was created, and its partitions still have no leader after 30 s", name)
}

// fill produces the records of a topic.
func (k *kafka) fill(ctx context.Context, e *env, t *topic) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(k.brokers...), kgo.DefaultProduceTopic(t.name),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codecs[e.compression]),
		kgo.ProducerLinger(linger(t.partitions)), kgo.MaxBufferedBytes(256<<20), kgo.MaxBufferedRecords(1<<20))
	if err != nil {
		return fmt.Errorf("cannot make a producer: %w", err)
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	for i := range t.rows {
		if failed.Load() != nil {
			break
		}
		value := t.data.record(make([]byte, 0, t.data.size), i)
		t.bytes += int64(len(value))
		client.Produce(ctx, &kgo.Record{Value: value, Partition: int32(i % int64(t.partitions))}, promise)
	}
	if err := client.Flush(ctx); err != nil {
		return fmt.Errorf("cannot fill topic %s: %w", t.name, err)
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("cannot fill topic %s: %w", t.name, *err)
	}
	return nil
}

// linger is how long a batch waits for more records: the longer, the more partitions share them, so that it is the
// number of partitions that is compared and not that of the batches.
func linger(partitions int) time.Duration {
	return min(time.Second, max(20*time.Millisecond, time.Duration(partitions)*5*time.Millisecond))
}

// codecs are what -compression takes.
var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "lz4": kgo.Lz4Compression(), "snappy": kgo.SnappyCompression(),
	"zstd": kgo.ZstdCompression(), "gzip": kgo.GzipCompression(),
}
