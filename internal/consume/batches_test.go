package consume

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"time"

	"sinker/internal/local/await"
	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// produceBatch puts one batch of n records into a partition's log, packed already, as no producer of today would make it if
// need be. It returns the offset of the first record.
func (b *bench) produceBatch(topic string, partition int32, codec kgo.CompressionCodecType, n int, packed []byte) int64 {
	b.t.Helper()
	batch := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(codec), LastOffsetDelta: int32(n - 1),
		FirstTimestamp: time.Now().UnixMilli(), MaxTimestamp: time.Now().UnixMilli(), ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(n), Records: packed}
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	t := kmsg.NewProduceRequestTopic()
	meta, err := b.admin.Metadata(context.Background(), topic)
	if err != nil {
		b.t.Fatal(err)
	}
	t.Topic, t.TopicID = topic, meta.Topics[topic].ID
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, raw
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := b.client.Broker(int(meta.Topics[topic].Partitions[partition].Leader)).RetriableRequest(context.Background(), req)
	if err != nil {
		b.t.Fatal(err)
	}
	answer := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		b.t.Fatal(err)
	}
	for i := range n {
		b.made[fmt.Sprintf("%s/%d@%d", topic, partition, answer.BaseOffset+int64(i))] = true
	}
	return answer.BaseOffset
}

// unmade takes the records of a batch that is not to be loaded out of what is expected.
func (b *bench) unmade(topic string, partition int32, from int64, n int) {
	for i := range n {
		delete(b.made, fmt.Sprintf("%s/%d@%d", topic, partition, from+int64(i)))
	}
}

// watchHeap returns a function that says how many bytes the heap grew to at most since, garbage included.
func watchHeap() (most func() int64) {
	runtime.GC()
	read := func() int64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(s)
		return int64(s[0].Value.Uint64())
	}
	before, top := read(), int64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				top = max(top, read())
			}
		}
	}()
	return func() int64 {
		close(stop)
		<-done
		return top - before
	}
}

// smallMemory is a configuration in which a batch of 24 MiB is a large one.
func (b *bench) smallMemory(topic string) Config {
	c := b.config(topic)
	c.FetchMemory, c.Bytes, c.MaxBatch = 1<<20, 4<<20, 32<<20
	return c
}

const (
	hugeRecords = 24
	hugeRecord  = 1 << 20
)

// TestHugeBatches: batches that unpack to a great deal are loaded, by every codec and wherever they lie, and take no more
// memory than one of them and what there is without them.
func TestHugeBatches(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(50)) // what the broker of the test and the watcher leave behind counts too
	content := payload(hugeRecords, hugeRecord, false)
	for _, codec := range packings() {
		packed := codec.pack(t, content)
		for _, c := range []struct {
			name                string
			brokers, partitions int
			before, each        int // ordinary records, and huge batches, of each partition
			history             bool
		}{
			{"after ordinary ones", 1, 1, 20_000, 8, true},
			{"from the start", 1, 1, 0, 8, false},
			{"in many partitions of three brokers", 3, 12, 100, 2, true},
		} {
			t.Run(codec.name+"/"+c.name, func(t *testing.T) {
				b := newBench(t, "t", int32(c.partitions), kfake.NumBrokers(c.brokers), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "100000000"}))
				if c.before > 0 {
					b.produce("t", int32(c.partitions), c.before)
				}
				load := func() {
					for range c.each {
						for p := range int32(c.partitions) {
							b.produceBatch("t", p, codec.codec, hugeRecords, packed)
						}
					}
				}
				if !c.history {
					load()
				}
				cfg := b.smallMemory("t")
				b.run(cfg, 1, nil)
				b.caughtUp("t")
				if c.history {
					load()
				}
				most := watchHeap()
				b.caughtUp("t")
				grown := most()
				b.checkExactlyOnce()
				if bound := cfg.MaxBatch + 16<<20 + int64(c.brokers)*2*int64(len(packed)); grown > bound {
					t.Errorf("the heap grew by %d MiB, more than %d", grown>>20, bound>>20)
				}
			})
		}
	}
}

// TestBadBatches: a partition stops before a batch that is over the limit or broken, once the records before it are loaded;
// the others go on. It says which offsets, why, and what to do, and so do a sample and the proof. It is not tried again until
// an operator passes over the batch, or the limit is raised.
func TestBadBatches(t *testing.T) {
	const n = 20
	content := payload(n, 10_000, false)
	for _, codec := range packings() {
		packed := codec.pack(t, content)
		kinds := map[string][]byte{"large": codec.pack(t, payload(n, 100_000, false)), "half": packed[:len(packed)/2]}
		if codec.claim != nil {
			kinds["claims 4 GiB"] = codec.claim(bytes.Clone(packed), 4<<30-1)
			kinds["claims 1 byte"] = codec.claim(bytes.Clone(packed), 1)
		}
		for kind, raw := range kinds {
			t.Run(codec.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				testBadBatch(t, codec.codec, raw, n, kind == "large")
			})
		}
	}
}

var raise = regexp.MustCompile(`set kafka.max_batch to ([0-9]+)MiB`)

func testBadBatch(t *testing.T, codec kgo.CompressionCodecType, raw []byte, n int, large bool) {
	b := newBench(t, "t", 2)
	b.produce("t", 2, 50)
	from := b.produceBatch("t", 0, codec, n, raw)
	b.unmade("t", 0, from, n)
	b.produce("t", 2, 50)
	cfg := b.config("t")
	cfg.MaxBatch = 1 << 20
	svc, stop := b.run(cfg, 1, nil)
	bad, other := record.TopicPartition{Topic: "t"}, record.TopicPartition{Topic: "t", Partition: 1}
	offsets := fmt.Sprintf("[%d, %d)", from, from+int64(n))
	b.stopped(svc, bad, offsets)
	await.Until(t, "the other partition's end", func() bool { return b.db.position(other) == b.ends("t")[other] })
	if at := b.db.position(bad); at != from {
		t.Errorf("stopped at %d, want %d: what lies before the batch is to be loaded", at, from)
	}
	command := fmt.Sprintf("sinker offsets set --topic t --partition 0 --offset %d --skip-records", from+int64(n))
	wantWords := func(who, said string) {
		t.Helper()
		if !strings.Contains(said, offsets) || large && !raise.MatchString(said) || !large && !strings.Contains(said, "broken in Kafka") {
			t.Errorf("%s says %q", who, said)
		}
	}
	limit := cfg.MaxBatch
	for _, p := range svc.States()[0].Partitions {
		if p.Partition == 0 {
			if m := raise.FindStringSubmatch(p.Reason); m != nil {
				mib, _ := strconv.ParseInt(m[1], 10, 64)
				limit = mib << 20
			}
			wantWords("the state", p.Reason)
			if p.Command != command {
				t.Errorf("the command is %q, want %q", p.Command, command)
			}
		}
	}
	ctx := context.Background()
	_, err := Sample(ctx, cfg, "t", 60)
	wantBadBatch(t, "the sample", err, command, wantWords)
	err = Reread(ctx, cfg, bad, 0, from+int64(n)+1, func(*record.Record) {})
	wantBadBatch(t, "the proof", err, command, wantWords)
	b.db.change(bad, func(r *memoryRow) {
		if r.fence != 1 {
			t.Errorf("the partition was taken %d times", r.fence)
		}
	})
	if large {
		stop()
		cfg.MaxBatch = limit // as it says
		b.run(cfg, 1, nil)
		for i := range n {
			b.made[fmt.Sprintf("t/0@%d", from+int64(i))] = true
		}
	} else {
		b.db.change(bad, func(r *memoryRow) { r.next = from + int64(n) })
	}
	b.caughtUp("t")
	b.checkExactlyOnce()
}

func wantBadBatch(t *testing.T, who string, err error, command string, wantWords func(who, said string)) {
	t.Helper()
	var bad *BadBatch
	if !errors.As(err, &bad) {
		t.Fatalf("%s: %v", who, err)
	}
	wantWords(who, bad.Error())
	if bad.Skip() != command {
		t.Errorf("%s says to run %q", who, bad.Skip())
	}
}
