package consume

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestFirstFetchIsSmall: and yet no partition is told to be content with little, which a broker would remember of those
// that have to wait, so that its answers would hold one partition each.
func TestFirstFetchIsSmall(t *testing.T) {
	b := newBench(t, "orders", 20)
	b.produce("orders", 20, 10)
	var least, first atomic.Int32
	b.cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		req := r.(*kmsg.FetchRequest)
		first.CompareAndSwap(0, req.MaxBytes)
		for _, topic := range req.Topics {
			for _, p := range topic.Partitions {
				if n := least.Load(); n == 0 || p.PartitionMaxBytes < n {
					least.Store(p.PartitionMaxBytes)
				}
			}
		}
		return nil, nil, false
	})
	b.run(b.config("orders"), 1, nil)
	b.caughtUp("orders")
	b.checkExactlyOnce()
	if first.Load() != firstFetch {
		t.Errorf("the first fetch asked for %d bytes, want %d", first.Load(), firstFetch)
	}
	if want := int32(mostFold * 8 << 20); least.Load() != want {
		t.Errorf("a partition may fill %d bytes of an answer, want %d", least.Load(), want)
	}
}

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
			if n, changed := f.next(0); changed || n != firstFetch {
				t.Fatalf("before anything is known: %d, %v", n, changed)
			}
			read := func() {
				f.OnFetchBatchRead(kgo.BrokerMetadata{}, "t", 0, kgo.FetchBatchMetrics{NumRecords: c.records, CompressedBytes: c.compressed, UncompressedBytes: c.became})
			}
			read()
			n, _ := f.next(0)
			if n < c.least || n > c.most {
				t.Errorf("asks for %d, want %d to %d", n, c.least, c.most)
			}
			for range 1000 {
				read()
			}
			if _, changed := f.next(0); changed {
				t.Error("more of the same changed it")
			}
		})
	}
	t.Run("many partitions share a larger answer", func(t *testing.T) {
		for partitions, want := range map[int]int32{0: memory / 4, 100: (memory + 100*forPartition) / 4, 1 << 20: mostFold * memory / 4} {
			f := newFetchSize(memory)
			f.OnFetchBatchRead(kgo.BrokerMetadata{}, "t", 0, kgo.FetchBatchMetrics{NumRecords: 1, CompressedBytes: 1000, UncompressedBytes: 3000 - int(recordMemory)})
			if n, _ := f.next(partitions); n < want-want/8 || n > want {
				t.Errorf("with %d partitions asks for %d, want about %d", partitions, n, want)
			}
		}
	})
	t.Run("the worst counts at once, and is forgotten slowly", func(t *testing.T) {
		f := newFetchSize(memory)
		read := func(became int) {
			f.OnFetchBatchRead(kgo.BrokerMetadata{}, "t", 0, kgo.FetchBatchMetrics{NumRecords: 100, CompressedBytes: 100_000, UncompressedBytes: became})
		}
		for range 1000 {
			read(100_000)
		}
		plain, _ := f.next(0)
		read(10_000_000)
		small, changed := f.next(0)
		if !changed || small > plain/50 {
			t.Errorf("asked for %d, then, at a hundred to one, for %d", plain, small)
		}
		read(100_000)
		if n, _ := f.next(0); n > 2*small {
			t.Errorf("asked for %d, and after one plain batch for %d", small, n)
		}
		n := small
		for range 200 {
			read(100_000)
			n, _ = f.next(0)
		}
		if n < plain*3/4 {
			t.Errorf("asks for %d after 200 looks at plain batches, want about %d again", n, plain)
		}
	})
}
