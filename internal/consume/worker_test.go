package consume

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sinker/internal/local/await"
	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestMain lets more tests run at a time than there are processors: those that do wait most of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "6")
	os.Exit(m.Run())
}

// bench is one test's Kafka, database and running services.
type bench struct {
	t       *testing.T
	cluster *kfake.Cluster
	client  *kgo.Client
	admin   *kadm.Client
	db      *memory
	made    map[string]bool // records that must be written once
	open    func() Store    // opens a worker's store; nil: on db
	workers atomic.Int64    // started, to give each a name
}

// store opens the store of another worker.
func (b *bench) store() Store {
	if b.open != nil {
		return b.open()
	}
	return b.db.store(b.owner())
}

func (b *bench) owner() string { return fmt.Sprint("worker ", b.workers.Add(1)) }

func newBench(t *testing.T, topic string, partitions int32, opts ...kfake.Opt) *bench {
	t.Helper()
	opts = append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic), kfake.GroupMinSessionTimeout(100 * time.Millisecond)}, opts...)
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &bench{t: t, cluster: cluster, client: cl, admin: kadm.NewClient(cl), db: newMemory(), made: map[string]bool{}}
}

func (b *bench) config(topic string) Config {
	return Config{
		Group: "test", Topics: []string{topic},
		Kafka:          []kgo.Opt{kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.MetadataMinAge(50 * time.Millisecond)},
		SessionTimeout: 2 * time.Second, HeartbeatInterval: 100 * time.Millisecond, RebalanceTimeout: 10 * time.Second,
		Log: slog.New(slog.NewTextHandler(testWriter{b.t}, nil)),
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// produce adds n records to each partition and expects each of them once.
func (b *bench) produce(topic string, partitions int32, n int) {
	b.t.Helper()
	var records []*kgo.Record
	for p := range partitions {
		for i := range n {
			records = append(records, &kgo.Record{Topic: topic, Partition: p, Value: fmt.Appendf(nil, "%d", i)})
		}
	}
	for _, r := range b.client.ProduceSync(context.Background(), records...) {
		if r.Err != nil {
			b.t.Fatal(r.Err)
		}
		b.made[fmt.Sprintf("%s/%d@%d", r.Record.Topic, r.Record.Partition, r.Record.Offset)] = true
	}
}

// run starts a service; the returned function stops it and waits.
func (b *bench) run(cfg Config, workers int, ends *Ends) (svc *Service, stop func() error) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	svc = NewService(cfg, workers, nil, func(int) Store { return b.store() }, ends)
	done := make(chan error, 1)
	go func() { done <- svc.Run(ctx) }()
	var once atomic.Bool
	stop = func() error {
		if once.Swap(true) {
			return nil
		}
		cancel()
		return <-done
	}
	b.t.Cleanup(func() { stop() })
	return svc, stop
}

// ends asks Kafka for the end of each partition, as a read_committed reader sees it.
func (b *bench) ends(topic string) map[record.TopicPartition]int64 {
	b.t.Helper()
	listed, err := b.admin.ListCommittedOffsets(context.Background(), topic)
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[record.TopicPartition]int64{}
	listed.Each(func(o kadm.ListedOffset) {
		out[record.TopicPartition{Topic: o.Topic, Partition: o.Partition}] = o.Offset
	})
	return out
}

// caughtUp waits until all positions are at the end.
func (b *bench) caughtUp(topic string) {
	b.t.Helper()
	ends := b.ends(topic)
	await.Until(b.t, "positions at the end of "+topic, func() bool {
		for tp, end := range ends {
			if b.db.position(tp) != end {
				return false
			}
		}
		return true
	})
}

// checkExactlyOnce holds what was written against what was produced.
func (b *bench) checkExactlyOnce() {
	b.t.Helper()
	b.db.mu.Lock()
	defer b.db.mu.Unlock()
	for place := range b.made {
		if n := b.db.seen[place]; n != 1 {
			b.t.Errorf("record %s was written %d times", place, n)
		}
	}
	for place := range b.db.seen {
		if !b.made[place] {
			b.t.Errorf("record %s was written and never committed to Kafka", place)
		}
	}
}

func tp(topic string, p int32) record.TopicPartition {
	return record.TopicPartition{Topic: topic, Partition: p}
}

func TestWorker(t *testing.T) {
	t.Run("LoadsEveryRecordOnce", func(t *testing.T) {
		b := newBench(t, "orders", 4)
		b.produce("orders", 4, 1000)
		b.run(b.config("orders"), 2, nil)
		b.caughtUp("orders")
		b.produce("orders", 4, 500)
		b.caughtUp("orders")
		b.checkExactlyOnce()
	})

	t.Run("SmallBatches", func(t *testing.T) {
		b := newBench(t, "orders", 3)
		b.produce("orders", 3, 1000)
		cfg := b.config("orders")
		cfg.Rows = 7
		var most atomic.Int64
		cfg.Observe = func(r Report) { most.Store(max(most.Load(), int64(r.Records))) }
		b.run(cfg, 1, nil)
		b.caughtUp("orders")
		b.checkExactlyOnce()
		if most.Load() > 7 {
			t.Errorf("a batch had %d records, more than the 7 allowed", most.Load())
		}
	})

	t.Run("BytesBoundABatch", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 100)
		cfg := b.config("orders")
		cfg.Bytes = 10 // values are one or two bytes long
		var most atomic.Int64
		cfg.Observe = func(r Report) { most.Store(max(most.Load(), r.Bytes)) }
		b.run(cfg, 1, nil)
		b.caughtUp("orders")
		b.checkExactlyOnce()
		if most.Load() > 11 {
			t.Errorf("a batch had %d bytes", most.Load())
		}
	})

	t.Run("AbortedAndControlTail", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 10)
		b.transaction("orders", 5, kgo.TryCommit)
		b.transaction("orders", 5, kgo.TryAbort)
		b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders") // 10 + 5 + marker + 5 aborted + marker
		b.checkExactlyOnce()
	})

	t.Run("RestartGoesOn", func(t *testing.T) {
		b := newBench(t, "orders", 2)
		b.produce("orders", 2, 300)
		_, stop := b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		b.produce("orders", 2, 300)
		b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		b.checkExactlyOnce()
	})

	t.Run("MembersComeAndGo", func(t *testing.T) {
		b := newBench(t, "orders", 4)
		_, stop1 := b.run(b.config("orders"), 1, nil)
		b.produce("orders", 4, 500)
		_, stop2 := b.run(b.config("orders"), 2, nil)
		b.produce("orders", 4, 500)
		stop1()
		b.produce("orders", 4, 500)
		b.caughtUp("orders")
		stop2()
		b.checkExactlyOnce()
	})

	t.Run("MirrorsPositions", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 10)
		b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		await.Until(t, "the group's offset", func() bool {
			o, err := b.admin.FetchOffsets(context.Background(), "test")
			if err != nil {
				return false
			}
			at, ok := o.Lookup("orders", 0)
			return ok && at.At == 10
		})
	})
}

func TestTails(t *testing.T) {
	t.Run("OpenTransaction", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 10)
		var log lockedLog
		cfg := b.config("orders")
		cfg.tailEvery, cfg.openAfter = 20*time.Millisecond, 50*time.Millisecond
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		svc, _ := b.run(cfg, 1, nil)
		b.caughtUp("orders")
		end := b.openTransaction("orders", 5)
		b.produce("orders", 1, 3) // committed, but behind the open transaction
		await.Until(t, "the records held back to be counted", func() bool { return heldBack(svc) == 8 })
		await.Until(t, "a word about it", func() bool { return strings.Contains(log.String(), "held_back=8") })
		if n := b.db.position(tp("orders", 0)); n != 10 {
			t.Errorf("position %d, want 10", n)
		}
		end(kgo.TryAbort)
		b.caughtUp("orders")
		await.Until(t, "nothing to be held back", func() bool { return heldBack(svc) == 0 })
		b.checkExactlyOnce()
	})

	t.Run("LagGrowsWhileTheDatabaseIsAway", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 10)
		cfg := b.config("orders")
		cfg.tailEvery = 20 * time.Millisecond
		svc, _ := b.run(cfg, 1, nil)
		b.caughtUp("orders")
		b.db.setFault(func(string) error { return errCut })
		b.produce("orders", 1, 100)
		end := func() int64 {
			for _, p := range svc.States()[0].Partitions {
				return p.End
			}
			return -1
		}
		await.Until(t, "the end to be seen", func() bool { return end() == 110 })
		b.produce("orders", 1, 100)
		await.Until(t, "the end to be seen", func() bool { return end() == 210 })
		b.db.setFault(func(string) error { return nil })
		b.caughtUp("orders")
		b.checkExactlyOnce()
	})
}

func heldBack(svc *Service) (n int64) {
	for _, s := range svc.States() {
		for _, p := range s.Partitions {
			n += p.HeldBack
		}
	}
	return n
}

// lockedLog is a log that can be read while it is written.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// openTransaction produces n records to partition 0 in a Kafka transaction that is left open until ended. They are not expected.
func (b *bench) openTransaction(topic string, n int) (end func(kgo.TransactionEndTry)) {
	b.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.TransactionalID("open"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(cl.Close)
	if err := cl.BeginTransaction(); err != nil {
		b.t.Fatal(err)
	}
	for i := range n {
		if err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "open %d", i)}).FirstErr(); err != nil {
			b.t.Fatal(err)
		}
	}
	return func(how kgo.TransactionEndTry) {
		b.t.Helper()
		if err := cl.EndTransaction(context.Background(), how); err != nil {
			b.t.Fatal(err)
		}
	}
}

// transaction produces n records to partition 0 in one Kafka transaction; committed ones are expected once.
func (b *bench) transaction(topic string, n int, end kgo.TransactionEndTry) {
	b.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		b.t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		b.t.Fatal(err)
	}
	for i := range n {
		r := cl.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "tx %d", i)})
		if err := r.FirstErr(); err != nil {
			b.t.Fatal(err)
		}
		if bool(end) {
			b.made[fmt.Sprintf("%s/0@%d", topic, r[0].Record.Offset)] = true
		}
	}
	if err := cl.EndTransaction(context.Background(), end); err != nil {
		b.t.Fatal(err)
	}
}
