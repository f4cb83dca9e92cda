package consume

import (
	"time"

	"sinker/internal/txn"
)

// WorkerState is a worker as it stood at the end of its last turn, for /status, /readyz and the metrics.
type WorkerState struct {
	Worker     int
	At         time.Time // of the turn
	Running    bool
	Joined     bool // has been given an assignment, maybe an empty one, by the group
	Connected  bool // Postgres was reachable at the last use
	Trouble    string
	Since      time.Time // of the trouble
	Rebalances int64
	Partitions []PartitionState
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
	Position  int64 // what Postgres has
	Read      int64 // what is in hand reaches up to
	End       int64 // last stable offset the broker told of; -1 when not known yet
	HeldBack  int64 // offsets from End to the log's end, behind an open transaction; as of the last look
	Timestamp time.Time
	State     string // txn.Reading, txn.Waiting or txn.Stopped
	Reason    string // why it is waiting or stopped
	Command   string // that decides about a stopped one; empty: there is none
}

// state is the part's own state, or that of a worker that cannot go on: a partition of its is waiting for the same thing.
func (p *part) state(t *trouble) (state, reason, command string) {
	switch {
	case p.stop != nil && p.stop.Waiting:
		return txn.Waiting, p.stop.Reason, p.stop.Command
	case p.stop != nil:
		return txn.Stopped, p.stop.Reason, p.stop.Command
	case t.err != nil:
		return txn.Waiting, t.err.Error(), ""
	}
	return txn.Reading, "", ""
}

// publish makes the state visible to other goroutines.
func (w *Worker) publish() {
	joined, rounds, _ := w.assign.state()
	s := &WorkerState{
		Worker: w.id, At: time.Now(), Running: true, Joined: joined, Connected: w.store.Connected(), Rebalances: rounds,
		Since: w.trouble.since, Fenced: w.counters.Fenced.Load(), Rewound: w.counters.Rewound.Load(), Retries: w.counters.Retries.Load(),
		Resolved: w.counters.Resolved.Load(), Discarded: w.counters.Discarded.Load(),
	}
	if w.trouble.err != nil {
		s.Trouble = w.trouble.err.Error()
	}
	for _, p := range w.sorted(func(*part) bool { return true }) {
		ps := PartitionState{Topic: p.Topic, Partition: p.Partition, Position: p.NextOffset, Read: p.read, End: p.end, Timestamp: p.seen}
		ps.State, ps.Reason, ps.Command = p.state(&w.trouble)
		s.Partitions = append(s.Partitions, ps)
	}
	w.state.Store(s)
}

// State returns the worker's state. It may be called from any goroutine.
func (w *Worker) State() *WorkerState { return w.tails.fill(w.state.Load()) }
