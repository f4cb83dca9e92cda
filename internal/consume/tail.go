package consume

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kadm"
)

// FindHanging is the command that finds transactions whose producers are gone; it comes with Kafka.
const FindHanging = "kafka-transactions.sh --bootstrap-server … find-hanging"

// tails is where the logs of a worker's partitions end. A goroutine asks every few seconds. Fetches
// tell the end as well, but not while the worker waits for Postgres, and not when nothing may be
// read: an open transaction holds back what follows it, and without asking the lag would be 0.
type tails struct {
	look chan struct{} // asks for a look now, because partitions were taken

	mu   sync.Mutex
	at   map[record.TopicPartition]logTail
	away outage // of Kafka
}

// outage is how long something has not answered, and when that was last logged.
type outage struct {
	err         error // nil: it answers
	since, said time.Time
}

type logTail struct {
	stable, high int64     // the last stable offset, and the offset after the last record
	since        time.Time // when stable was first seen there
	said         time.Time // when its standing still was last logged
	atEnd        time.Time // when the position was last seen to be at stable
	bad          outage    // of this partition alone: it has no leader, for example
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
			case <-w.tails.look:
			}
			w.lookAtTails(ctx)
		}
	}()
	return func() { cancel(); <-done }
}

// lookSoon makes the next look come at once.
func (t *tails) lookSoon() {
	select {
	case t.look <- struct{}{}:
	default:
	}
}

// lookAtTails asks Kafka for both ends of the worker's partitions. It also notices when Kafka is
// away: the fetching client retries silently.
func (w *Worker) lookAtTails(ctx context.Context) {
	state := w.state.Load()
	var topics []string
	for i := range state.Partitions {
		if t := state.Partitions[i].Topic; !slices.Contains(topics, t) {
			topics = append(topics, t)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, max(w.cfg.tailEvery, time.Second))
	defer cancel()
	if len(topics) == 0 {
		ctx, cancel := context.WithTimeout(kadm.WithAuthorizedOps(ctx), 3*time.Second) // past the cache
		defer cancel()
		if _, err := w.admin.BrokerMetadata(ctx); ctx.Err() != context.Canceled {
			w.tails.answered(w, err)
		}
		return
	}
	high, err := w.admin.ListEndOffsets(ctx, topics...) // first: it may only grow until the other is asked for
	var stable kadm.ListedOffsets
	if !allFailed(err) {
		stable, err = w.admin.ListCommittedOffsets(ctx, topics...)
	}
	if ctx.Err() == context.Canceled {
		return
	}
	if w.tails.answered(w, err); allFailed(err) {
		return
	}
	for i := range state.Partitions {
		p := &state.Partitions[i]
		w.tails.saw(w, p, stable, high)
	}
}

// answered notes whether Kafka answered. It logs a change, and every 30 s that Kafka does not
// answer.
func (t *tails) answered(w *Worker, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if !allFailed(err) {
		if t.away.err != nil {
			w.cfg.Log.Info("Kafka answers again", "worker", w.id, "after", now.Sub(t.away.since).Round(time.Millisecond))
		}
		t.away = outage{}
		return
	}
	if t.away.err == nil {
		t.away.since = now
	}
	t.away.err = fmt.Errorf("Kafka does not answer: %w", err)
	if now.Sub(t.away.said) >= sayAgain {
		t.away.said = now
		w.cfg.Log.Warn(retrying, "worker", w.id, "since", t.away.since.Round(time.Millisecond), "err", t.away.err)
	}
}

// saw notes the ends of a partition, and logs a transaction that has been open for long.
func (t *tails) saw(w *Worker, p *PartitionState, stable, high kadm.ListedOffsets) {
	s, ok1 := stable.Lookup(p.Topic, p.Partition)
	h, ok2 := high.Lookup(p.Topic, p.Partition)
	t.mu.Lock()
	defer t.mu.Unlock()
	tp, now := record.TopicPartition{Topic: p.Topic, Partition: p.Partition}, time.Now()
	at := t.at[tp]
	if !ok1 || !ok2 || s.Err != nil || h.Err != nil {
		if at.bad.err == nil {
			at.bad.since = now
		}
		at.bad.err = fmt.Errorf("Kafka cannot serve it now: %w", cmp.Or(h.Err, s.Err, errNoAnswer))
		t.at[tp] = at
		return
	}
	if at.since.IsZero() || at.stable != s.Offset || h.Offset <= s.Offset {
		at = logTail{since: now, atEnd: at.atEnd}
	}
	at.bad = outage{}
	if p.Position >= s.Offset {
		at.atEnd = now
	}
	at.stable, at.high = s.Offset, h.Offset
	if at.high > at.stable && now.Sub(at.since) >= w.cfg.openAfter && now.Sub(at.said) >= 10*w.cfg.openAfter {
		at.said = now
		w.cfg.Log.Warn("a transaction in Kafka is open and holds back what follows it; sinker reads on when its "+
			"producer, or Kafka after "+
			"the transaction's timeout, ends it. If neither does, find and abort it",
			"topic", p.Topic, "partition", p.Partition, "open_at", at.stable, "held_back", at.high-at.stable,
			"since", at.since.Round(time.Second), "command", FindHanging)
	}
	t.at[tp] = at
}

// fill completes a state with the ends.
func (t *tails) fill(s *WorkerState) *WorkerState {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s == nil || len(t.at) == 0 && t.away.err == nil {
		return s
	}
	filled := *s
	if filled.Trouble == "" && t.away.err != nil && filled.Running {
		filled.Trouble, filled.Since = t.away.err.Error(), t.away.since
	}
	filled.Partitions = slices.Clone(s.Partitions)
	for i := range filled.Partitions {
		p := &filled.Partitions[i]
		at, ok := t.at[record.TopicPartition{Topic: p.Topic, Partition: p.Partition}]
		if ok && !at.since.IsZero() {
			p.End = max(p.End, at.stable)
			p.HeldBack = max(0, at.high-p.End)
		}
		if at.atEnd.After(p.AtEnd) {
			p.AtEnd = at.atEnd
		}
		for _, o := range []outage{t.away, at.bad} {
			if o.err != nil && p.State == record.Reading {
				p.State, p.Reason, p.Since = record.Waiting, o.err.Error(), o.since
			}
		}
	}
	return &filled
}
