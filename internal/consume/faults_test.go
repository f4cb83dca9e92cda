package consume

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sinker/internal/local/await"
	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// every returns a fault that strikes each nth time a step comes, max times in all.
func every(step string, n, most int, err error) func(string) error {
	var mu sync.Mutex
	seen, struck := 0, 0
	return func(s string) error {
		mu.Lock()
		defer mu.Unlock()
		if s != step || struck == most {
			return nil
		}
		if seen++; seen%n != 0 {
			return nil
		}
		struck++
		return err
	}
}

func TestFaults(t *testing.T) {
	t.Run("FailedAndNotApplied", func(t *testing.T) {
		b := newBench(t, "orders", 2)
		b.db.setFault(every("commit", 2, 5, errCut))
		b.produce("orders", 2, 500)
		cfg := b.config("orders")
		cfg.Rows = 50
		svc, _ := b.run(cfg, 1, nil)
		b.caughtUp("orders")
		b.checkExactlyOnce()
		await.Until(t, "retries to be counted", func() bool { return svc.States()[0].Retries == 5 })
		if n := svc.States()[0].Rewound; n != 0 {
			t.Errorf("%d positions went back, though the database did not", n)
		}
	})

	t.Run("FailedButApplied", func(t *testing.T) {
		b := newBench(t, "orders", 2)
		b.db.setFault(every("committed", 2, 5, errCut))
		b.produce("orders", 2, 500)
		cfg := b.config("orders")
		cfg.Rows = 50
		svc, _ := b.run(cfg, 1, nil)
		b.caughtUp("orders")
		b.checkExactlyOnce()
		await.Until(t, "lost replies to be counted", func() bool { return svc.States()[0].Resolved == 5 })
	})

	t.Run("DatabaseDownAtAssignment", func(t *testing.T) {
		b := newBench(t, "orders", 2)
		b.produce("orders", 2, 100)
		var asked atomic.Int64
		b.db.setFault(func(step string) error {
			if step == "take" && asked.Add(1) <= 5 {
				return errCut
			}
			return nil
		})
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		b.checkExactlyOnce()
		if n := svc.States()[0].Rebalances; n != 1 {
			t.Errorf("an outage of the database at the assignment led to %d rebalances, want the 1 of joining", n)
		}
	})

	t.Run("Fenced", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 100)
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		b.db.change(tp("orders", 0), func(r *memoryRow) { r.fence += 10 })
		b.produce("orders", 1, 100)
		b.caughtUp("orders") // it takes the partition again: the group says that it is its own
		b.checkExactlyOnce()
		await.Until(t, "the fencing to be counted once", func() bool { return svc.States()[0].Fenced == 1 })
	})

	t.Run("DatabaseWentBack", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 100)
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		b.db.change(tp("orders", 0), func(r *memoryRow) { r.next = 40 })
		b.db.forget("orders", 0, 40)
		b.produce("orders", 1, 100)
		b.caughtUp("orders")
		b.checkExactlyOnce()
		await.Until(t, "the rewind to be counted once", func() bool { return svc.States()[0].Rewound == 1 })
	})

	t.Run("DatabaseWentBackWhileIdle", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 100)
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		b.db.change(tp("orders", 0), func(r *memoryRow) { r.next = 40 })
		b.db.forget("orders", 0, 40)
		b.caughtUp("orders") // without a new record to bring it up
		b.checkExactlyOnce()
		await.Until(t, "the rewind to be counted once", func() bool { return svc.States()[0].Rewound == 1 })
	})

	t.Run("FencedByTheSameNumber", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 100)
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		b.db.change(tp("orders", 0), func(r *memoryRow) { r.owner = "another, after a failover that lost our take" })
		b.produce("orders", 1, 100)
		b.caughtUp("orders")
		b.checkExactlyOnce()
		if w := svc.States()[0]; len(w.Partitions) == 1 && w.Partitions[0].State != record.Reading {
			t.Errorf("%s: %s", w.Partitions[0].State, w.Partitions[0].Reason)
		}
	})

	t.Run("RowGone", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 10)
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		b.db.mu.Lock()
		delete(b.db.rows, tp("orders", 0))
		b.db.mu.Unlock()
		b.produce("orders", 1, 10)
		b.stopped(svc, tp("orders", 0), "sinker.offsets is gone")
	})

	t.Run("MovedByHand", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 10)
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		b.db.change(tp("orders", 0), func(r *memoryRow) { r.next = 1000 })
		b.produce("orders", 1, 10)
		b.stopped(svc, tp("orders", 0), "moved it by hand")
	})

	t.Run("StopsAtABadRecordAndWritesWhatIsBefore", func(t *testing.T) {
		b := newBench(t, "orders", 2)
		b.produce("orders", 2, 100)
		bad := &record.StopError{TopicPartition: tp("orders", 1), Offset: 30, Reason: "no number"}
		b.db.setFault(func(string) error { return nil })
		b.db.refuse = func(batch record.Ranges) error {
			for _, r := range batch {
				if r.TopicPartition == bad.TopicPartition && r.From <= bad.Offset && bad.Offset < r.To {
					return bad
				}
			}
			return nil
		}
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.stopped(svc, tp("orders", 1), "no number")
		await.Until(t, "the other partition to go on", func() bool { return b.db.position(tp("orders", 0)) == 100 })
		if at := b.db.position(tp("orders", 1)); at != 30 {
			t.Errorf("position %d, want the bad record's offset 30", at)
		}
	})

	t.Run("SmallerBatchAfterATimeout", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 1000)
		slow := failure(record.Timeout, record.StepWrite, "statement timeout")
		b.db.refuse = func(batch record.Ranges) error {
			if batchRows(batch) > 100 {
				return slow
			}
			return nil
		}
		b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		b.checkExactlyOnce()
	})
}

// forget plays a database that went back: the rows from an offset on are not there any more.
func (m *memory) forget(topic string, partition int32, from int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for place := range m.seen {
		if offset, ok := offsetOf(place, topic, partition); ok && offset >= from {
			delete(m.seen, place)
		}
	}
}

// stopped waits until the partition is stopped for a reason that holds the text, in the state and in the database.
func (b *bench) stopped(svc *Service, tp record.TopicPartition, text string) {
	b.t.Helper()
	await.Until(b.t, "partition stopped: "+text, func() bool {
		for _, s := range svc.States() {
			for _, p := range s.Partitions {
				if p.Topic == tp.Topic && p.Partition == tp.Partition && strings.Contains(p.Reason, text) && p.State == record.Stopped {
					return true
				}
			}
		}
		return false
	})
}

func TestTheLogChanges(t *testing.T) {
	ctx := context.Background()

	t.Run("RetentionPassedThePosition", func(t *testing.T) {
		b := newBench(t, "orders", 2)
		b.produce("orders", 2, 10)
		_, stop := b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		stop()
		b.produce("orders", 2, 100)
		var cut kadm.Offsets
		cut.Add(kadm.Offset{Topic: "orders", Partition: 1, At: 60})
		if _, err := b.admin.DeleteRecords(ctx, cut); err != nil {
			t.Fatal(err)
		}
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.stopped(svc, tp("orders", 1), "[10, 60)")
		await.Until(t, "the other partition to go on", func() bool { return b.db.position(tp("orders", 0)) == 110 })
	})

	t.Run("AnOperatorDecidesWhileUp", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 100)
		var cut kadm.Offsets
		cut.Add(kadm.Offset{Topic: "orders", Partition: 0, At: 60})
		if _, err := b.admin.DeleteRecords(ctx, cut); err != nil {
			t.Fatal(err)
		}
		for place := range b.made { // what was deleted is not to be written
			if offset, _ := offsetOf(place, "orders", 0); offset < 60 {
				delete(b.made, place)
			}
		}
		if err := b.db.store("x").Seed(ctx, []record.Claim{{TopicPartition: tp("orders", 0), Log: b.log("orders"), Seed: 10}}); err != nil {
			t.Fatal(err)
		}
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.stopped(svc, tp("orders", 0), "[10, 60)")
		b.db.change(tp("orders", 0), func(r *memoryRow) { r.next, r.fence = 60, r.fence+1 })
		b.caughtUp("orders")
		b.checkExactlyOnce()
	})

	t.Run("PositionBeyondTheEnd", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 10)
		_, stop := b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		stop()
		b.db.change(tp("orders", 0), func(r *memoryRow) { r.next = 50 })
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.stopped(svc, tp("orders", 0), "[10, 50)")
	})

	t.Run("RecreatedWhileDown", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 10)
		_, stop := b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		stop()
		b.recreate("orders", 1)
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.stopped(svc, tp("orders", 0), "deleted and made again")
		if at := b.db.position(tp("orders", 0)); at != 10 {
			t.Errorf("position moved to %d", at)
		}
	})

	t.Run("RecreatedWhileUp", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 10)
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		b.recreate("orders", 1)
		b.stopped(svc, tp("orders", 0), "deleted and made again")
	})

	for name, down := range map[string]bool{"AnOperatorResetsARecreatedTopic": false, "AnOperatorResetsATopicRecreatedWhileDown": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "orders", 2)
			b.produce("orders", 2, 10)
			svc, stop := b.run(b.config("orders"), 1, nil)
			b.caughtUp("orders")
			if down {
				stop()
			}
			b.recreate("orders", 2)
			b.produce("orders", 2, 20)
			if down {
				svc, _ = b.run(b.config("orders"), 1, nil)
			}
			for p := range int32(2) {
				b.stopped(svc, tp("orders", p), "deleted and made again")
			}
			log := b.log("orders")
			for p := range int32(2) {
				b.db.change(tp("orders", p), func(r *memoryRow) { r.log, r.next, r.fence = log, 0, r.fence+1 })
				await.Until(t, "the new topic to be read", func() bool { return b.db.position(tp("orders", p)) == 20 })
			}
		})
	}

	t.Run("RecreatedBetweenTwoLooks", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 10)
		_, stop := b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		stop()
		b.cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
			b.cluster.SleepControl(func() { b.recreate("orders", 1) }) // the topic's id was asked for before
			return nil, nil, false
		})
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.stopped(svc, tp("orders", 0), "deleted and made again")
	})

	t.Run("AnotherCluster", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 10)
		_, stop := b.run(b.config("orders"), 1, nil)
		b.caughtUp("orders")
		stop()
		b.db.change(tp("orders", 0), func(r *memoryRow) { r.log.ClusterID = "another" })
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.stopped(svc, tp("orders", 0), "belongs to Kafka cluster another")
	})

	t.Run("PartitionsAdded", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 10)
		cfg := b.config("orders")
		cfg.Start = Start{Latest: true}
		cfg.Kafka = append(cfg.Kafka, kgo.MetadataMaxAge(100*1e6))
		b.made = map[string]bool{} // before the start: not read
		b.run(cfg, 1, nil)
		b.caughtUp("orders")
		if _, err := b.admin.CreatePartitions(ctx, 2, "orders"); err != nil {
			t.Fatal(err)
		}
		b.client.ForceMetadataRefresh()
		await.Until(t, "the producer to see the new partitions", func() bool {
			return b.client.ProduceSync(ctx, &kgo.Record{Topic: "orders", Partition: 2, Value: []byte("probe")}).FirstErr() == nil
		})
		b.made["orders/2@0"] = true
		b.produce("orders", 3, 20)
		b.caughtUp("orders")
		b.checkExactlyOnce()
	})

	t.Run("LatestSkipsWhatIsThere", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.produce("orders", 1, 10)
		b.made = map[string]bool{}
		cfg := b.config("orders")
		cfg.Start = Start{Latest: true}
		b.run(cfg, 1, nil)
		b.caughtUp("orders")
		b.produce("orders", 1, 10)
		b.caughtUp("orders")
		b.checkExactlyOnce()
	})

	t.Run("Ends", func(t *testing.T) {
		b := newBench(t, "orders", 3)
		b.produce("orders", 3, 100)
		cfg := b.config("orders")
		ends, err := FindEnds(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		svc := NewService(cfg, 2, nil, func(int) Store { return b.db.store("w") }, ends)
		if err := svc.Run(ctx); err != nil {
			t.Fatal(err)
		}
		b.checkExactlyOnce()
		if done, total := ends.Progress(); done != 300 || total != 300 {
			t.Errorf("progress %d of %d, want 300 of 300", done, total)
		}
	})
}

// log is the topic's identity now.
func (b *bench) log(topic string) record.LogID {
	b.t.Helper()
	m, err := b.admin.Metadata(context.Background(), topic)
	if err != nil {
		b.t.Fatal(err)
	}
	return record.LogID{ClusterID: m.Cluster, TopicID: [16]byte(m.Topics[topic].ID)}
}

func (b *bench) recreate(topic string, partitions int32) {
	b.t.Helper()
	ctx := context.Background()
	if _, err := b.admin.DeleteTopic(ctx, topic); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.admin.CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		b.t.Fatal(err)
	}
	b.client.PurgeTopicsFromClient(topic)
}
