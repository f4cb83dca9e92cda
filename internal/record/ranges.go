package record

import (
	"slices"
	"time"
)

// Range is what a transaction does to one partition: its records, and the move of the position from From to To.
type Range struct {
	TopicPartition
	Log         LogID
	Fence       int64
	From, To    int64
	LeaderEpoch int32     // of the last record; -1 when not known
	Timestamp   time.Time // of the last record; zero when there is none

	// Batches are the records, in offset order. They tile [From, To), but for what was streamed.
	Batches []Batch
	// Streamed counts the records before Batches. They were encoded and are not kept, so the range can be committed by
	// the transaction that has them and by no other.
	Streamed int
}

// Add gives the range the batch that follows, and moves To to its end.
func (r *Range) Add(b Batch) {
	r.Batches, r.To = append(r.Batches, b), b.To()
	if b.Count() > 0 {
		r.LeaderEpoch, r.Timestamp = b.LeaderEpoch(), time.UnixMilli(b.Timestamp())
	}
}

// Stream forgets the records that the range has, which are encoded by now.
func (r *Range) Stream() {
	r.Streamed += r.Held()
	r.Batches = r.Batches[:0]
}

// Empty says that the range does not move the position. It is compared, and may get records later or not.
func (r *Range) Empty() bool { return r.To == r.From }

// Held is how many records the range has.
func (r *Range) Held() (n int) {
	for _, b := range r.Batches {
		n += b.Count()
	}
	return n
}

// Count is how many records the range moves the position over, the streamed ones included.
func (r *Range) Count() int { return r.Streamed + r.Held() }

// Walk calls f with each record that the range has, in offset order, until f returns false. See Batch.Walk.
func (r *Range) Walk(f func(*Record) bool) {
	on := true
	for i := 0; on && i < len(r.Batches); i++ {
		r.Batches[i].Walk(r.Batches[i].From(), func(rec *Record) bool {
			on = f(rec)
			return on
		})
	}
}

// At returns a copy of the record that a walk comes to as its nth, counted from 0. Its offset says where to look.
func (r *Range) At(n int, offset int64) (found *Record) {
	for _, b := range r.Batches {
		if n < b.Count() {
			b.Walk(offset, func(rec *Record) bool {
				found = rec.Clone()
				return false
			})
			return found
		}
		n -= b.Count()
	}
	return nil
}

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
