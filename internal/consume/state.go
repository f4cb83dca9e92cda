package consume

import (
	"time"

	"sinker/internal/record"
)

// WorkerState is a worker as it stood at the end of its last turn, for /status, /readyz and the metrics.
type WorkerState struct {
	Worker     int
	At         time.Time // of the turn
	Running    bool
	Joined     bool   // has been given an assignment, maybe an empty one, by the group
	Connected  bool   // Postgres was reachable at the last use
	Refused    string // why the group gives it nothing; empty: it does, or has not said
	Trouble    string
	Since      time.Time // of the trouble
	Rebalances int64
	Partitions []PartitionState
	Pending    []record.TopicPartition // given by the group, and not taken yet
	Fenced     int64
	Rewound    int64
	Retries    int64
	Resolved   int64
	Discarded  int64
}

// PartitionState is one partition of a worker.
type PartitionState struct {
	Topic     string
	Partition int32
	Position  int64       // what Postgres has
	Read      int64       // what is held reaches up to
	End       int64       // last stable offset the broker told of; -1 when not known yet
	HeldBack  int64       // offsets from End to the log's end, behind an open transaction; as of the last look
	Timestamp time.Time   // of the last record committed, by whomever; zero: not known
	Taken     time.Time   // when this process took it
	Oldest    time.Time   // timestamp of the record at Position, the next to be committed; zero: not known
	AtEnd     time.Time   // when the position was last known to be at the end; zero: not since it was taken
	State     string      // record.Reading, record.Waiting or record.Stopped
	Reason    string      // why it is waiting or stopped
	Hole      record.Hole // the offsets that this is about, if any
	Command   string      // that decides about a stopped one; empty: there is none
	Since     time.Time   // of the reason
}

// OldestUnread is the timestamp of the oldest record that is in Kafka and not committed; zero when there is none.
// Where that record was not read yet it is the latest time at which there was certainly none older: the timestamp of
// the last record committed, or when the position was last seen to be at the end. Where neither is known, it is when
// this process took the partition. The first two make the lag too long rather than too short, the last one too short.
func (p *PartitionState) OldestUnread() time.Time {
	switch {
	case p.Position >= p.End:
		return time.Time{}
	case !p.Oldest.IsZero():
		return p.Oldest
	case p.AtEnd.After(p.Timestamp):
		return p.AtEnd
	case !p.Timestamp.IsZero():
		return p.Timestamp
	}
	return p.Taken
}

// stateOf is a part's own state; one whose worker cannot go on is waiting for the same thing as that.
func (w *Worker) stateOf(p *part) PartitionState {
	s := PartitionState{Topic: p.Topic, Partition: p.Partition, Position: p.NextOffset, Read: p.read, End: p.end,
		Timestamp: p.seen, Oldest: p.oldest, AtEnd: p.atEnd, Taken: p.taken, State: record.Reading}
	again := w.waits[p.TopicPartition]
	switch {
	case p.stop != nil:
		s.State, s.Reason, s.Hole, s.Command, s.Since = record.Stopped, p.stop.Reason, p.stop.Hole, p.stop.Command,
			p.stopSince
		if p.stop.Waiting {
			s.State = record.Waiting
		}
	case w.trouble.err != nil:
		s.State, s.Reason, s.Since = record.Waiting, w.trouble.err.Error(), w.trouble.since
	case again != nil: // taken again, and not read yet
		s.State, s.Reason, s.Hole, s.Command, s.Since = record.Waiting, again.why.Reason, again.why.Hole, again.why.Command,
			again.since
	}
	return s
}

// publish makes the state visible to other goroutines.
func (w *Worker) publish() {
	joined, rounds, owned := w.assign.state()
	s := &WorkerState{
		Worker: w.id, At: time.Now(), Running: true, Joined: joined, Connected: w.store.Connected(), Rebalances: rounds,
		Since: w.trouble.since, Fenced: w.counters.Fenced.Load(), Rewound: w.counters.Rewound.Load(),
		Retries:  w.counters.Retries.Load(),
		Resolved: w.counters.Resolved.Load(), Discarded: w.counters.Discarded.Load(),
	}
	if err := w.assign.refusal(); err != nil {
		s.Refused = err.Error()
	}
	if w.trouble.err != nil {
		s.Trouble = w.trouble.err.Error()
	}
	for _, p := range w.sorted(func(*part) bool { return true }) {
		s.Partitions = append(s.Partitions, w.stateOf(p))
	}
	for tp := range owned {
		if w.parts[tp] == nil {
			s.Pending = append(s.Pending, tp)
		}
	}
	w.state.Store(s)
}

// State returns the worker's state. It may be called from any goroutine.
func (w *Worker) State() *WorkerState { return w.tails.fill(w.state.Load()) }
