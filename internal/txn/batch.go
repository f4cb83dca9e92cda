package txn

// More lets a batch go on while it is being written. Of the ranges that may (by their index) it takes the records away,
// since they are encoded, and puts those that follow in their place, moving To, LeaderEpoch, Timestamp and Streamed. It
// returns false, with nothing changed, when there are none or the batch is large enough. It is called while Commit runs,
// maybe on another goroutine.
type More func(b Batch, may func(rng int) bool) bool
