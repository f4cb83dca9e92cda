package consume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"sinker/internal/failpoint"
	"sinker/internal/record"
)

// commitHeld commits a batch of what is held, trying again for as long as it is ours and the trouble may pass.
// It returns when the batch is committed, when nothing of it is ours any more, or when ctx has ended.
func (w *Worker) commitHeld(ctx context.Context) {
	b := w.cutBatch()
	backoff, resolved := newBackoff(), false
	for retries := 0; len(b) > 0; retries++ {
		start := time.Now()
		err := failpoint.Hit(failpoint.Polled)
		var res record.Result
		if err == nil && !resolved { // not again while a commit is in doubt: its ranges must not change
			err = w.store.Resolve(context.WithoutCancel(ctx), b)
			resolved = err == nil
		}
		if err == nil {
			res, err = w.write(ctx, b)
		}
		if err == nil {
			w.trouble.over(w)
			w.committed(b, res, start, retries)
			_ = failpoint.Hit(failpoint.Advanced)
			return
		}
		resolved = resolved && !comparePassed(err)
		var again bool
		if b, again = w.refused(ctx, b, err); again {
			continue
		}
		w.counters.Retries.Add(1)
		w.sayWaits()
		w.publish()
		if !w.pause(ctx, backoff.next()) {
			return
		}
		w.applyChanges()
		b = w.stillOurs(b)
	}
}

// comparePassed says whether it is certain by an error of a transaction that its compare had passed, and so that no
// earlier attempt is in doubt.
func comparePassed(err error) bool {
	var stop *record.StopError
	var unready *record.UnreadyError
	failure, ok := record.FailureOf(err)
	return errors.As(err, &stop) || errors.As(err, &unready) || ok && failure.Step == record.StepWrite
}

// pause waits, but not past the end of ctx or a change of the assignment. It returns false when ctx has ended.
func (w *Worker) pause(ctx context.Context, d time.Duration) bool {
	wait, cancel := w.assign.pollContext(ctx, d)
	defer cancel()
	<-wait.Done()
	return ctx.Err() == nil
}

// stillOurs leaves out the ranges of partitions that were let go, or taken again, since the batch was cut.
func (w *Worker) stillOurs(b record.Ranges) record.Ranges {
	kept := b[:0]
	for _, r := range b {
		if p := w.parts[r.TopicPartition]; p != nil && p.active() && p.Fence == r.Fence && p.NextOffset == r.From {
			kept = append(kept, r)
		}
	}
	return kept
}

// committed moves on: the commit is the ack.
func (w *Worker) committed(b record.Ranges, res record.Result, start time.Time, retries int) {
	now := time.Now()
	rep := Report{Worker: w.id, At: now, Took: now.Sub(start), Result: res, Retries: retries}
	for i := range b {
		r := &b[i]
		if r.Empty() {
			continue
		}
		p := w.parts[r.TopicPartition]
		rr := RangeReport{TopicPartition: r.TopicPartition, From: r.From, To: r.To, Records: r.Count(),
			Timestamp: r.Timestamp}
		rr.Bytes = p.advance(r)
		rep.Records += rr.Records
		rep.Bytes += rr.Bytes
		rep.Ranges = append(rep.Ranges, rr)
		w.mirror.moved(p)
		w.readsAgain(p.TopicPartition)
		w.ends.Moved(r.TopicPartition, r.To)
	}
	if res.Resolved {
		w.counters.Resolved.Add(1)
		w.cfg.Log.Info("a commit whose reply was lost is done", "worker", w.id, "records", rep.Records)
	}
	w.flushed, w.trickle = now, !w.large(rep.Records, rep.Bytes)
	w.lookedAgain = false
	if w.rows < w.cfg.Rows {
		w.rows = min(w.cfg.Rows, w.rows*2)
	}
	w.cfg.Observe(rep)
}

// refused handles an error of Commit, of which nothing was written unless the reply to COMMIT was lost. It returns what
// of the batch is left to be committed, and whether to try at once.
func (w *Worker) refused(ctx context.Context, b record.Ranges, err error) (rest record.Ranges, again bool) {
	var miss *record.MissError
	if errors.As(err, &miss) {
		return w.missed(b, miss.Misses), true
	}
	var unready *record.UnreadyError
	if errors.As(err, &unready) {
		if b.Streamed() {
			w.readAgain(b) // to get what is missing before a transaction begins
			return nil, true
		}
		return w.unready(b, unready.Records), true
	}
	if errors.Is(err, record.ErrSpent) {
		w.readAgain(b)
		return nil, true
	}
	var stop *record.StopError
	if errors.As(err, &stop) {
		if b.Streamed() {
			w.readAgain(b) // to commit what lies before the record that stops
			return nil, true
		}
		return w.stopAt(b, stop), true
	}
	if e, ok := record.FailureOf(err); ok {
		switch {
		case e.Class == record.Data && b.Streamed():
			w.readAgain(b) // the store takes the records one by one then
			return nil, true
		// Only after "write" is it certain that the compare passed, and so that no earlier attempt is in doubt: ranges
		// in doubt must not change.
		case e.Class == record.Timeout && e.Step == record.StepWrite && w.rows > 1:
			w.rows = max(1, batchRows(b)/2)
			w.cfg.Log.Warn("Postgres needed longer than statement_timeout for a batch: trying a smaller one", "worker", w.id,
				"rows", w.rows, "err", err)
			w.counters.Retries.Add(1)
			return w.cutBatch(), true
		case e.Class == record.Schema && !w.lookedAgain:
			w.lookedAgain = true // the store has forgotten the table and looks at it again
			return b, true
		case e.Class == record.Schema:
			return w.parkTable(b, e, err), true
		}
	}
	w.trouble.met(w, err)
	return b, false
}

func batchRows(b record.Ranges) (n int) {
	for i := range b {
		n += b[i].Count()
	}
	return n
}

// missed acts on ranges whose offset row said something else than expected, as the row says under its lock.
func (w *Worker) missed(b record.Ranges, misses []record.Miss) record.Ranges {
	for _, m := range misses {
		p := w.parts[m.TopicPartition]
		switch m.Kind {
		case record.Already:
			for i := range b {
				if b[i].TopicPartition == m.TopicPartition {
					p.advance(&b[i])
					w.ends.Moved(m.TopicPartition, b[i].To)
				}
			}
			w.counters.Resolved.Add(1)
		case record.WentBack:
			w.rewind(p, m)
		case record.Fenced:
			w.fenced(p, m)
		case record.Gone:
			w.stop(p, record.Stop{Reason: "its row in sinker.offsets is gone. Nothing was written. " +
				"Put the row back, or restart sinker to read the partition from where kafka.start says"})
		case record.OtherLog:
			w.stop(p, otherLog(m, p.Log))
		case record.Ahead:
			w.stop(p, record.Stop{Reason: fmt.Sprintf("its stored position is %d, neither where this worker's batch begins "+
				"(%d) nor where it ends: somebody moved it by hand. Restart sinker to take it from there", m.Stored, p.NextOffset)})
		}
	}
	return w.stillOurs(b)
}

// fenced drops a partition that another owner has taken, and asks for it again if the group still says it is ours.
func (w *Worker) fenced(p *part, m record.Miss) {
	w.counters.Fenced.Add(1)
	w.cfg.Log.Warn("fenced: another owner has taken the partition; nothing was written, what was held is dropped",
		"worker", w.id, "topic", m.Topic, "partition", m.Partition, "position", p.NextOffset, "stored", m.Stored, "owner",
		m.Owner, "fence", m.Fence)
	w.discard(m.TopicPartition)
	if _, _, owned := w.assign.state(); owned[m.TopicPartition] {
		w.pending[m.TopicPartition] = time.Now().Add(w.cfg.SessionTimeout)
	}
}

// rewind goes back with the database: after a failover to a lagging standby, or a restore, the rows and the offsets
// are both as they were, so what was lost there is read again.
func (w *Worker) rewind(p *part, m record.Miss) {
	w.wentBack(m.TopicPartition, p.NextOffset, m.Stored)
	w.discard(m.TopicPartition)
	w.pending[m.TopicPartition] = time.Time{}
}

func (w *Worker) wentBack(tp record.TopicPartition, from, to int64) {
	w.counters.Rewound.Add(1)
	w.cfg.Log.Warn("the database went back (a failover, a restore or an operator): reading again from its position",
		"worker", w.id, "topic", tp.Topic, "partition", tp.Partition, "from", from, "to", to)
}

// stopAt shortens the batch to what lies before the record that stops its partition; when nothing does, the partition
// stops at once.
func (w *Worker) stopAt(b record.Ranges, stop *record.StopError) record.Ranges {
	p := w.parts[stop.TopicPartition]
	for i := range b {
		r := &b[i]
		if r.TopicPartition != stop.TopicPartition {
			continue
		}
		below := p.below(stop.Offset)
		n := below.Count()
		if n == 0 {
			w.stopBefore(p, stop)
			break
		}
		*r = below
	}
	return w.stillOurs(b)
}

// stopBefore stops a partition, or lets it wait, at the record that it cannot pass.
func (w *Worker) stopBefore(p *part, stop *record.StopError) {
	why := record.Stop{
		Reason: fmt.Sprintf("%s (offset %d). Remove the cause and restart sinker, or pass over the record with the command",
			stop.Reason, stop.Offset),
		Hole:    record.Hole{From: stop.Offset, To: stop.Offset + 1},
		Command: decide(p.TopicPartition, stop.Offset+1, skipRecords),
	}
	if !stop.Wait {
		w.stop(p, why)
		return
	}
	why.Reason = fmt.Sprintf("%s (offset %d). sinker tries again by itself; the command passes over the record",
		stop.Reason, stop.Offset)
	w.parkFor(p, why, cmp.Or(stop.Again, w.cfg.parkFor))
}

// parkTable lets the topics of a table that is not as it must be rest for a while; the other topics go on.
func (w *Worker) parkTable(b record.Ranges, f record.Failure, err error) record.Ranges {
	for i := range b {
		p := w.parts[b[i].TopicPartition]
		if f.HoldsUp(p.Topic) {
			w.park(p, record.Stop{Reason: err.Error(), Command: "sinker check"})
		}
	}
	return w.stillOurs(b)
}
