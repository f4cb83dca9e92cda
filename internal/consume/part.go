package consume

import (
	"slices"
	"time"

	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kgo"
)

// part is a partition that is ours: where it stands in Postgres, and the records held that are not there yet.
// It belongs to the worker's loop.
type part struct {
	record.Position // NextOffset is what Postgres has: the From of the next range

	read    int64          // the offset after the last record held
	batches []record.Batch // held, in offset order: up to read, without gaps between them
	records int            // of the batches
	size    int64          // of their keys and values, in bytes
	gone    streamed       // what came before them and is not in Postgres yet either
	end     int64          // the last stable offset the broker told of; -1 when not known yet
	top     int64          // where the log ended when the partition was taken, open transactions included
	seen    time.Time      // timestamp of the last record committed, at first as the offset row has it
	oldest  time.Time      // timestamp of the record at NextOffset, the next one to be committed; zero: not known
	atEnd   time.Time      // when the position was last known to be at the end of the log; zero: not since it was taken
	taken   time.Time      // by this process, at this position
	began   time.Time      // when it was last taken: a partition that waits is taken again and again

	// what is to be done about the partition once no transaction is open; its records are not taken any more
	verdict func()

	stop      *record.Stop // why the partition is not read; nil: it is
	stopSince time.Time
	again     time.Time // when a waiting one is taken again
}

// streamed is what was held and went into the transaction that is open. If that fails it has to be read again.
type streamed struct {
	records int
	size    int64 // of keys and values, in bytes
}

// take starts the partition at a position that the Store gave.
func (p *part) start(pos record.Position) {
	*p = part{Position: pos, read: pos.NextOffset, end: -1, seen: pos.LastTimestamp, taken: time.Now(), began: time.Now()}
}

// active says whether records of the partition may be read and written.
func (p *part) active() bool { return p.stop == nil }

// heard notes where the broker said that the log ends.
func (p *part) heard(f *kgo.FetchPartition) {
	if f.LastStableOffset >= 0 {
		p.end = f.LastStableOffset
	}
}

// add adds fetched records to those held. A record below the position means that the log was cut off and written again:
// nothing is added then, and it returns that record's offset.
func (p *part) add(records []*kgo.Record) (below int64, ok bool) {
	next, control := p.read, false
	for _, r := range records {
		if r.Offset < next {
			return r.Offset, false
		}
		next = r.Offset + 1
		control = control || r.Attrs.IsControl()
	}
	if len(records) == 0 {
		return 0, true
	}
	if p.oldest.IsZero() {
		p.oldest = records[0].Timestamp
	}
	if control {
		records = slices.DeleteFunc(records, func(r *kgo.Record) bool { return r.Attrs.IsControl() })
	}
	b := newFetched(p.TopicPartition, p.read, next, records) // the fetch's own slice: nobody else has it
	p.read = next
	p.batches, p.records, p.size = append(p.batches, b), p.records+b.Count(), p.size+b.Bytes()
	return 0, true
}

// behind says whether Kafka told of more records than were fetched.
func (p *part) behind() bool { return max(p.end, p.top) > p.read }

// ready says whether there is anything to commit: records, or a position that moved past control records alone.
func (p *part) ready() bool { return p.active() && p.read > p.NextOffset }

// cut makes a range of at most rows records and about size bytes of what is held, at least one record. A batch that
// goes beyond these bounds is split there.
func (p *part) cut(rows int, size int64) (r record.Range, bytes int64) {
	r = p.emptyRange()
	records := 0
	for i := 0; i < len(p.batches); i++ {
		whole := p.batches[i]
		if n := whole.Count(); n > 0 && (records+n > rows || bytes+whole.Bytes() > size) {
			p.split(i, bound(whole, rows-records, size-bytes, records == 0))
		}
		b := p.batches[i]
		if b.Count() > 0 && (records >= rows || records > 0 && bytes >= size) {
			break
		}
		r.Add(b)
		records, bytes = records+b.Count(), bytes+b.Bytes()
	}
	return r, bytes
}

func (p *part) emptyRange() record.Range {
	return record.Range{TopicPartition: p.TopicPartition, Log: p.Log, Fence: p.Fence,
		From: p.NextOffset, To: p.NextOffset, LeaderEpoch: -1, Streamed: p.gone.records}
}

// bound is the offset at which a batch reaches this many records or bytes. With first, it has at least one record.
func bound(b record.Batch, rows int, size int64, first bool) (at int64) {
	at = b.From()
	b.Walk(at, func(r *record.Record) bool {
		if rows <= 0 || size <= 0 && !first {
			return false
		}
		at, rows, size, first = r.Offset+1, rows-1, size-r.Size(), false
		return true
	})
	return at
}

// split parts a batch that is held at an offset.
func (p *part) split(i int, at int64) {
	if head, tail := record.Split(p.batches[i], at); head != nil && tail != nil {
		p.batches = slices.Replace(p.batches, i, i+1, head, tail)
	}
}

// below is the range of what is held below an offset.
func (p *part) below(offset int64) record.Range {
	r := p.emptyRange()
	for i := 0; i < len(p.batches) && p.batches[i].From() < offset; i++ {
		p.split(i, offset)
		r.Add(p.batches[i])
	}
	return r
}

// goOn makes the range go on with what is held after it. What it had is encoded, and so not needed any more.
func (p *part) goOn(r *record.Range) {
	records, size := p.spend(r)
	p.gone.records, p.gone.size = p.gone.records+records, p.gone.size+size
	r.Stream()
	for _, b := range p.batches {
		r.Add(b)
	}
}

// advance notes that the range is committed, and returns how many bytes its keys and values had.
func (p *part) advance(r *record.Range) (bytes int64) {
	p.NextOffset = r.To
	if r.LeaderEpoch >= 0 {
		p.LeaderEpoch = r.LeaderEpoch
	}
	if !r.Timestamp.IsZero() {
		p.seen = r.Timestamp
	}
	_, size := p.spend(r)
	bytes = p.gone.size + size
	p.gone, p.oldest = streamed{}, time.Time{}
	for _, b := range p.batches {
		b.Walk(b.From(), func(next *record.Record) bool {
			p.oldest = next.Time()
			return false
		})
		if !p.oldest.IsZero() {
			return bytes
		}
	}
	if p.end >= 0 && p.NextOffset >= p.end {
		p.atEnd = time.Now()
	}
	return bytes
}

// spend takes the range's batches, the first ones held, out of it, and returns how much they were. Their memory is
// used again for other records from then on.
func (p *part) spend(r *record.Range) (records int, size int64) {
	for _, b := range r.Batches {
		records, size = records+b.Count(), size+b.Bytes()
		b.Release()
	}
	p.batches = slices.Delete(p.batches, 0, len(r.Batches))
	p.records, p.size = p.records-records, p.size-size
	return records, size
}

// forget drops what is held, for instance because the position turned out to be another one.
func (p *part) forget() {
	p.batches, p.records, p.size, p.gone, p.read, p.verdict = nil, 0, 0, streamed{}, p.NextOffset, nil
}

// held is how many records are held or in the open transaction: what is lost with the partition, and read again.
func (p *part) held() int { return p.gone.records + p.records }
