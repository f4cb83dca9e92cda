package consume

import (
	"sync"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"
)

// fetchSize chooses how many bytes a broker is asked for at once, so that what they become in memory stays about the
// same: batches may be compressed, a thousand to one if they hold nothing, and a record of 20 bytes costs ten times that
// as a kgo.Record. What the last batches became says what the next will.
type fetchSize struct {
	memory int64 // that an answer of a broker may become
	asked  int32 // now

	mu           sync.Mutex
	wire, became int64 // of the last batches, in bytes
}

const (
	firstFetch   = 1 << 20  // before anything is known
	leastFetch   = 64 << 10 // a broker gives one whole batch in any case
	fetchPast    = 32 << 20 // bytes on the wire after which the past counts half
	recordMemory = int64(unsafe.Sizeof(kgo.Record{}) + unsafe.Sizeof(&kgo.Record{}))
)

func newFetchSize(memory int64) *fetchSize {
	return &fetchSize{memory: memory, asked: int32(min(firstFetch, memory))}
}

// OnFetchBatchRead is called by the client, on its own goroutines.
func (f *fetchSize) OnFetchBatchRead(_ kgo.BrokerMetadata, _ string, _ int32, m kgo.FetchBatchMetrics) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wire += int64(m.CompressedBytes)
	f.became += int64(m.UncompressedBytes) + recordMemory*int64(m.NumRecords)
	if m.CompressedBytes != m.UncompressedBytes {
		f.became += int64(m.CompressedBytes) // both are there for a while
	}
	if f.wire > fetchPast {
		f.wire, f.became = f.wire/2, f.became/2
	}
}

// next returns how many bytes to ask for, and whether that is worth telling the client.
func (f *fetchSize) next() (bytes int32, changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wire == 0 {
		return f.asked, false
	}
	want := int32(max(leastFetch, min(f.memory, int64(float64(f.memory)*float64(f.wire)/float64(max(f.became, 1))))))
	if d := want - f.asked; d > -f.asked/8 && d < f.asked/8 {
		return f.asked, false
	}
	f.asked = want
	return want, true
}

// adjustFetch tells the client when the size has changed.
func (w *Worker) adjustFetch() {
	if n, changed := w.fetch.next(); changed {
		w.reader.UpdateFetchMaxBytes(n, n)
	}
}
