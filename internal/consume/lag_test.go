package consume

import (
	"context"
	"testing"
	"time"

	"sinker/internal/local/await"
	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestOldestUnread(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	for name, c := range map[string]struct {
		state PartitionState
		want  time.Time
	}{
		"TheEndIsNotKnown":             {PartitionState{Position: 5, End: -1, Timestamp: at(1), Taken: at(9)}, time.Time{}},
		"AtTheEnd":                     {PartitionState{Position: 5, End: 5, Timestamp: at(1), Oldest: at(2), Taken: at(9)}, time.Time{}},
		"TheRecordIsKnown":             {PartitionState{Position: 5, End: 9, Timestamp: at(1), AtEnd: at(3), Oldest: at(2), Taken: at(9)}, at(2)},
		"NotReadYetAfterARestart":      {PartitionState{Position: 5, End: 9, Timestamp: at(1), Taken: at(9)}, at(1)},
		"NotReadYetOnAQuietTopic":      {PartitionState{Position: 5, End: 6, Timestamp: at(1), AtEnd: at(8), Taken: at(2)}, at(8)},
		"RecordsOfTheFutureBeforeIt":   {PartitionState{Position: 5, End: 6, Timestamp: at(99), AtEnd: at(8), Taken: at(2)}, at(99)},
		"NothingIsKnownButWhenItBegan": {PartitionState{Position: 0, End: 6, Taken: at(9)}, at(9)},
	} {
		if got := c.state.OldestUnread(); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// old produces a record to partition 0 with a timestamp so long ago.
func (b *bench) old(topic string, ago time.Duration) time.Time {
	b.t.Helper()
	at := time.Now().Add(-ago).Truncate(time.Millisecond)
	if err := b.client.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Value: []byte("1"), Timestamp: at}).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
	return at
}

func lagOf(svc *Service, place record.TopicPartition) (p PartitionState, ok bool) {
	for _, s := range svc.States() {
		for _, p := range s.Partitions {
			if p.Topic == place.Topic && p.Partition == place.Partition {
				return p, true
			}
		}
	}
	return p, false
}

func (b *bench) oldest(svc *Service, what string, ok func(p PartitionState, oldest time.Time) bool) {
	b.t.Helper()
	await.Until(b.t, what, func() bool {
		p, found := lagOf(svc, tp("orders", 0))
		return found && ok(p, p.OldestUnread())
	})
}

// The lag in time is the age of the oldest record that is not committed, in every state that a partition can be in.
func TestLagInTime(t *testing.T) {
	read := func(p PartitionState, oldest time.Time) bool { return p.Position == 1 && p.End == 1 && oldest.IsZero() }

	t.Run("AnOldRecordOnAQuietTopicThatIsRead", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.old("orders", 415*time.Second)
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.oldest(svc, "no lag", read)
	})

	t.Run("WhileTheDatabaseIsAway", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.old("orders", time.Hour)
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.oldest(svc, "no lag", read)
		b.db.setFault(func(string) error { return errCut })
		first := b.old("orders", 10*time.Minute)
		b.old("orders", 5*time.Minute)
		b.oldest(svc, "the age of the first unread record, as waiting", func(p PartitionState, oldest time.Time) bool {
			return oldest.Equal(first) && p.State == record.Waiting
		})
	})

	t.Run("OfAPartitionThatStopsAtARecord", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.db.refuse = func(batch record.Ranges) error {
			if batch[0].From <= 1 && batch[0].To > 1 {
				return &record.StopError{TopicPartition: tp("orders", 0), Offset: 1, Reason: "no number"}
			}
			return nil
		}
		b.old("orders", time.Hour)
		bad := b.old("orders", 10*time.Minute)
		svc, _ := b.run(b.config("orders"), 1, nil)
		b.oldest(svc, "the age of the record it stopped at", func(p PartitionState, oldest time.Time) bool {
			return p.State == record.Stopped && oldest.Equal(bad) && p.End == 2
		})
	})

	t.Run("OfAPartitionThatIsTakenAgainAndAgain", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		b.db.refuse = func(record.Ranges) error {
			return failure(record.Schema, record.StepWrite, errCut.Error())
		}
		first := b.old("orders", 10*time.Minute)
		cfg := b.config("orders")
		cfg.parkFor = 20 * time.Millisecond
		svc, _ := b.run(cfg, 1, nil)
		b.oldest(svc, "the age of the record it waits with", func(p PartitionState, oldest time.Time) bool {
			return p.State == record.Waiting && oldest.Equal(first)
		})
		fence := b.fence(tp("orders", 0))
		await.Until(t, "five times more to be taken", func() bool {
			if p, ok := lagOf(svc, tp("orders", 0)); !ok || p.State != record.Waiting || !p.OldestUnread().Equal(first) {
				t.Fatalf("it shows as %+v in between", p)
			}
			return b.fence(tp("orders", 0)) >= fence+5
		})
	})

	t.Run("SeededAfterARestart", func(t *testing.T) {
		b := newBench(t, "orders", 1)
		last := b.old("orders", time.Hour)
		svc, stop := b.run(b.config("orders"), 1, nil)
		b.oldest(svc, "no lag", read)
		stop()
		b.produce("orders", 1, 5)
		var cut kadm.Offsets
		cut.Add(kadm.Offset{Topic: "orders", Partition: 0, At: 3})
		if _, err := b.admin.DeleteRecords(context.Background(), cut); err != nil {
			t.Fatal(err)
		}
		svc, _ = b.run(b.config("orders"), 1, nil) // stops before it reads anything
		b.oldest(svc, "the age of the last record committed", func(p PartitionState, oldest time.Time) bool {
			return p.State == record.Stopped && oldest.Equal(last) && p.End == 6
		})
	})
}

func (b *bench) fence(place record.TopicPartition) int64 {
	b.db.mu.Lock()
	defer b.db.mu.Unlock()
	return b.db.rows[place].fence
}
