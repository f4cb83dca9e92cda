package consume

import (
	"context"
	"slices"
	"sync"
	"time"

	"sinker/internal/txn"

	"github.com/twmb/franz-go/pkg/kadm"
)

// tails is where the logs of a worker's partitions end, asked every few seconds beside the loop. Fetches tell of the end
// as well, but not while the worker waits for Postgres, nor when there is nothing that may be read: an open transaction
// holds back what lies behind it, and without a look the lag would be 0.
type tails struct {
	mu sync.Mutex
	at map[txn.TopicPartition]logTail
}

type logTail struct {
	stable, high int64     // the last stable offset, and the offset after the last record
	since        time.Time // when stable was first seen there
	said         time.Time // when its standing still was last logged
}

// watchTails looks until stopped.
func (w *Worker) watchTails() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(w.cfg.tailEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				w.lookAtTails(ctx)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// lookAtTails asks for both ends of what the worker has. When Kafka does not answer nothing changes; the fetching
// client says what is wrong.
func (w *Worker) lookAtTails(ctx context.Context) {
	state := w.state.Load()
	var topics []string
	for i := range state.Partitions {
		if t := state.Partitions[i].Topic; !slices.Contains(topics, t) {
			topics = append(topics, t)
		}
	}
	if len(topics) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, max(w.cfg.tailEvery, time.Second))
	defer cancel()
	high, err := w.admin.ListEndOffsets(ctx, topics...) // first: it may only grow until the other is asked for
	if err != nil {
		return
	}
	stable, err := w.admin.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return
	}
	for i := range state.Partitions {
		p := &state.Partitions[i]
		w.tails.saw(w, p, stable, high)
	}
}

// saw notes the ends of a partition, and says when a transaction has been open for long.
func (t *tails) saw(w *Worker, p *PartitionState, stable, high kadm.ListedOffsets) {
	s, ok1 := stable.Lookup(p.Topic, p.Partition)
	h, ok2 := high.Lookup(p.Topic, p.Partition)
	if !ok1 || !ok2 || s.Err != nil || h.Err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	tp, now := txn.TopicPartition{Topic: p.Topic, Partition: p.Partition}, time.Now()
	at := t.at[tp]
	if at.since.IsZero() || at.stable != s.Offset || h.Offset <= s.Offset {
		at = logTail{since: now}
	}
	at.stable, at.high = s.Offset, h.Offset
	if at.high > at.stable && now.Sub(at.since) >= w.cfg.openAfter && now.Sub(at.said) >= 10*w.cfg.openAfter {
		at.said = now
		w.cfg.Log.Warn("a transaction in Kafka is open and holds back what lies behind it; sinker reads on when its producer, or Kafka after the transaction's timeout, ends it. "+
			"If neither does, find and abort it: kafka-transactions.sh --bootstrap-server … find-hanging",
			"topic", p.Topic, "partition", p.Partition, "open_at", at.stable, "held_back", at.high-at.stable, "since", at.since.Round(time.Second))
	}
	t.at[tp] = at
}

// fill completes a state with what was seen.
func (t *tails) fill(s *WorkerState) *WorkerState {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s == nil || len(t.at) == 0 {
		return s
	}
	filled := *s
	filled.Partitions = slices.Clone(s.Partitions)
	for i := range filled.Partitions {
		p := &filled.Partitions[i]
		if at, ok := t.at[txn.TopicPartition{Topic: p.Topic, Partition: p.Partition}]; ok {
			p.End = max(p.End, at.stable)
			p.HeldBack = max(0, at.high-p.End)
		}
	}
	return &filled
}
