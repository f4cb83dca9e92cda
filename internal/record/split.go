package record

// Split parts a batch at an offset: head has the records below it, tail the others. Nothing is copied, both look at
// the batch's records. It costs a walk of the head. Of two parts the tail's Release releases the batch: it is the
// last one to be needed.
//
// An offset at an end, or beyond it, leaves nothing for one of the two, which is nil then; the other is the batch
// itself.
func Split(b Batch, at int64) (head, tail Batch) {
	switch {
	case at <= b.From():
		return nil, b
	case at >= b.To():
		return b, nil
	}
	whole, isPart := b.(*part)
	if !isPart {
		whole = &part{of: b, from: b.From(), to: b.To(), count: b.Count(), bytes: b.Bytes(), epoch: b.LeaderEpoch(),
			timestamp: b.Timestamp(), last: true}
	}
	first := &part{of: whole.of, from: whole.from, to: at, epoch: -1, timestamp: -1}
	first.of.Walk(first.from, func(r *Record) bool {
		if r.Offset >= at {
			return false
		}
		first.count, first.bytes = first.count+1, first.bytes+r.Size()
		first.epoch, first.timestamp = r.LeaderEpoch, r.Timestamp
		return true
	})
	rest := *whole
	rest.from, rest.count, rest.bytes = at, whole.count-first.count, whole.bytes-first.bytes
	if rest.count == 0 {
		rest.epoch, rest.timestamp = -1, -1
	}
	return first, &rest
}

// part is the records of a batch within [from, to).
type part struct {
	of        Batch
	from, to  int64
	count     int
	bytes     int64
	epoch     int32
	timestamp int64
	last      bool // the batch ends where it does
}

func (p *part) From() int64        { return p.from }
func (p *part) To() int64          { return p.to }
func (p *part) Count() int         { return p.count }
func (p *part) Bytes() int64       { return p.bytes }
func (p *part) LeaderEpoch() int32 { return p.epoch }
func (p *part) Timestamp() int64   { return p.timestamp }

func (p *part) Walk(from int64, f func(*Record) bool) {
	if from = max(from, p.from); p.last {
		p.of.Walk(from, f)
		return
	}
	p.of.Walk(from, func(r *Record) bool { return r.Offset < p.to && f(r) })
}

func (p *part) Release() {
	if p.last {
		p.of.Release()
	}
}
