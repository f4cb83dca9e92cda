package consume

import (
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordPool keeps the slices that fetched records are decoded into for the next fetch: what is committed is not needed
// any more. Records that are dropped instead, because their partition was let go, are not given back; the garbage
// collector has them. (The buffers that compressed batches are unpacked to are not kept: that cost 20 MB and saved nothing.)
type recordPool struct {
	records freeList[kgo.Record]
}

var _ kgo.PoolRecords = (*recordPool)(nil)

// newRecordPool keeps half of what one fetch needs, whose size in memory is given: what lies in the pool counts as alive,
// and the garbage collector lets the process grow to twice that.
func newRecordPool(memory int64) *recordPool {
	return &recordPool{freeList[kgo.Record]{keep: int(memory / recordMemory / 2)}}
}

func (p *recordPool) GetRecords(n int) []kgo.Record { return p.records.get(n) }
func (p *recordPool) PutRecords(s []kgo.Record)     { p.records.put(s) }

// freeList is of slices to be used again.
type freeList[T any] struct {
	mu   sync.Mutex
	free [][]T
	room int // elements that they have room for
	keep int // at most so many
}

// get returns a slice with room for n elements at least: the last given back that has it, since its memory is likely
// to be in the processor's cache, but none of which the most would lie idle.
func (f *freeList[T]) get(n int) []T {
	const look, waste = 8, 16
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.free) - 1; i >= max(0, len(f.free)-look); i-- {
		if s := f.free[i]; cap(s) >= n && cap(s) <= waste*n {
			f.free, f.room = slices.Delete(f.free, i, i+1), f.room-cap(s)
			return s[:0]
		}
	}
	return make([]T, 0, n)
}

// put gives a slice back. The oldest are let go when there are too many.
func (f *freeList[T]) put(s []T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cap(s) > f.keep {
		return
	}
	old := 0
	for ; f.room+cap(s) > f.keep; old++ {
		f.room -= cap(f.free[old])
	}
	f.free, f.room = append(slices.Delete(f.free, 0, old), s), f.room+cap(s)
}
