package consume

import (
	"sync"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"
)

// fetchSize chooses how many bytes a broker is asked for at once, so that what they become in memory stays about the
// same: batches may be compressed, a thousand to one if they hold nothing, and a record of 20 bytes costs ten times
// that as a kgo.Record. What the last batches became says what the next will. It goes by the worst of them, and
// forgets it slowly: too small a fetch costs a moment, too large a one memory that may not be there.
type fetchSize struct {
	memory int64   // that an answer of a broker may become, with few partitions
	asked  int32   // now
	swell  float64 // bytes in memory for a byte on the wire, as expected; 0 before anything is known

	mu           sync.Mutex
	wire, became int64 // of the batches since the last look, in bytes
}

const (
	firstFetch   = leastFetch // before anything is known
	leastFetch   = 4 << 10    // a broker gives one whole batch in any case
	forget       = 0.05       // of the difference, at each look that finds less
	forPartition = 16 << 10   // bytes of memory more for each partition: a broker looks at every one for every answer
	mostFold     = 2          // but at most this many times the memory with few
	recordMemory = int64(unsafe.Sizeof(kgo.Record{}) + unsafe.Sizeof(&kgo.Record{}))
)

func newFetchSize(memory int64) *fetchSize {
	return &fetchSize{memory: memory, asked: int32(min(firstFetch, memory))}
}

// OnFetchBatchRead is called by the client, on its own goroutines.
func (f *fetchSize) OnFetchBatchRead(_ kgo.BrokerMetadata, _ string, _ int32, m kgo.FetchBatchMetrics) {
	if m.NumRecords == 0 {
		return // refused, or empty
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wire += int64(m.CompressedBytes)
	f.became += int64(m.UncompressedBytes) + recordMemory*int64(m.NumRecords)
	if m.CompressedBytes != m.UncompressedBytes {
		f.became += int64(m.CompressedBytes) // both are there for a while
	}
}

// most is the memory that an answer may become with any number of partitions.
func (f *fetchSize) most() int64 { return mostFold * f.memory }

// next returns how many bytes to ask for with a number of partitions, and whether that is worth telling the client.
func (f *fetchSize) next(partitions int) (bytes int32, changed bool) {
	f.mu.Lock()
	wire, became := f.wire, f.became
	f.wire, f.became = 0, 0
	f.mu.Unlock()
	if wire == 0 {
		return f.asked, false
	}
	if now := float64(became) / float64(wire); now > f.swell {
		f.swell = now
	} else {
		f.swell -= forget * (f.swell - now)
	}
	room := float64(min(f.most(), f.memory+forPartition*int64(partitions)))
	want := int32(max(leastFetch, min(room, room/f.swell)))
	if d := want - f.asked; d > -f.asked/8 && d < f.asked/8 {
		return f.asked, false
	}
	f.asked = want
	return want, true
}

// ofPartition is how much of an answer one partition may fill: all of it, and that never changes. A broker remembers,
// as part of a fetch session (KIP-227), what was said of a partition, and the client says it again only when its
// offset has moved: hundreds of partitions that wait for their turn would keep the first fetch's few bytes, less than
// one batch, and every answer would hold a single partition.
func (f *fetchSize) ofPartition() int32 { return int32(f.most()) }
