package consume

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestFetchSize holds the size that is asked for against what answers become in memory.
func TestFetchSize(t *testing.T) {
	const memory = 10 << 20
	for _, c := range []struct {
		name                        string
		records, compressed, became int
		least, most                 int32
	}{
		{"plain records of 235 bytes", 1000, 235_000, 235_000, 4 << 20, 7 << 20},
		{"records of 20 bytes", 1000, 20_000, 20_000, 512 << 10, 1 << 20},
		{"compressed four to one", 1000, 60_000, 235_000, 1 << 20, 2 << 20},
		{"a thousand to one", 1000, 1000, 1_000_000, leastFetch, leastFetch},
		{"records of 1 MB", 1, 1_000_000, 1_000_000, memory * 9 / 10, memory},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFetchSize(memory)
			if n, changed := f.next(); changed || n != firstFetch {
				t.Fatalf("before anything is known: %d, %v", n, changed)
			}
			read := func() {
				f.OnFetchBatchRead(kgo.BrokerMetadata{}, "t", 0, kgo.FetchBatchMetrics{NumRecords: c.records, CompressedBytes: c.compressed, UncompressedBytes: c.became})
			}
			read()
			n, _ := f.next()
			if n < c.least || n > c.most {
				t.Errorf("asks for %d, want %d to %d", n, c.least, c.most)
			}
			for range 1000 {
				read()
			}
			if _, changed := f.next(); changed {
				t.Error("more of the same changed it")
			}
		})
	}
	t.Run("what comes later counts", func(t *testing.T) {
		f := newFetchSize(memory)
		for range 1000 {
			f.OnFetchBatchRead(kgo.BrokerMetadata{}, "t", 0, kgo.FetchBatchMetrics{NumRecords: 100, CompressedBytes: 100_000, UncompressedBytes: 100_000})
		}
		before, _ := f.next()
		for range 1000 {
			f.OnFetchBatchRead(kgo.BrokerMetadata{}, "t", 0, kgo.FetchBatchMetrics{NumRecords: 100, CompressedBytes: 100_000, UncompressedBytes: 10_000_000})
		}
		if after, changed := f.next(); !changed || after > before/50 {
			t.Errorf("asked for %d, then for %d", before, after)
		}
	})
}
