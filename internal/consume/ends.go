package consume

import (
	"maps"
	"slices"
	"sync"
	"time"

	"sinker/internal/record"
)

// Ends are the offsets at which a bounded run ends, fixed at its start. A nil *Ends is never
// reached.
type Ends struct {
	mu    sync.Mutex
	start map[record.TopicPartition]int64 // the first position known
	at    map[record.TopicPartition]int64
	end   map[record.TopicPartition]int64
	open  int
	done  chan struct{} // closed when the run is over, at the ends or not
	left  []Left        // what was given up
	other others
	held  map[record.TopicPartition]int64 // offsets behind each end that an open transaction held back at the start
}

// HeldBack is what a bounded run leaves in a partition because a transaction in Kafka was open when
// the run started.
type HeldBack struct {
	record.TopicPartition
	From, Offsets int64 // the first of them, and how many: records, and Kafka's own marks
}

// HeldBack returns what is left behind open transactions, in the order of the partitions.
func (e *Ends) HeldBack() (all []HeldBack) {
	for _, tp := range slices.SortedFunc(maps.Keys(e.held), record.TopicPartition.Compare) {
		all = append(all, HeldBack{tp, e.end[tp], e.held[tp]})
	}
	return all
}

// NewEnds makes the goal of a bounded run.
func NewEnds(end map[record.TopicPartition]int64) *Ends {
	e := &Ends{start: map[record.TopicPartition]int64{}, at: map[record.TopicPartition]int64{}, end: end, open: len(end),
		done: make(chan struct{})}
	e.other.moved = time.Now()
	if e.open == 0 {
		close(e.done)
	}
	return e
}

// Moved notes a position, as committed in Postgres. It may be told of positions by several workers,
// in any order.
func (e *Ends) Moved(tp record.TopicPartition, next int64) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	end, ok := e.end[tp]
	if !ok {
		return
	}
	before, known := e.at[tp]
	if !known {
		e.start[tp] = next
	}
	if known && next <= before {
		return
	}
	e.at[tp] = next
	if !known || before < end {
		e.other.moved = time.Now()
	}
	if next >= end && (!known || before < end) {
		if e.open--; e.open == 0 && e.left == nil {
			close(e.done)
		}
	}
}

// Reached says whether every partition is at its end.
func (e *Ends) Reached() bool {
	if e == nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.open == 0
}

// over says whether the run is to end: every partition is at its end, or was given up.
func (e *Ends) over() bool {
	if e == nil {
		return false
	}
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// Progress returns how many offsets of the goal are behind and how many there are in all, from
// where this run found the partitions.
func (e *Ends) Progress() (done, total int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for tp, end := range e.end {
		start, known := e.start[tp]
		if !known {
			total += end
			continue
		}
		total += max(end-start, 0)
		done += max(min(e.at[tp], end)-start, 0)
	}
	return done, total
}
