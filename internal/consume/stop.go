package consume

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// stop ends the reading of a partition until an operator decides. The other partitions continue. The reason is logged
// once, shown by status and metrics, and stored with the position.
func (w *Worker) stop(p *part, why record.Stop) {
	delete(w.waits, p.TopicPartition)
	w.drop(p, why)
	p.again = time.Time{}
	attrs := []any{"worker", w.id, "topic", p.Topic, "partition", p.Partition, "position", p.NextOffset}
	w.cfg.Log.Error("partition stopped", append(attrs, stopAttrs(why)...)...)
	w.markStopped(p)
}

// stopAttrs are the fields of a stop, for the log.
func stopAttrs(why record.Stop) []any {
	attrs := []any{"reason", why.Reason}
	if !why.Hole.Empty() {
		attrs = append(attrs, "hole", why.Hole)
	}
	if why.Command != "" {
		attrs = append(attrs, "command", why.Command)
	}
	return attrs
}

func (w *Worker) drop(p *part, why record.Stop) {
	w.counters.Discarded.Add(int64(p.held()))
	p.forget()
	p.stop, p.stopSince = &why, time.Now()
	w.stopReading(p.TopicPartition)
	w.publish()
}

// lookAtRows looks every lookGap at the offset rows of partitions that commit nothing. An operator
// may have decided about a stopped one. Under an idle one the database may have gone back, and
// without a batch no compare finds that. A partition whose row changed is taken again.
func (w *Worker) lookAtRows(ctx context.Context) {
	if time.Since(w.looked) < lookGap {
		return
	}
	w.looked = time.Now()
	var quiet []record.Position
	for _, p := range w.sorted(func(p *part) bool { return !p.ready() && p.again.IsZero() }) {
		quiet = append(quiet, p.Position)
	}
	if len(quiet) == 0 {
		return
	}
	touched, err := w.store.Touched(ctx, quiet)
	if err != nil {
		return // the next step that needs the database logs it
	}
	for _, tp := range touched {
		w.cfg.Log.Info("an offset row is not as this worker left it (an operator, another owner, a failover): taking "+
			"the partition again", "worker", w.id, "topic", tp.Topic, "partition", tp.Partition)
		if p := w.parts[tp]; p.active() {
			w.stood[tp] = p.NextOffset
		}
		w.discard(tp)
		w.pending[tp] = time.Time{}
	}
}

// markStopped stores the reason with the position. It is best effort: the reason is in the log and
// in the metrics already.
func (w *Worker) markStopped(p *part) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := w.store.MarkStopped(ctx, p.TopicPartition, p.Fence, *p.stop); err != nil {
		w.cfg.Log.Debug("could not write down why a partition is not read", "topic", p.Topic, "partition", p.Partition,
			"err", err)
	}
}

// The flags that allow a change of the position.
const (
	skipRecords = "--skip-records"
	writeAgain  = "--write-again"
)

// decide is the command that continues from an offset.
func decide(tp record.TopicPartition, offset int64, flag string) string {
	return fmt.Sprintf("sinker offsets set --topic %s --partition %d --offset %d %s", tp.Topic, tp.Partition, offset, flag)
}

// otherLog is why a position cannot be read from that belongs to another log than the present one.
func otherLog(m record.Miss, now record.LogID) record.Stop {
	if m.Log.ClusterID != "" && now.ClusterID != "" && m.Log.ClusterID != now.ClusterID {
		return record.Stop{
			Reason: fmt.Sprintf("its position %d belongs to Kafka cluster %s, but this is cluster %s: is kafka.brokers right? "+
				"The command is for a log that was moved here with its offsets", m.Stored, m.Log.ClusterID, now.ClusterID),
			Command: fmt.Sprintf("sinker offsets adopt --topic %s --partition %d", m.Topic, m.Partition),
		}
	}
	return record.Stop{
		Reason: fmt.Sprintf("its position %d belongs to topic id %s, but topic %s now has id %s: it was deleted and "+
			"made again. "+
			"The command reads the new one from its start",
			m.Stored, hex.EncodeToString(m.Log.TopicID[:]), m.Topic, hex.EncodeToString(now.TopicID[:])),
		Command: fmt.Sprintf("sinker offsets reset --topic %s --partition %d", m.Topic, m.Partition),
	}
}

// fetchFailed notes what an error means that came instead of records.
func (w *Worker) fetchFailed(tp record.TopicPartition, p *part, err error) {
	var loss *kgo.ErrDataLoss
	var bad *kgo.ErrDecompressTooLarge
	switch {
	case errors.Is(err, errNoRoom):
		return
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, kgo.ErrClientClosed):
		return
	case tp.Topic == "" && time.Since(w.saidTooLarge) > 30*time.Second: // of a broker's whole answer
		w.saidTooLarge = time.Now()
		w.cfg.Log.Error("a broker's answer cannot be read: it has a batch that is larger than kafka.max_batch even "+
			"compressed; "+
			"no partition of that broker is read until kafka.max_batch is raised",
			"worker", w.id, "max_batch", inMiB(w.cfg.MaxBatch), "err", err)
	case p == nil || !p.active() || p.verdict != nil:
		return
	case errors.As(err, &loss):
		p.verdict = func() {
			w.stop(p, record.Stop{
				Reason: fmt.Sprintf("Kafka lost records: the log was cut off at offset %d (an unclean leader election?); "+
					"the records of [%d, %d), which sinker has written, are not in Kafka any more",
					loss.ResetTo, loss.ResetTo, loss.ConsumedTo),
				Hole: record.Hole{From: loss.ResetTo, To: loss.ConsumedTo}, Command: decide(tp, loss.ResetTo, writeAgain),
			})
		}
	case errors.Is(err, kerr.OffsetOutOfRange), errors.Is(err, kerr.UnknownTopicID),
		errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.InconsistentTopicID):
		// What it means depends on the log as it is now. Taking the partition again finds out.
		if p.read > p.NextOffset {
			return // first commit the records before it; the error comes again
		}
		p.verdict = func() {
			w.cfg.Log.Warn("Kafka refuses a fetch: looking at the log again",
				"topic", tp.Topic, "partition", tp.Partition, "position", p.NextOffset, "err", err)
			w.takeAgain(p, time.Now().Add(turn))
		}
	case errors.As(err, &bad):
		w.bad[tp] = w.reader.unpack.explain(bad)
	case isFatalFetch(err):
		p.verdict = func() { w.park(p, record.Stop{Reason: refusedFetch(p, err)}) }
	default:
		w.cfg.Log.Debug("fetch failed, trying again", "topic", tp.Topic, "partition", tp.Partition, "err", err)
	}
}

func refusedFetch(p *part, err error) string {
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		return fmt.Sprintf("Kafka does not let this user read topic %s (%v): allow it, for example with "+
			"kafka-acls.sh --add --operation Read --topic %s", p.Topic, err, p.Topic)
	}
	return fmt.Sprintf("Kafka's answer for offset %d cannot be used: %v", p.read, err)
}

// isFatalFetch says whether the client cannot recover from the error by itself.
func isFatalFetch(err error) bool {
	var ke *kerr.Error
	if errors.As(err, &ke) {
		return !ke.Retriable || ke == kerr.TopicAuthorizationFailed || ke == kerr.ClusterAuthorizationFailed
	}
	return !kgo.IsRetryableBrokerErr(err)
}
