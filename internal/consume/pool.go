package consume

import (
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordPool keeps the slices that fetched records are decoded into for the next fetch: what is committed is not
// needed any more. Records that are dropped instead, because their partition was let go, are not given back; the
// garbage collector has them. (The buffers that compressed batches are unpacked to are not kept: that cost 20 MB and
// saved nothing.)
type recordPool struct {
	mu   sync.Mutex
	free [][]kgo.Record
	room int // records that they have room for
	keep int // maximum
}

var _ kgo.PoolRecords = (*recordPool)(nil)

// newRecordPool keeps half of what one fetch needs, whose size in memory is given: what lies in the pool counts as
// alive, and the garbage collector lets the process grow to twice that.
func newRecordPool(memory int64) *recordPool {
	return &recordPool{keep: int(memory / recordMemory / 2)}
}

// GetRecords returns a slice with room for n records at least: the last given back that has it, since its memory is
// likely to be in the processor's cache, but none of which the most would lie idle.
func (p *recordPool) GetRecords(n int) []kgo.Record {
	const look, waste = 8, 16
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.free) - 1; i >= max(0, len(p.free)-look); i-- {
		if s := p.free[i]; cap(s) >= n && cap(s) <= waste*n {
			p.free, p.room = slices.Delete(p.free, i, i+1), p.room-cap(s)
			return s[:0]
		}
	}
	return make([]kgo.Record, 0, n)
}

// PutRecords takes a slice back. The oldest are let go when there are too many.
func (p *recordPool) PutRecords(s []kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cap(s) > p.keep {
		return
	}
	old := 0
	for ; p.room+cap(s) > p.keep; old++ {
		p.room -= cap(p.free[old])
	}
	p.free, p.room = append(slices.Delete(p.free, 0, old), s), p.room+cap(s)
}
