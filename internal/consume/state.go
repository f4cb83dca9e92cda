package consume

import "time"

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
	Stopped   string
	Retrying  bool // stopped for a reason that may pass: it is tried again
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
		s.Partitions = append(s.Partitions, PartitionState{
			Topic: p.Topic, Partition: p.Partition, Position: p.NextOffset, Read: p.read, End: p.end,
			Timestamp: p.seen, Stopped: p.stopped, Retrying: !p.parkedUntil.IsZero(),
		})
	}
	w.state.Store(s)
}

// State returns the worker's state. It may be called from any goroutine.
func (w *Worker) State() *WorkerState { return w.tails.fill(w.state.Load()) }
