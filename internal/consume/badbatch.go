package consume

import (
	"errors"
	"fmt"

	"sinker/internal/record"

	"github.com/dustin/go-humanize/english"
)

// BadBatch is a batch of records that cannot be read, now or later: it takes more memory than kafka.max_batch allows,
// or it is broken. Nothing of it was handed on.
type BadBatch struct {
	record.TopicPartition
	From, To int64 // its offsets, To excluded
	limit    int64
	err      error // *largeBatch or *brokenBatch; nil: not known
}

// Error says what is wrong with the batch, and which key to raise.
func (b *BadBatch) Error() string {
	at := fmt.Sprintf("the batch of offsets [%d, %d)", b.From, b.To)
	var large *largeBatch
	switch {
	case b.err == nil:
		return fmt.Sprintf("%s takes more memory than kafka.max_batch, %s, allows", at, inMiB(b.limit))
	case !errors.As(b.err, &large):
		return fmt.Sprintf("%s is broken, %v. It is broken in Kafka, so reading it again does not help", at, b.err)
	case large.records == 0:
		return fmt.Sprintf("%s takes %s of memory without what its records cost, more than kafka.max_batch, %s, allows. "+
			"To load it, set kafka.max_batch to %s and restart", at, inMiB(large.bytes), inMiB(b.limit), inMiB(2*large.bytes))
	}
	return fmt.Sprintf("%s takes %s of memory (%s, and %d bytes for each of its %s), more than kafka.max_batch, %s, "+
		"allows. To load it, set kafka.max_batch to %s and restart", at, inMiB(large.memory()), inMiB(large.bytes),
		recordMemory, english.Plural(large.records, "record", ""), inMiB(b.limit), inMiB(large.memory()))
}

// Unwrap returns why, for errors.As.
func (b *BadBatch) Unwrap() error { return b.err }

// Skip is the command that goes on after the batch, without its records.
func (b *BadBatch) Skip() string { return decide(b.TopicPartition, b.To, skipRecords) }

// inMiB writes a size as the configuration does, rounded up.
func inMiB(n int64) string { return fmt.Sprintf("%dMiB", (n+1<<20-1)>>20) }

// brokenBatch is why a batch can never be unpacked.
type brokenBatch struct{ err error }

func (e *brokenBatch) Error() string { return "it cannot be unpacked: " + e.err.Error() }
func (e *brokenBatch) Unwrap() error { return e.err }

// largeBatch is how large a batch over the limit is.
type largeBatch struct {
	bytes   int64 // unpacked; an upper bound if the batch does not say exactly
	records int   // 0: not known
}

func (e *largeBatch) memory() int64 { return e.bytes + recordMemory*int64(e.records) }
func (e *largeBatch) Error() string { return fmt.Sprintf("it takes %s of memory", inMiB(e.memory())) }

// stopAtBadBatches stops the partitions that have come to a batch that cannot be read, once the records before it are
// committed.
func (w *Worker) stopAtBadBatches() {
	for tp, bad := range w.bad {
		if p := w.parts[tp]; p != nil && p.active() && !p.ready() {
			w.stop(p, record.Stop{Reason: bad.Error(), Hole: record.Hole{From: bad.From, To: bad.To}, Command: bad.Skip()})
		}
	}
}
