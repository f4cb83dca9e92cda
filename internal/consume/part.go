package consume

import (
	"time"

	"sinker/internal/mutant"
	"sinker/internal/txn"

	"github.com/twmb/franz-go/pkg/kgo"
)

// part is a partition that is ours: where it stands in Postgres, and the records in hand that are not there yet.
// It belongs to the worker's loop.
type part struct {
	txn.Position // NextOffset is what Postgres has: the From of the next range

	read    int64         // the offset after the last record in hand
	records []*kgo.Record // in hand: within [NextOffset, read)
	size    int64         // of their keys and values, in bytes
	gone    streamed      // what came before them and is not in Postgres yet either
	end     int64         // the last stable offset the broker told of; -1 when not known yet
	top     int64         // where the log ended when the partition was taken, open transactions included
	seen    time.Time     // timestamp of the last record committed, at first as the offset row has it
	oldest  time.Time     // timestamp of the record at NextOffset, the next one to be committed; zero: not known
	atEnd   time.Time     // when the position was last known to be at the end of the log; zero: not since it was taken
	taken   time.Time     // by this process, at this position
	began   time.Time     // when it was last taken: a partition that waits is taken again and again

	verdict func() // what is to be done about the partition once no transaction is open; its records are not taken any more

	stop      *txn.Stop // why the partition is not read; nil: it is
	stopSince time.Time
	again     time.Time // when a waiting one is taken again
}

// streamed is what was in hand and went into the transaction that is open. If that fails it has to be read again.
type streamed struct {
	records int
	size    int64 // of keys and values, in bytes
}

// take starts the partition at a position that the Store gave.
func (p *part) start(pos txn.Position) {
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

// add puts fetched records in hand. A record below the position means that the log was cut off and written again:
// nothing is added then, and it returns that record's offset.
func (p *part) add(records []*kgo.Record) (below int64, ok bool) {
	next, size, control := p.read, int64(0), false
	for _, r := range records {
		if mutant.On(mutant.ControlDropped) && r.Attrs.IsControl() {
			continue
		}
		if r.Offset < next {
			return r.Offset, false
		}
		next = r.Offset + 1
		size += recordBytes(r)
		control = control || r.Attrs.IsControl()
	}
	if p.oldest.IsZero() && len(records) > 0 {
		p.oldest = records[0].Timestamp
	}
	p.read = next
	if !control {
		p.size += size
		if len(p.records) == 0 {
			p.records = records // the fetch's own slice: nobody else has it
		} else {
			p.records = append(p.records, records...)
		}
		return 0, true
	}
	for _, r := range records {
		if !r.Attrs.IsControl() {
			p.records = append(p.records, r)
			p.size += recordBytes(r)
		}
	}
	return 0, true
}

// behind says whether Kafka told of more records than were fetched.
func (p *part) behind() bool { return max(p.end, p.top) > p.read }

// ready says whether there is anything to commit: records, or a position that moved past control records alone.
func (p *part) ready() bool { return p.active() && p.read > p.NextOffset }

// cut makes a range of at most rows records and about size bytes of what is in hand, at least one record.
func (p *part) cut(rows int, size int64) (r txn.Range, bytes int64) {
	n := len(p.records)
	bytes = p.size
	if n > rows || bytes > size {
		for n, bytes = 0, 0; n < len(p.records) && n < rows && (bytes < size || n == 0); n++ {
			bytes += recordBytes(p.records[n])
		}
	}
	r = txn.Range{
		TopicPartition: p.TopicPartition, Log: p.Log, Fence: p.Fence,
		From: p.NextOffset, To: p.read, LeaderEpoch: -1, Records: p.records[:n:n], Streamed: p.gone.records,
	}
	if n < len(p.records) {
		r.To = p.records[n-1].Offset + 1
	}
	if mutant.On(mutant.ToIsEndOfLog) {
		r.To = max(r.To, p.end)
	}
	if n > 0 {
		last := p.records[n-1]
		r.LeaderEpoch, r.Timestamp = last.LeaderEpoch, last.Timestamp
	}
	return r, bytes
}

// goOn makes the range go on with the records in hand that follow its own, which are encoded and so not needed any more.
func (p *part) goOn(r *txn.Range) {
	before, n := p.size, len(r.Records)
	p.spend(r)
	p.gone.records, p.gone.size = p.gone.records+n, p.gone.size+before-p.size
	next, _ := p.cut(len(p.records), p.size)
	if len(next.Records) == 0 {
		next.LeaderEpoch, next.Timestamp = r.LeaderEpoch, r.Timestamp
	}
	*r = next
}

// advance notes that the range is committed, and returns how many bytes its keys and values had.
func (p *part) advance(r *txn.Range) (bytes int64) {
	p.NextOffset = r.To
	if r.LeaderEpoch >= 0 {
		p.LeaderEpoch = r.LeaderEpoch
	}
	if !r.Timestamp.IsZero() {
		p.seen = r.Timestamp
	}
	bytes = p.gone.size + p.size
	p.gone = streamed{}
	p.spend(r)
	p.oldest = time.Time{}
	if len(p.records) > 0 {
		p.oldest = p.records[0].Timestamp
	} else if p.end >= 0 && p.NextOffset >= p.end {
		p.atEnd = time.Now()
	}
	return bytes - p.size
}

// spend takes the range's records, the first ones in hand, out of it. They are used again for other ones from then on.
func (p *part) spend(r *txn.Range) {
	if n := len(r.Records); n >= len(p.records) {
		p.records, p.size = nil, 0
	} else {
		p.records = p.records[n:]
		for _, rec := range r.Records {
			p.size -= recordBytes(rec)
		}
	}
	for _, rec := range r.Records {
		rec.Recycle()
	}
	r.Records = nil
}

// forget drops what is in hand, for instance because the position turned out to be another one.
func (p *part) forget() {
	p.records, p.size, p.gone, p.read, p.verdict = nil, 0, streamed{}, p.NextOffset, nil
}

// held is how many records are in hand or in the open transaction: what is lost with the partition, and read again.
func (p *part) held() int { return p.gone.records + len(p.records) }

func recordBytes(r *kgo.Record) int64 { return int64(len(r.Key) + len(r.Value)) }
