package consume

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kgo"
)

// assignment is the word between the group's callbacks, which run on the member client's goroutines, and the worker's
// loop. The callbacks only note what changed and wake the loop; the loop acts.
type assignment struct {
	patience time.Duration // how long a revocation waits for the current batch

	mu      sync.Mutex
	joined  bool
	closed  bool
	rounds  int64                          // assignments and revocations seen
	owned   map[record.TopicPartition]bool // what the group says is ours
	gained  map[record.TopicPartition]bool // of these, not yet seen by the loop
	dropped map[record.TopicPartition]bool // not ours any more, not yet seen by the loop
	waiters []chan struct{}                // closed when the loop has let go of what was dropped
	wake    context.CancelFunc             // ends the poll in progress
	refused error                          // why the group gives nothing; nil: it does, or has not said
	since   time.Time                      // of the same reason
	said    time.Time                      // when it was last logged
}

func newAssignment(patience time.Duration) *assignment {
	return &assignment{
		patience: patience, owned: map[record.TopicPartition]bool{},
		gained: map[record.TopicPartition]bool{}, dropped: map[record.TopicPartition]bool{},
	}
}

func (a *assignment) assigned(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.joined = true
	a.refused = nil
	a.rounds++
	each(parts, func(tp record.TopicPartition) {
		a.owned[tp], a.gained[tp] = true, true
	})
	a.wakeLocked()
}

// revoked waits until the loop has finished or rolled back the batch that holds the partitions, but not without end:
// the fence that the next owner raises keeps a late transaction of ours from being committed.
func (a *assignment) revoked(ctx context.Context, _ *kgo.Client, parts map[string][]int32) {
	done := a.drop(parts)
	if done == nil {
		return
	}
	timer := time.NewTimer(a.patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// lost does not wait: the group has given the partitions to somebody else already.
func (a *assignment) lost(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
	a.drop(parts)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refused == nil {
		a.refused, a.since = errLost, time.Now()
	}
}

var errLost = errors.New("the consumer group has taken this process's partitions away and has given it none " +
	"since: the brokers did not hear of it for the session timeout")

func (a *assignment) drop(parts map[string][]int32) chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rounds++
	var n int
	each(parts, func(tp record.TopicPartition) {
		n++
		delete(a.owned, tp)
		delete(a.gained, tp)
		a.dropped[tp] = true
	})
	if n == 0 || a.closed {
		return nil
	}
	done := make(chan struct{})
	a.waiters = append(a.waiters, done)
	a.wakeLocked()
	return done
}

// close ends all waiting, now and later: the loop has stopped and holds nothing.
func (a *assignment) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for _, w := range a.waiters {
		close(w)
	}
	a.waiters = nil
}

func (a *assignment) wakeLocked() {
	if a.wake != nil {
		a.wake()
	}
}

// changes hands the loop what changed since the last call. The loop must call letGo when it has dropped what was lost.
func (a *assignment) changes() (gained, dropped map[record.TopicPartition]bool, letGo func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	gained, dropped = a.gained, a.dropped
	waiters := a.waiters
	a.gained, a.dropped, a.waiters = map[record.TopicPartition]bool{}, map[record.TopicPartition]bool{}, nil
	return gained, dropped, func() {
		for _, w := range waiters {
			close(w)
		}
	}
}

// changed says whether there are changes that the loop has not seen.
func (a *assignment) changed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.gained)+len(a.dropped) > 0
}

// pollContext returns a context that ends when the assignment changes, or after d.
func (a *assignment) pollContext(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, d)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wake = cancel
	if len(a.gained)+len(a.dropped) > 0 {
		cancel()
	}
	return ctx, cancel
}

// state is for people to read.
func (a *assignment) state() (joined bool, rounds int64, owned map[record.TopicPartition]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.joined, a.rounds, maps.Clone(a.owned)
}

func each(parts map[string][]int32, f func(record.TopicPartition)) {
	for t, ps := range parts {
		for _, p := range ps {
			f(record.TopicPartition{Topic: t, Partition: p})
		}
	}
}

// refuse notes why the group gives nothing, and says whether it is to be logged now.
func (a *assignment) refuse(err error) (say bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	same := a.refused != nil && a.refused.Error() == err.Error()
	if a.refused == nil {
		a.since = now
	}
	a.refused = err
	if same && now.Sub(a.said) < sayAgain {
		return false
	}
	a.said = now
	return true
}

// refusal is what refuse noted last.
func (a *assignment) refusal() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused
}

// nudge ends the poll in progress.
func (a *assignment) nudge() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wakeLocked()
}
