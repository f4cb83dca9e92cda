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
		{"records of 20 bytes", 1000, 20_000, 20_000, 512 << 10, 5 << 18},
		{"compressed four to one", 1000, 60_000, 235_000, 1 << 20, 2 << 20},
		{"a thousand to one", 1000, 1000, 1_000_000, 8 << 10, 10 << 10},
		{"a hundred thousand to one", 1, 100, 10_000_000, leastFetch, leastFetch},
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
	t.Run("the worst counts at once, and is forgotten slowly", func(t *testing.T) {
		f := newFetchSize(memory)
		read := func(became int) {
			f.OnFetchBatchRead(kgo.BrokerMetadata{}, "t", 0, kgo.FetchBatchMetrics{NumRecords: 100, CompressedBytes: 100_000, UncompressedBytes: became})
		}
		for range 1000 {
			read(100_000)
		}
		plain, _ := f.next()
		read(10_000_000)
		small, changed := f.next()
		if !changed || small > plain/50 {
			t.Errorf("asked for %d, then, at a hundred to one, for %d", plain, small)
		}
		read(100_000)
		if n, _ := f.next(); n > 2*small {
			t.Errorf("asked for %d, and after one plain batch for %d", small, n)
		}
		n := small
		for range 200 {
			read(100_000)
			n, _ = f.next()
		}
		if n < plain*3/4 {
			t.Errorf("asks for %d after 200 looks at plain batches, want about %d again", n, plain)
		}
	})
}
