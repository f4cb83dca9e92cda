package txn

import (
	"errors"
	"slices"
	"time"

	"sinker/internal/record"

	"github.com/jackc/pgx/v5/pgconn"
)

// wait is what a partition waits for: a refusal that its sink says may pass. One deadline is for all
// records that it holds by then, so that a batch of many such records waits once.
type wait struct {
	since time.Time
	upTo  int64 // of records below it
}

// waitFor says whether a partition is to wait for a refused record: nil, or where and how long.
func (s *sift) waitFor() error {
	sink := s.w.target.sink
	if len(sink.WaitFor) == 0 {
		return nil
	}
	var first *refused
	for i := range s.refused {
		r := &s.refused[i]
		if s.mayWait(r) && (first == nil || r.at.before(first.at)) {
			first = r
		}
	}
	if first == nil {
		return nil
	}
	rng := &s.w.batch[first.at.rng]
	left := sink.WaitAtMost - time.Since(s.w.store.waits[rng.TopicPartition].since)
	return &StopError{TopicPartition: rng.TopicPartition, Offset: first.at.offset, Wait: true,
		Again: min(max(sink.WaitAtMost/10, 100*time.Millisecond), 2*time.Second, left),
		Reason: s.w.result.Table + " does not take this record yet, and the sink waits for that: " +
			describe(record.StepWrite, first.err)}
}

// mayWait says whether the sink waits for such a refusal and the partition's time for it is not over yet.
func (s *sift) mayWait(r *refused) bool {
	var pe *pgconn.PgError
	sink := s.w.target.sink
	if !errors.As(r.err, &pe) || !slices.Contains(sink.WaitFor, pe.Code) {
		return false
	}
	rng, waits := &s.w.batch[r.at.rng], s.w.store.waits
	w, waiting := waits[rng.TopicPartition]
	offset := r.at.offset
	if !waiting || offset >= w.upTo && time.Since(w.since) >= sink.WaitAtMost {
		w = wait{since: time.Now()}
	}
	w.upTo = max(w.upTo, rng.To)
	waits[rng.TopicPartition] = w
	return time.Since(w.since) < sink.WaitAtMost
}

// before says whether a record comes before another one in the batch.
func (p place) before(other place) bool {
	return p.rng < other.rng || p.rng == other.rng && p.rec < other.rec
}
