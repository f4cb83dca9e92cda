package record

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Range is what a transaction does to one partition: its records, and the move of the position from From to To.
// Records are in offset order, all within [From, To). There may be fewer of them than To-From (compaction, aborted
// transactions, control records), or none.
type Range struct {
	TopicPartition
	Log         LogID
	Fence       int64
	From, To    int64
	LeaderEpoch int32     // of the last record; -1 when not known
	Timestamp   time.Time // of the last record; zero when there is none
	Records     []*kgo.Record
	// Streamed counts the records before Records. They were encoded and are not kept, so the range can be committed by
	// the transaction that has them and by no other.
	Streamed int
}

// Piece is records of one partition that follow those given to a transaction before, and the move of the position over
// them.
type Piece struct {
	Records     []*kgo.Record // in offset order; may be empty
	To          int64         // the position after them, and after the gaps and control records that follow them
	LeaderEpoch int32         // of the last record; -1 when there is none, or it is not known
	Timestamp   time.Time     // of the last record; zero when there is none
}

// Piece is the records that the range has now, and its move.
func (r *Range) Piece() Piece {
	return Piece{Records: r.Records, To: r.To, LeaderEpoch: r.LeaderEpoch, Timestamp: r.Timestamp}
}

// Empty says that the range does not move the position. It is compared, and may get records later or not.
func (r *Range) Empty() bool { return r.To == r.From }

// Count is how many records the range moves the position over, the streamed ones included.
func (r *Range) Count() int { return r.Streamed + len(r.Records) }

// Ranges are those of one transaction, at most one per partition, sorted by topic and partition. That is the order in
// which the offset rows are locked, the same in every worker, so that two workers cannot deadlock on them.
type Ranges []Range

// Sort brings the ranges into their order.
func (b Ranges) Sort() {
	slices.SortFunc(b, func(x, y Range) int { return x.TopicPartition.Compare(y.TopicPartition) })
}

// Streamed says whether some records of the ranges are not there any more.
func (b Ranges) Streamed() bool {
	return slices.ContainsFunc(b, func(r Range) bool { return r.Streamed > 0 })
}

// Moves is how many positions the ranges move.
func (b Ranges) Moves() (n int) {
	for i := range b {
		if !b[i].Empty() {
			n++
		}
	}
	return n
}
