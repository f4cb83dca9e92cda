package outages

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"sinker/e2e"
	"sinker/internal/orderdata"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestMemory meets what swells a sink: a Postgres that is a hundred times too slow, batches that are small on the wire
// and large in memory, and records as large as Kafka lets them be. sinker runs with its defaults, two workers. The bounds are
// what the guide says, 130 MB and five times the largest batch or record for each worker, and a fifth more.
func TestMemory(t *testing.T) {
	const pipeline = "kafka: { brokers: '%s', instance: off }\npostgres: '%s'\n" +
		"sinks: [{ topic: orders, table: orders, columns: { id: id }, meta: [partition, offset] }]\n"
	cases := []struct {
		name  string
		bound int // MB
		sql   string
		codec kgo.CompressionCodec
		batch int32
		fill  func(s *scene)
		done  int64 // records after which it has been seen enough
	}{
		{
			name: "SlowSink", bound: 150, codec: kgo.NoCompression(), batch: 1 << 20, done: 300_000,
			sql: `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;
			      CREATE TRIGGER slow BEFORE INSERT ON orders FOR EACH STATEMENT EXECUTE FUNCTION slow()`,
			fill: func(s *scene) { s.fill(1_000_000, func(i int) []byte { return orderdata.Order(nil, int64(i)) }) },
		},
		{
			name: "Compressed1000ToOne", bound: 250, codec: kgo.ZstdCompression(), batch: 8 << 20, done: 20_000,
			fill: func(s *scene) {
				padding := bytes.Repeat([]byte("x"), 100_000)
				s.fill(20_000, func(i int) []byte { return fmt.Appendf(nil, `{"id":%d,"padding":"%s"}`, i, padding) })
			},
		},
		{
			name: "Records50MiB", bound: 750, codec: kgo.NoCompression(), batch: 60 << 20, done: 24,
			fill: func(s *scene) {
				padding := bytes.Repeat([]byte("x"), 50<<20)
				s.fill(24, func(i int) []byte { return fmt.Appendf(nil, `{"id":%d,"padding":"%s"}`, i, padding) })
			},
		},
		{
			name: "120MBToNothingAfterOrdinary", bound: 600, codec: kgo.ZstdCompression(), batch: 125 << 20, done: 20_000 + 32*120,
			fill: func(s *scene) {
				s.fill(20_000, func(i int) []byte { return orderdata.Order(nil, int64(i)) })
				padding := bytes.Repeat([]byte("x"), 1_000_000)
				for b := range 32 { // as many in each partition
					s.fillBatch(b%partitions, 120, func(i int) []byte { return fmt.Appendf(nil, `{"id":%d,"padding":"%s"}`, 1_000_000+b*120+i, padding) })
				}
			},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, false, kgo.ProducerBatchCompression(c.codec), kgo.ProducerBatchMaxBytes(c.batch), kgo.MaxBufferedBytes(200<<20), kgo.BrokerMaxWriteBytes(200<<20), kgo.ProducerLinger(10*time.Second))
			if c.sql != "" {
				s.exec(s.pg, c.sql)
			}
			c.fill(s)
			p := e2e.Start(t, "sinker", e2e.Config(t, fmt.Sprintf(pipeline, s.broker, s.url(s.pg))))
			s.eventually("records to be loaded", func() bool { return s.position(s.pg) >= c.done })
			r := resident(p)
			t.Logf("%d MB resident at the most", r)
			if r > c.bound {
				t.Errorf("%d MB resident at the most, want %d", r, c.bound)
			}
			if c.done == s.produced {
				s.reckon(s.pg)
			}
		})
	}
}

// fill produces n records, and does not keep them in memory.
func (s *scene) fill(n int, value func(i int) []byte) {
	s.t.Helper()
	s.produceAll(n, func(i int) *kgo.Record { return &kgo.Record{Partition: int32(i % partitions), Value: value(i)} })
}

// fillBatch produces one batch of n records.
func (s *scene) fillBatch(partition, n int, value func(i int) []byte) {
	s.t.Helper()
	s.produceAll(n, func(i int) *kgo.Record { return &kgo.Record{Partition: int32(partition), Value: value(i)} })
}

func (s *scene) produceAll(n int, record func(i int) *kgo.Record) {
	s.t.Helper()
	for i := range n {
		s.client.Produce(context.Background(), record(i), func(_ *kgo.Record, err error) {
			if err != nil {
				s.t.Error(err)
			}
		})
	}
	if err := s.client.Flush(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	s.produced += int64(n)
}
