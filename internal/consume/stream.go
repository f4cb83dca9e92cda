package consume

import (
	"context"
	"errors"
	"slices"
	"time"

	"sinker/internal/txn"

	"github.com/twmb/franz-go/pkg/kgo"
)

// While a batch is copied into its table it goes on with what has been fetched meanwhile, up to the bounds of a batch.
// A transaction so is several fetches large, with one of them in memory. The price: if it fails, its records are gone
// and are read again. Nothing else is different: the compare has come before, To and the ledger are written at the end.

const (
	nextFetch    = 20 * time.Millisecond // so long a COPY waits for records that Kafka is known to have
	worthAWait   = 200                   // records of a batch that does
	leastShare   = 32                    // a batch ends when the last records it got were less than this part of it
	goOnFor      = time.Second           // after that a transaction is as long as it should be
	wholeBatches = 20
	mostRoom     = 1000 // ranges of a batch that begin without records
)

// late is a partition's part of a fetch.
type late struct {
	txn.TopicPartition
	topicID [16]byte
	fetch   kgo.FetchPartition
}

// more lets a batch go on for as long as there is something to go on with; nil: it may not.
func (w *Worker) more(ctx context.Context) txn.More {
	if w.whole > 0 {
		w.whole--
		return nil
	}
	began, before := time.Now(), 0
	return func(b txn.Batch, may func(int) bool) bool {
		held, size := 0, int64(0)
		for _, p := range w.parts {
			held, size = held+p.held(), size+p.gone.size+p.size
		}
		trickle := before > 0 && (held-before)*leastShare < held
		if held >= w.rows || size >= w.cfg.Bytes || trickle || len(w.late) > 0 || time.Since(began) > goOnFor {
			return false
		}
		before = held
		var parts []*part
		for i := range b {
			if may(i) {
				parts = append(parts, w.parts[b[i].TopicPartition])
			}
		}
		if !w.pollMore(ctx, parts, w.rows-held, held >= worthAWait) {
			return false
		}
		for i := range b {
			if may(i) {
				w.parts[b[i].TopicPartition].goOn(&b[i])
			}
		}
		return true
	}
}

// pollMore puts in hand what is fetched, and says whether any of it is for these partitions. It waits, if it may, only for
// what is sure to come, and not once the assignment has changed: somebody waits for our partitions then.
func (w *Worker) pollMore(ctx context.Context, parts []*part, rows int, may bool) (found bool) {
	wait := time.Duration(0)
	if may && slices.ContainsFunc(parts, (*part).behind) {
		wait = nextFetch
	}
	if ctx.Err() != nil || w.assign.changed() {
		return false
	}
	ctx, cancel := w.assign.pollContext(ctx, wait)
	defer cancel()
	fetches := w.reader.poll(ctx, rows, true, len(w.parts))
	fetches.EachTopic(func(t kgo.FetchTopic) {
		for i := range t.Partitions {
			f := &t.Partitions[i]
			tp := txn.TopicPartition{Topic: t.Topic, Partition: f.Partition}
			switch {
			case !w.collectPlain(tp, t.TopicID, f):
				w.late = append(w.late, late{tp, t.TopicID, *f})
			case len(f.Records) > 0 && slices.Contains(parts, w.parts[tp]):
				found = true
			}
		}
	})
	return found
}

// makeRoom adds ranges without records to a batch, of partitions whose next records are about to come: an answer of
// Kafka's holds those of one partition, mostly, and only what was compared at the beginning can be written later on.
func (w *Worker) makeRoom(b txn.Batch) txn.Batch {
	if w.whole > 0 {
		return b
	}
	topics := map[string]bool{}
	for i := range b {
		topics[b[i].Topic] = true
	}
	room := mostRoom
	for _, p := range w.parts {
		if room > 0 && p.active() && !p.ready() && p.behind() && topics[p.Topic] {
			r, _ := p.cut(0, 0)
			b, room = append(b, r), room-1
		}
	}
	b.Sort()
	return b
}

// collectPlain puts records in hand and does nothing else; it returns false, with nothing done, where collect would have
// to decide something about the partition, for which the store is needed.
func (w *Worker) collectPlain(tp txn.TopicPartition, id [16]byte, f *kgo.FetchPartition) bool {
	p := w.parts[tp]
	if p == nil || !p.active() || errors.Is(f.Err, errNoRoom) {
		return true
	}
	if f.Err != nil || otherTopic(p, id) || slices.ContainsFunc(w.late, func(l late) bool { return l.TopicPartition == tp }) {
		return false
	}
	p.heard(f)
	_, ok := p.add(f.Records)
	return ok
}

// collectLate collects what came while a batch was written.
func (w *Worker) collectLate() {
	for i := range w.late {
		w.collect(w.late[i].TopicPartition, w.late[i].topicID, &w.late[i].fetch)
	}
	w.late = nil
}

// readAgain goes back to where the partitions stand in Postgres: of their batch nothing was written, and some of its
// records are gone. The next batches are kept whole, so that whatever it was can be dealt with.
func (w *Worker) readAgain(b txn.Batch) {
	w.whole = wholeBatches
	for i := range b {
		p := w.parts[b[i].TopicPartition]
		w.counters.Discarded.Add(int64(p.held()))
		w.late = slices.DeleteFunc(w.late, func(l late) bool { return l.TopicPartition == p.TopicPartition })
		w.stopReading(p.TopicPartition)
		p.forget()
		w.startReading(p)
	}
}
