package consume

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"sinker/internal/record"
)

// memory is a database for tests: what a txn.Store would write, and hooks that make its steps fail. Its behaviour is
// held to txn.Store's by TestStoreContract.
type memory struct {
	mu   sync.Mutex
	rows map[record.TopicPartition]*memoryRow
	seen map[string]int // "topic/partition@offset" → times written

	// fault is asked before and after each step, without the lock: "take", "commit" when a transaction begins, "streamed"
	// after each time a batch went on while it was written, "committed" after the step has been applied. An error is
	// returned as if the connection had broken there.
	fault func(step string) error
	// refuse, if set, may turn a batch down before anything is applied.
	refuse func(record.Ranges) error
}

type memoryRow struct {
	log      record.LogID
	next     int64
	epoch    int32
	fence    int64
	owner    string
	consumed int64
	stopped  string
	last     time.Time
	marks    int // reasons written down
}

func newMemory() *memory {
	return &memory{rows: map[record.TopicPartition]*memoryRow{}, seen: map[string]int{}, fault: func(string) error { return nil }}
}

// store returns a store of its own on the shared database, as each worker has one.
func (m *memory) store(owner string) Store { return &memoryStore{db: m, owner: owner} }

type memoryStore struct {
	db    *memory
	owner string
}

// testFailure is an error of a database, as a test wants it.
type testFailure struct {
	failure record.Failure
	text    string
}

func (f *testFailure) Error() string          { return f.text }
func (f *testFailure) Failed() record.Failure { return f.failure }

func failure(c record.Class, s record.Step, text string) error {
	return &testFailure{record.Failure{Class: c, Step: s}, text}
}

var errCut = failure(record.Retry, record.StepCommit, "connection cut by the test")

func (s *memoryStore) step(name string) error {
	s.db.mu.Lock()
	f := s.db.fault
	s.db.mu.Unlock()
	return f(name)
}

func (m *memory) setFault(f func(step string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

func (s *memoryStore) Known(_ context.Context, topics []string) (map[string]bool, error) {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	known := map[string]bool{}
	for tp := range s.db.rows {
		known[tp.Topic] = true
	}
	return known, nil
}

func (s *memoryStore) Seed(_ context.Context, claims []record.Claim) error {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	for _, c := range claims {
		if s.db.rows[c.TopicPartition] == nil {
			s.db.rows[c.TopicPartition] = &memoryRow{log: c.Log, next: c.Seed, epoch: -1}
		}
	}
	return nil
}

func (s *memoryStore) Take(ctx context.Context, claims []record.Claim) (record.Taken, error) {
	if err := s.step("take"); err != nil {
		return record.Taken{}, err
	}
	if err := s.Seed(ctx, claims); err != nil {
		return record.Taken{}, err
	}
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	var taken record.Taken
	for _, c := range claims {
		r := s.db.rows[c.TopicPartition]
		if r.log != c.Log {
			taken.Misses = append(taken.Misses, record.Miss{TopicPartition: c.TopicPartition, Kind: record.OtherLog, Stored: r.next, Log: r.log, Fence: r.fence, Owner: r.owner})
			continue
		}
		first := r.fence == 0
		r.fence++
		r.owner, r.stopped = s.owner, ""
		taken.Positions = append(taken.Positions, record.Position{TopicPartition: c.TopicPartition, Log: c.Log, NextOffset: r.next, LeaderEpoch: r.epoch, Fence: r.fence, First: first, LastTimestamp: r.last})
	}
	return taken, nil
}

func (s *memoryStore) Resolve(context.Context, record.Ranges) error { return nil }

// memoryTx is a transaction: nothing is in the database before Commit.
type memoryTx struct {
	*memoryStore
	batch    record.Ranges
	staged   []string // the records that were written, as memory.seen names them
	resolved bool
	live     bool  // what is written next takes the place of what was there
	went     bool  // something was, since the last step
	failed   error // on the way
}

func (s *memoryStore) Begin(_ context.Context, ranges record.Ranges) (Tx, error) {
	if err := s.step("commit"); err != nil {
		return nil, err
	}
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	misses, already := s.compareAll(ranges)
	switch {
	case !already && len(misses) > 0:
		return nil, &record.MissError{Misses: misses}
	case !already && ranges.Streamed():
		return nil, record.ErrSpent
	}
	t := &memoryTx{memoryStore: s, batch: slices.Clone(ranges), resolved: already}
	for i := range t.batch {
		t.batch[i].Batches = nil
		if !already {
			t.batch[i].To = t.batch[i].From
		}
	}
	return t, nil
}

func (t *memoryTx) Write(_ context.Context, rng int, b record.Batch) error {
	r := &t.batch[rng]
	if t.live {
		r.Stream()
		t.went = true
	}
	r.Add(b)
	b.Walk(b.From(), func(rec *record.Record) bool {
		t.staged = append(t.staged, fmt.Sprintf("%s/%d@%d", rec.Topic, rec.Partition, rec.Offset))
		return true
	})
	return nil
}

func (t *memoryTx) GoOn(context.Context) func(int) bool {
	if t.wentOn(); t.resolved || t.failed != nil {
		return nil
	}
	t.live = true
	return func(int) bool { return true }
}

// wentOn is the step after each time the batch went on.
func (t *memoryTx) wentOn() {
	if t.went && t.failed == nil {
		t.went, t.failed = false, t.step("streamed")
	}
}

func (t *memoryTx) Commit(context.Context) (res record.Result, err error) {
	t.wentOn()
	err = t.failed
	if err == nil && t.db.refuse != nil {
		err = t.db.refuse(t.batch)
	}
	if err == nil {
		res, err = t.apply(t.batch, t.staged)
	}
	if err == nil {
		err = t.step("committed")
	}
	if err != nil {
		return record.Result{}, err
	}
	return res, nil
}

func (t *memoryTx) Rollback() {}

func (s *memoryStore) compareAll(b record.Ranges) (misses []record.Miss, already bool) {
	already = true
	for i := range b {
		m, miss := s.compare(&b[i])
		if miss {
			misses = append(misses, m)
		}
		already = already && (b[i].Empty() || miss && m.Kind == record.Already)
	}
	return misses, already
}

func (s *memoryStore) apply(b record.Ranges, staged []string) (res record.Result, err error) {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	if misses, already := s.compareAll(b); already {
		return record.Result{Resolved: true}, nil
	} else if len(misses) > 0 {
		return res, &record.MissError{Misses: misses}
	}
	for _, place := range staged {
		s.db.seen[place]++
	}
	for i := range b {
		r := &b[i]
		row := s.db.rows[r.TopicPartition]
		n := int64(r.Count())
		row.next = r.To
		if !r.Timestamp.IsZero() {
			row.last = r.Timestamp
		}
		row.consumed += n
		if r.LeaderEpoch >= 0 {
			row.epoch = r.LeaderEpoch
		}
		res.Consumed += n
	}
	res.Written = res.Consumed
	return res, nil
}

func (s *memoryStore) compare(r *record.Range) (m record.Miss, miss bool) {
	row := s.db.rows[r.TopicPartition]
	m.TopicPartition = r.TopicPartition
	if row == nil {
		m.Kind = record.Gone
		return m, true
	}
	m.Stored, m.Log, m.Fence, m.Owner = row.next, row.log, row.fence, row.owner
	switch {
	case row.log != r.Log:
		m.Kind = record.OtherLog
	case row.fence != r.Fence || row.owner != s.owner:
		m.Kind = record.Fenced
	case row.next == r.From:
		return m, false
	case row.next == r.To:
		m.Kind = record.Already
	case row.next < r.From:
		m.Kind = record.WentBack
	default:
		m.Kind = record.Ahead
	}
	return m, true
}

// holes are offsets as the reason of a stop names them.
var holes = regexp.MustCompile(`\[\d+, \d+\)`)

func (s *memoryStore) MarkStopped(_ context.Context, tp record.TopicPartition, fence int64, why record.Stop) error {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	if said := holes.FindString(why.Reason); said != "" && said != why.Hole.String() {
		panic(fmt.Sprintf("a stop says %s and its hole is %s: %s", said, why.Hole, why.Reason))
	}
	if r := s.db.rows[tp]; r != nil {
		r.stopped, r.marks = why.Reason, r.marks+1
	}
	return nil
}

func (s *memoryStore) Touched(_ context.Context, positions []record.Position) (out []record.TopicPartition, err error) {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	for _, p := range positions {
		if r := s.db.rows[p.TopicPartition]; r != nil && (r.fence != p.Fence || r.next != p.NextOffset || r.owner != s.owner && !p.Foreign) {
			out = append(out, p.TopicPartition)
		}
	}
	return out, nil
}

func (s *memoryStore) Connected() bool { return true }
func (s *memoryStore) Close()          {}

// position returns where the partition stands, -1 when it has no row.
func (m *memory) position(tp record.TopicPartition) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.rows[tp]; r != nil {
		return r.next
	}
	return -1
}

// offsetOf reads a key of seen.
func offsetOf(place, topic string, partition int32) (offset int64, ok bool) {
	_, err := fmt.Sscanf(place, fmt.Sprintf("%s/%d@%%d", topic, partition), &offset)
	return offset, err == nil
}

// change lets a test play the operator, or the failover.
func (m *memory) change(tp record.TopicPartition, f func(*memoryRow)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m.rows[tp])
}
