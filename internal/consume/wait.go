package consume

import (
	"time"

	"sinker/internal/txn"
)

// wait is why a partition waits, from the first time on until it is certain to read again. The partition is taken again and
// again meanwhile, and stands there as if nothing were wrong until the same thing happens; who looks should not see that.
type wait struct {
	reason  string
	command string // that helps; empty: there is none
	since   time.Time
	said    time.Time
}

// park is stop for a reason that may pass by itself: the partition is taken again after a while. It is said at once, and
// every 30 s while it lasts. command is one that helps, or empty.
func (w *Worker) park(p *part, reason, command string) { w.parkFor(p, reason, command, w.cfg.parkFor) }

func (w *Worker) parkFor(p *part, reason, command string, d time.Duration) {
	now := time.Now()
	t := w.waits[p.TopicPartition]
	if t == nil {
		t = &wait{since: now}
		w.waits[p.TopicPartition] = t
	}
	if t.reason != reason || now.Sub(t.said) >= sayAgain {
		t.said = now
		attrs := []any{"worker", w.id, "topic", p.Topic, "partition", p.Partition, "position", p.NextOffset, "reason", reason, "since", t.since.Round(time.Millisecond), "again_in", d}
		if command != "" {
			attrs = append(attrs, "command", command)
		}
		w.cfg.Log.Error("partition waiting", attrs...)
	}
	t.reason, t.command = reason, command
	w.drop(p, txn.Stop{Reason: reason, Command: command, Waiting: true})
	p.stopSince, p.again = t.since, now.Add(d)
	w.pending[p.TopicPartition] = p.again
	w.markStopped(p)
}

// endWaits notes which partitions do not wait any more though nothing of them was committed: those that stand at the end of
// their log, and have stood there for long enough for Kafka to refuse a fetch.
func (w *Worker) endWaits() {
	for tp := range w.waits {
		p := w.parts[tp]
		if p != nil && p.active() && !p.ready() && !p.behind() && time.Since(p.began) > lookGap {
			w.readsAgain(tp)
		}
	}
}

func (w *Worker) readsAgain(tp txn.TopicPartition) {
	t := w.waits[tp]
	if t == nil {
		return
	}
	delete(w.waits, tp)
	w.cfg.Log.Info("partition reading again", "worker", w.id, "topic", tp.Topic, "partition", tp.Partition, "after", time.Since(t.since).Round(time.Millisecond))
}
