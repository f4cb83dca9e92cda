package consume

import (
	"time"

	"sinker/internal/record"

	"github.com/dustin/go-humanize/english"
)

// wait is why a partition waits. It lasts from the first time until the partition is certain to
// read again. Meanwhile the partition is taken again and again, and looks well until the same thing
// happens; an observer should not see that.
type wait struct {
	why   record.Stop
	since time.Time
	said  time.Time
	toSay bool          // in the next sayWaits
	tryIn time.Duration // until it is taken again
}

// park is stop for a reason that may pass by itself: the partition is taken again after a while. It
// is logged at once, and every 30 s while it lasts.
func (w *Worker) park(p *part, why record.Stop) { w.parkFor(p, why, w.cfg.parkFor) }

func (w *Worker) parkFor(p *part, why record.Stop, d time.Duration) {
	why.Waiting = true
	now := time.Now()
	t := w.waits[p.TopicPartition]
	if t == nil {
		t = &wait{since: now}
		w.waits[p.TopicPartition] = t
	}
	if t.why.Reason != why.Reason || now.Sub(t.said) >= sayAgain {
		t.said, t.toSay = now, true
	}
	t.why, t.tryIn = why, d
	w.drop(p, why)
	p.stopSince, p.again = t.since, now.Add(d)
	w.pending[p.TopicPartition] = p.again
	w.markStopped(p)
}

// endWaits ends the waits of partitions of which nothing was committed, but that have been at the
// end of their log for longer than Kafka needs to refuse a fetch.
func (w *Worker) endWaits() {
	for tp := range w.waits {
		p := w.parts[tp]
		if p != nil && p.active() && !p.ready() && !p.behind() && time.Since(p.began) > lookGap {
			w.readsAgain(tp)
		}
	}
	w.sayWaits()
}

// sayWaits logs the partitions that wait, and those that read again, since the last call: one line
// per reason.
func (w *Worker) sayWaits() {
	by := map[record.Stop][]record.TopicPartition{}
	for tp, t := range w.waits {
		if t.toSay {
			by[t.why] = append(by[t.why], tp)
		}
	}
	for why, parts := range by {
		first := w.waits[parts[0]]
		attrs := append(w.which(parts), stopAttrs(why)...)
		attrs = append(attrs, "since", first.since.Round(time.Millisecond), "again_in", first.tryIn)
		w.cfg.Log.Error(english.PluralWord(len(parts), "partition waiting", "partitions waiting"), attrs...)
		for _, tp := range parts {
			w.waits[tp].toSay = false
		}
	}
	if n := len(w.again); n > 0 {
		w.cfg.Log.Info(english.PluralWord(n, "partition reading again", "partitions reading again"), w.which(w.again)...)
		w.again = nil
	}
}

// which is the attributes of one partition with its position, or the count of several.
func (w *Worker) which(parts []record.TopicPartition) []any {
	if len(parts) > 1 {
		return []any{"worker", w.id, "partitions", len(parts), "topics", countTopics(parts)}
	}
	attrs := []any{"worker", w.id, "topic", parts[0].Topic, "partition", parts[0].Partition}
	if p := w.parts[parts[0]]; p != nil {
		attrs = append(attrs, "position", p.NextOffset)
	}
	return attrs
}

func (w *Worker) readsAgain(tp record.TopicPartition) {
	if w.waits[tp] != nil {
		delete(w.waits, tp)
		w.again = append(w.again, tp)
	}
}
