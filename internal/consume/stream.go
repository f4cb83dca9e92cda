package consume

import (
	"cmp"
	"context"
	"slices"
	"time"

	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kgo"
)

// While a batch is written, its transaction goes on with what has been fetched meanwhile, up to the bounds of a
// batch. It so is several fetches large, with one of them in memory. The price: if it fails, its records are gone and
// are read again. Nothing else is different: the compare has come before, To and the ledger are written at the end.

const (
	nextFetch    = 20 * time.Millisecond // for how long a transaction waits for records that Kafka is known to have
	worthAWait   = 200                   // records of a batch that does
	few          = 1000                  // records of a batch that is committed as it is if no more are known of
	leastShare   = 32                    // a batch ends when the last records it got were less than this part of it
	goOnFor      = time.Second           // after that a transaction is as long as it should be
	wholeBatches = 20
	mostRoom     = 1000 // ranges of a batch that begin without records
)

// write makes one attempt at a batch. A shutdown lets it finish; the store bounds each of its steps.
func (w *Worker) write(ctx context.Context, b record.Ranges) (record.Result, error) {
	unhurried := context.WithoutCancel(ctx)
	tx, err := w.store.Begin(unhurried, b)
	if err != nil {
		return record.Result{}, err
	}
	defer tx.Rollback()
	for i := range b {
		_ = give(unhurried, tx, i, &b[i]) // Commit says what an error means
	}
	w.goOn(ctx, tx, b)
	return tx.Commit(unhurried)
}

// give writes what a range has. Where it has nothing more, the transaction lets go of what it had all the same. After
// an error the rest is given too: the transaction has to know all of the range, because it may still write it at
// Commit.
func give(ctx context.Context, tx Tx, rng int, r *record.Range) error {
	if r.Streamed > 0 && len(r.Batches) == 0 {
		return tx.Write(ctx, rng, record.NewList(r.To, r.To))
	}
	var first error
	for _, b := range r.Batches {
		first = cmp.Or(first, tx.Write(ctx, rng, b))
	}
	return first
}

// goOn gives a transaction more for as long as there is something to go on with.
func (w *Worker) goOn(ctx context.Context, tx Tx, b record.Ranges) {
	if w.whole > 0 {
		w.whole--
		return
	}
	began, before := time.Now(), 0
	for w.isWorthMore(b, began, &before) {
		may := tx.GoOn(context.WithoutCancel(ctx))
		if may == nil {
			return
		}
		var parts []*part
		for i := range b {
			if may(i) {
				parts = append(parts, w.parts[b[i].TopicPartition])
			}
		}
		if !w.pollMore(ctx, parts, w.rows-before, before >= worthAWait) {
			return
		}
		for i := range b {
			if !may(i) {
				continue
			}
			w.parts[b[i].TopicPartition].goOn(&b[i])
			if err := give(context.WithoutCancel(ctx), tx, i, &b[i]); err != nil {
				return // Commit says what it means
			}
		}
	}
}

// isWorthMore says whether a batch is to go on: not when it is large or old enough, when what it got last (before
// says what it had then) was not worth it, or when it is small and Kafka is not known to have more.
func (w *Worker) isWorthMore(b record.Ranges, began time.Time, before *int) bool {
	held, size := 0, int64(0)
	for _, p := range w.parts {
		if p.verdict != nil {
			return false
		}
		held, size = held+p.held(), size+p.gone.size+p.size
	}
	if *before == 0 && held <= few && !slices.ContainsFunc(b,
		func(r record.Range) bool { return w.parts[r.TopicPartition].behind() }) {
		return false
	}
	trickle := *before > 0 && (held-*before)*leastShare < held
	*before = held
	return held < w.rows && size < w.cfg.Bytes && !trickle && time.Since(began) <= goOnFor
}

// pollMore collects what is fetched, and says whether any of it is for these partitions. It waits, if it may,
// only for what is sure to come, and not once the assignment has changed: somebody waits for our partitions then.
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
	w.receive(w.reader.poll(ctx, rows, true, len(w.parts)), func(p *part, f *kgo.FetchPartition) {
		found = found || len(f.Records) > 0 && slices.Contains(parts, p)
	})
	return found
}

// makeRoom adds ranges without records to a batch, of partitions whose next records are about to come: an answer of
// Kafka's holds those of one partition, mostly, and only what was compared at the beginning can be written later on.
func (w *Worker) makeRoom(b record.Ranges) record.Ranges {
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

// readAgain goes back to where the partitions stand in Postgres: of their batch nothing was written, and some of its
// records are gone. The next batches are kept whole, so that whatever it was can be dealt with.
func (w *Worker) readAgain(b record.Ranges) {
	w.whole = wholeBatches
	for i := range b {
		p := w.parts[b[i].TopicPartition]
		w.counters.Discarded.Add(int64(p.held()))
		w.stopReading(p.TopicPartition)
		p.forget()
		w.startReading(p)
	}
}
