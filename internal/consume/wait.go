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
	toSay   bool          // in the next sayWaits
	tryIn   time.Duration // until it is taken again
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
		t.said, t.toSay = now, true
	}
	t.reason, t.command, t.tryIn = reason, command, d
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
	w.sayWaits()
}

// sayWaits logs what came to wait, and what reads again, since the last time: a line for each reason, of however many partitions.
func (w *Worker) sayWaits() {
	type cause struct{ reason, command string }
	by := map[cause][]txn.TopicPartition{}
	for tp, t := range w.waits {
		if t.toSay {
			by[cause{t.reason, t.command}] = append(by[cause{t.reason, t.command}], tp)
		}
	}
	for c, parts := range by {
		first := w.waits[parts[0]]
		attrs := append(w.which(parts), "reason", c.reason, "since", first.since.Round(time.Millisecond), "again_in", first.tryIn)
		if c.command != "" {
			attrs = append(attrs, "command", c.command)
		}
		w.cfg.Log.Error(plural(len(parts), "partition waiting", "partitions waiting"), attrs...)
		for _, tp := range parts {
			w.waits[tp].toSay = false
		}
	}
	if n := len(w.again); n > 0 {
		w.cfg.Log.Info(plural(n, "partition reading again", "partitions reading again"), w.which(w.again)...)
		w.again = nil
	}
}

func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// which names a partition with its position, and counts several.
func (w *Worker) which(parts []txn.TopicPartition) []any {
	if len(parts) > 1 {
		return []any{"worker", w.id, "partitions", len(parts), "topics", countTopics(parts)}
	}
	attrs := []any{"worker", w.id, "topic", parts[0].Topic, "partition", parts[0].Partition}
	if p := w.parts[parts[0]]; p != nil {
		attrs = append(attrs, "position", p.NextOffset)
	}
	return attrs
}

func (w *Worker) readsAgain(tp txn.TopicPartition) {
	if w.waits[tp] != nil {
		delete(w.waits, tp)
		w.again = append(w.again, tp)
	}
}
