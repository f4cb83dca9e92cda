package consume

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"sinker/internal/record"
)

// A bounded run ends also when it cannot reach its ends: once everything that can be loaded is
// loaded. What is left then is stopped, or has been waiting for Config.Wait.

// Left is a partition that a bounded run could not load up to its end, and why.
type Left struct {
	record.TopicPartition
	Position int64 // -1: not known
	End      int64
	State    string // record.Waiting or record.Stopped
	Reason   string
	Command  string // that decides about a stopped one; empty: there is none
}

// others is what a bounded run knows of partitions that another process has.
type others struct {
	rows  map[record.TopicPartition]record.PartitionStatus
	moved time.Time // when any position last moved towards its end
}

// Saw notes the offset rows of the pipeline as they are in Postgres: partitions of the goal may be
// another process's. A row counts only when that is certain, and when it does not say that the
// partition is not read: of a partition of its own this process finds out whether the position fits
// the log, and a position beyond the end is no reason to call it loaded.
func (s *Service) Saw(rows []record.PartitionStatus) {
	if s.ends == nil {
		return
	}
	seen, ours, joined := map[record.TopicPartition]record.PartitionStatus{}, map[record.TopicPartition]bool{}, true
	for _, st := range s.States() {
		joined = joined && st.Joined
		for i := range st.Partitions {
			ours[record.TopicPartition{Topic: st.Partitions[i].Topic, Partition: st.Partitions[i].Partition}] = true
		}
		for _, tp := range st.Pending {
			ours[tp] = true
		}
	}
	for _, r := range rows {
		tp := record.TopicPartition{Topic: r.Topic, Partition: r.Partition}
		if seen[tp] = r; joined && !ours[tp] && r.State == record.Reading {
			s.ends.Moved(tp, r.NextOffset)
		}
	}
	s.ends.mu.Lock()
	defer s.ends.mu.Unlock()
	s.ends.other.rows = seen
}

// Left returns what was given up, in the order of the offset rows. It is empty while the run goes
// on, and when it reached its ends.
func (e *Ends) Left() []Left {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.left
}

// giveUp ends the run when nothing that is left can go on.
func (e *Ends) giveUp(states []*WorkerState, patience time.Duration, began time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open == 0 || e.left != nil {
		return
	}
	j := judge{ends: e, patience: patience, began: began, states: states, ours: map[record.TopicPartition]place{}}
	for _, s := range states {
		for i := range s.Partitions {
			p := &s.Partitions[i]
			j.ours[record.TopicPartition{Topic: p.Topic, Partition: p.Partition}] = place{s, p}
		}
	}
	var left []Left
	for _, tp := range slices.SortedFunc(maps.Keys(e.end), record.TopicPartition.Compare) {
		if at, known := e.at[tp]; known && at >= e.end[tp] {
			continue
		}
		l, lost := j.lost(tp)
		if !lost {
			return
		}
		left = append(left, l)
	}
	e.left = left
	close(e.done)
}

// judge decides which partitions are beyond hope.
type judge struct {
	ends     *Ends
	patience time.Duration
	began    time.Time
	states   []*WorkerState
	ours     map[record.TopicPartition]place
}

type place struct {
	worker *WorkerState
	part   *PartitionState
}

// lost says whether a partition will not get to its end, and why. A stopped one will not, at once;
// what waits is given the patience.
func (j *judge) lost(tp record.TopicPartition) (Left, bool) {
	l := Left{TopicPartition: tp, Position: -1, End: j.ends.end[tp], State: record.Waiting}
	ours, ok := j.ours[tp]
	if at, known := j.ends.at[tp]; known {
		l.Position = at
	} else if row, known := j.ends.other.rows[tp]; known {
		l.Position = row.NextOffset
	} else if ok {
		l.Position = ours.part.Position
	}
	switch {
	case !ok:
		return j.elsewhere(l)
	case ours.part.State == record.Reading:
		l.Reason = fmt.Sprintf("Kafka has sent nothing for %s, though the log goes on to offset %d", j.patience, l.End)
		if ours.part.HeldBack > 0 {
			l.Reason = fmt.Sprintf("a transaction in Kafka is open, and holds back offsets from %d on: sinker reads them "+
				"when its producer, or "+
				"Kafka after the transaction's timeout, ends it", ours.part.End)
			l.Command = FindHanging
		}
		writing := ours.part.Read > ours.part.Position || time.Since(ours.worker.At) > 5*time.Second
		return l, !writing && j.tooLong(j.ends.other.moved)
	}
	l.State, l.Reason, l.Command = ours.part.State, ours.part.Reason, ours.part.Command
	return l, l.State == record.Stopped || j.tooLong(ours.part.Since)
}

// tooLong says whether something has lasted for longer than the patience, within this run.
func (j *judge) tooLong(since time.Time) bool {
	return time.Since(since) >= j.patience && time.Since(j.began) >= j.patience
}

// elsewhere is about a partition that no worker of this process has. While any position moves,
// somebody works.
func (j *judge) elsewhere(l Left) (Left, bool) {
	row := j.ends.other.rows[l.TopicPartition]
	if l.Reason = j.whyNone(); l.Reason != "" {
		return l, j.tooLong(j.ends.other.moved)
	}
	switch {
	case row.Reason != "":
		l.State, l.Reason, l.Command = row.State, row.Reason, row.Command
		now := row.State == record.Stopped && row.UpdatedAt.After(j.began) // not left over from an earlier run
		return l, now || j.tooLong(j.ends.other.moved)
	case row.Owner != "":
		l.Reason = fmt.Sprintf("another member of the consumer group has it, and it does not move; its last owner was %s",
			row.Owner)
	default:
		l.Reason = "another member of the consumer group has it, and has not begun to read it"
	}
	return l, j.tooLong(j.ends.other.moved)
}

// whyNone is why this process was given no partitions, or could not take them; empty: there is no
// such reason.
func (j *judge) whyNone() string {
	for _, s := range j.states {
		if why := cmp.Or(s.Trouble, s.Refused); why != "" {
			return why
		}
	}
	for _, s := range j.states {
		if !s.Joined {
			return "the consumer group has not given this process any partitions: its other members do not let the group " +
				"come together, or the brokers do not answer"
		}
	}
	return ""
}

// watchEnds ends a bounded run, and says what it waits for.
func (s *Service) watchEnds(ctx context.Context, stop func()) error {
	began, said := time.Now(), time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.ends.done:
			stop()
			return nil
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		states := s.States()
		s.ends.giveUp(states, s.cfg.Wait, began)
		if time.Since(said) >= sayAgain {
			said = time.Now()
			s.sayWhoIsAwaited(states)
		}
	}
}

// sayWhoIsAwaited logs which partitions of the goal are not at their end and not this process's.
func (s *Service) sayWhoIsAwaited(states []*WorkerState) {
	e := s.ends
	e.mu.Lock()
	defer e.mu.Unlock()
	ours := map[record.TopicPartition]bool{}
	for _, st := range states {
		for i := range st.Partitions {
			ours[record.TopicPartition{Topic: st.Partitions[i].Topic, Partition: st.Partitions[i].Partition}] = true
		}
	}
	var parts []record.TopicPartition
	owners := map[string]bool{}
	for tp, end := range e.end {
		if at, known := e.at[tp]; (!known || at < end) && !ours[tp] {
			parts = append(parts, tp)
			owners[e.other.rows[tp].Owner] = true
		}
	}
	if len(parts) > 0 {
		s.cfg.Log.Info("waiting for other members of the consumer group to load their partitions", "partitions", len(parts),
			"topics", countTopics(parts), "owners", slices.Sorted(maps.Keys(owners)), "nothing_moved_for",
			time.Since(e.other.moved).Round(time.Second), "gives_up_after", s.cfg.Wait)
	}
}
