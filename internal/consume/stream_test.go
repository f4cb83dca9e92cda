package consume

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"sinker/internal/local/await"
	"sinker/internal/local/pgproxy"
	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// backlog is a topic with more in it than a fetch brings, and a configuration that fetches little at a time.
func backlog(t *testing.T, partitions int32) (*bench, Config) {
	b := newBench(t, "orders", partitions)
	for range 60 {
		b.produce("orders", partitions, 50)
	}
	cfg := b.config("orders")
	cfg.FetchMemory = leastFetch
	return b, cfg
}

// counted counts the times a batch went on while it was written, and lets f decide about every step besides.
func (m *memory) counted(f func(step string) error) *atomic.Int64 {
	var n atomic.Int64
	m.setFault(func(step string) error {
		if step == "streamed" {
			n.Add(1)
		}
		return f(step)
	})
	return &n
}

// TestStream: batches that go on while they are written, and what happens to them when they fail.
func TestStream(t *testing.T) {
	t.Run("BatchesOfSeveralFetches", func(t *testing.T) {
		b, cfg := backlog(t, 2)
		went := b.db.counted(func(string) error { return nil })
		var commits, records, bytes atomic.Int64
		cfg.Observe = func(r Report) { commits.Add(1); records.Add(int64(r.Records)); bytes.Add(r.Bytes) }
		b.run(cfg, 1, nil)
		b.caughtUp("orders")
		b.checkExactlyOnce()
		await.Until(t, "the last commit to be reported", func() bool { return records.Load() >= 6000 })
		if went.Load() < 2*commits.Load() {
			t.Errorf("%d batches went on %d times", commits.Load(), went.Load())
		}
		if size := int64(60 * 2 * (10 + 2*40)); records.Load() != 6000 || bytes.Load() != size { // values "0" to "49"
			t.Errorf("%d records and %d bytes reported, want 6000 and %d", records.Load(), bytes.Load(), size)
		}
	})

	t.Run("BoundsHold", func(t *testing.T) {
		b, cfg := backlog(t, 2)
		cfg.Rows = 700
		var most atomic.Int64
		cfg.Observe = func(r Report) { most.Store(max(most.Load(), int64(r.Records))) }
		b.run(cfg, 1, nil)
		b.caughtUp("orders")
		b.checkExactlyOnce()
		if n := most.Load(); n > 700 || n < 350 {
			t.Errorf("the largest batch had %d records, want more than a fetch brings and at most 700", n)
		}
	})

	t.Run("FailedOnTheWay", func(t *testing.T) {
		b, cfg := backlog(t, 2)
		strike := every("streamed", 3, 4, errCut)
		b.db.counted(strike)
		svc, _ := b.run(cfg, 1, nil)
		b.caughtUp("orders")
		b.checkExactlyOnce()
		await.Until(t, "what was read again to be counted", func() bool { return svc.States()[0].Discarded > 0 })
		if s := svc.States()[0]; s.Rewound+s.Fenced > 0 {
			t.Errorf("%d positions went back and %d were fenced, though nobody touched them", s.Rewound, s.Fenced)
		}
	})

	t.Run("FailedAtTheEnd", func(t *testing.T) {
		b, cfg := backlog(t, 2)
		went := int64(0)
		var count *atomic.Int64
		count = b.db.counted(func(step string) error {
			if step != "committed" || count == nil || count.Load() == went || went > 40 {
				return nil
			}
			went = count.Load() // this one was streamed, and applied: nobody is told
			return errCut
		})
		svc, _ := b.run(cfg, 1, nil)
		b.caughtUp("orders")
		b.checkExactlyOnce()
		await.Until(t, "a lost reply to be counted", func() bool { return svc.States()[0].Resolved > 0 })
	})

	t.Run("StopsAtABadRecordAndWritesWhatIsBefore", func(t *testing.T) {
		b, cfg := backlog(t, 2)
		const bad = 1234
		var streamed atomic.Int64
		b.db.refuse = func(batch record.Ranges) error {
			for _, r := range batch {
				if r.TopicPartition == tp("orders", 1) && r.From <= bad && bad < r.To {
					streamed.Add(int64(r.Streamed))
					return &record.StopError{TopicPartition: r.TopicPartition, Offset: bad, Reason: "no number"}
				}
			}
			return nil
		}
		svc, _ := b.run(cfg, 1, nil)
		b.stopped(svc, tp("orders", 1), "no number")
		await.Until(t, "the other partition to go on", func() bool { return b.db.position(tp("orders", 0)) == 3000 })
		if at := b.db.position(tp("orders", 1)); at != bad {
			t.Errorf("position %d, want the bad record's offset %d", at, bad)
		}
		if streamed.Load() == 0 {
			t.Error("the bad record never came in a batch that went on: this proves nothing")
		}
	})

	t.Run("RefusedValue", func(t *testing.T) {
		b, cfg := backlog(t, 1)
		var refused atomic.Int64
		b.db.refuse = func(batch record.Ranges) error {
			if batch.Streamed() && refused.Add(1) == 1 {
				return failure(record.Data, record.StepWrite, "check constraint")
			}
			return nil
		}
		b.run(cfg, 1, nil)
		b.caughtUp("orders")
		b.checkExactlyOnce()
		if refused.Load() == 0 {
			t.Error("no batch that went on was refused: this proves nothing")
		}
	})

	t.Run("TheLogChangesMeanwhile", func(t *testing.T) {
		b, cfg := backlog(t, 2)
		var once sync.Once
		b.db.counted(func(step string) error {
			if step == "streamed" {
				once.Do(func() { // what was not fetched yet is gone before it is
					var cut kadm.Offsets
					cut.Add(kadm.Offset{Topic: "orders", Partition: 1, At: 2990})
					if _, err := b.admin.DeleteRecords(context.Background(), cut); err != nil {
						t.Error(err)
					}
				})
			}
			return nil
		})
		svc, _ := b.run(cfg, 1, nil)
		b.stopped(svc, tp("orders", 1), "Kafka has deleted offsets")
		await.Until(t, "the other partition to go on", func() bool { return b.db.position(tp("orders", 0)) == 3000 })
	})
}

// TestStreamedCommitCuts is TestCommitCuts with a backlog, where every batch goes on while it is written: the records of
// one whose COMMIT fails have to be read again, those of one that was committed must not.
func TestStreamedCommitCuts(t *testing.T) {
	t.Parallel()
	const partitions, rounds, each = 4, 100, 100
	b := newCutBench(t, partitions)
	for range rounds {
		var records []*kgo.Record
		for p := range int32(partitions) {
			for range each {
				records = append(records, &kgo.Record{Topic: "orders", Partition: p, Value: []byte(`{"id":1}`)})
			}
		}
		if err := b.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	plan := newPlan(map[pgproxy.Fate]int{pgproxy.CutBefore: 4, pgproxy.CutAfter: 4, pgproxy.CutReply: 4})
	b.proxy.OnCommit(plan.next)
	cfg := b.config("orders")
	cfg.FetchMemory, cfg.Rows = leastFetch, 1500
	var resolved atomic.Int64
	cfg.Observe = func(r Report) {
		if r.Result.Resolved {
			resolved.Add(1)
		}
	}
	svc, _ := b.run(cfg, 1, nil)
	want := int64(partitions * rounds * each)
	await.Until(t, "all positions at the end", func() bool {
		return b.count(`SELECT coalesce(sum(next_offset), 0)::bigint FROM sinker.offsets`) == want
	})
	for _, sql := range []string{
		`SELECT count(*) FROM orders`, `SELECT count(DISTINCT (kafka_partition, kafka_offset)) FROM orders`,
		`SELECT sum(written)::bigint FROM sinker.offsets`, `SELECT sum(records)::bigint FROM sinker.ledger`,
	} {
		if got := b.count(sql); got != want {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
	await.Until(t, "what was read again to be counted", func() bool { return svc.States()[0].Discarded > 0 })
	if plan.left() > 0 || resolved.Load() == 0 {
		t.Errorf("%d fates left, %d commits found done: this proves too little", plan.left(), resolved.Load())
	}
}
