package record

// Batch is records of one partition, in offset order, that can be walked as often as somebody needs them. It stands
// for the offsets [From, To): compaction, aborted transactions and control records leave fewer records than offsets,
// or none.
//
// A batch belongs to one goroutine at a time. A walk of it ends before the next begins.
type Batch interface {
	From() int64 // the position before it
	To() int64   // the position after it
	Count() int
	Bytes() int64       // of keys and values
	LeaderEpoch() int32 // of the last record; -1 when not known, or when there is none
	Timestamp() int64   // of the last record, in milliseconds; -1 when it has none, or when there is none

	// Walk calls f with each record at offset from or above, in offset order, until f returns false. The record, and what
	// it points to, hold until f returns.
	Walk(from int64, f func(*Record) bool)

	// Release says that nobody walks the batch again. Its memory may be used for others. What the batch says of itself
	// stays.
	Release()
}
