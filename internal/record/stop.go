package record

import (
	"fmt"
	"time"
)

// The states of a partition, one word each, in the log, in `sinker status`, in /status and on the page, in metrics
// and in /readyz. An offset row alone does not say whether sinker runs: Reading is then what the partition would be.
const (
	Reading = "reading" // what Kafka has of it is written as it comes
	Waiting = "waiting" // sinker tries again by itself: the reason says what it waits for
	Stopped = "stopped" // an operator decides: the reason says what happened, the command what to do
)

// Stop is why a partition is not read. It is made where the decision is made, and travels unread from there to the log,
// /status, the page, the metrics and the offset row: nothing is found out by reading its text.
type Stop struct {
	Reason  string // what happened, where, and what it means for the data
	Hole    Hole   // the offsets that it is about, if any
	Command string // the command that decides, as it is typed; empty: there is none
	Waiting bool   // the reason may pass by itself: the partition is tried again. Otherwise an operator decides
}

// Hole is the offsets [From, To) that a stop is about: their records are gone, may be other ones by now, or cannot be
// read or written.
type Hole struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Empty says that the stop is about no offsets in particular.
func (h Hole) Empty() bool { return h.To <= h.From }

func (h Hole) String() string { return fmt.Sprintf("[%d, %d)", h.From, h.To) }

// StopError says that a partition must stop at Offset: the first record that cannot be passed. Nothing of the batch was
// written; the records below Offset can be written by a shorter batch.
type StopError struct {
	TopicPartition
	Offset int64
	Reason string
	// Wait says that the cause lies outside the record and may pass: the partition waits and tries again, after Again
	// where that is given.
	Wait  bool
	Again time.Duration
}

func (e *StopError) Error() string {
	return fmt.Sprintf("%s/%d stops at offset %d: %s", e.Topic, e.Partition, e.Offset, e.Reason)
}
