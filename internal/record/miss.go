package record

import "fmt"

// MissKind says why the compare did not match an offset row.
type MissKind int

const (
	// Already: the row is at our To under our fence. Our COMMIT did it, and its reply was lost.
	Already MissKind = iota
	// WentBack: the row is below our From under our fence: the database went back (failover, restore).
	WentBack
	// Fenced: another owner took the partition.
	Fenced
	// OtherLog: the row belongs to another topic id or cluster id.
	OtherLog
	// Gone: there is no row any more.
	Gone
	// Ahead: the row is under our fence, but at neither From nor To nor below. Only an operator does that.
	Ahead
)

func (k MissKind) String() string {
	return [...]string{"already", "went back", "fenced", "other log", "gone", "ahead"}[k]
}

// Miss is one range whose compare failed, with what the row says.
type Miss struct {
	TopicPartition
	Kind        MissKind
	Stored      int64 // next_offset of the row
	LeaderEpoch int32
	Log         LogID
	Owner       string
	Fence       int64
}

// MissError says that the compare of some ranges failed. This attempt wrote nothing.
type MissError struct{ Misses []Miss }

func (e *MissError) Error() string {
	m := e.Misses[0]
	s := fmt.Sprintf("compare %s/%d: %s (stored position %d, fence %d, owner %s)",
		m.Topic, m.Partition, m.Kind, m.Stored, m.Fence, m.Owner)
	if n := len(e.Misses) - 1; n > 0 {
		s += fmt.Sprintf(" and %d more", n)
	}
	return s
}
