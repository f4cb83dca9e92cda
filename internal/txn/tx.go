package txn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sinker/internal/failpoint"
	"sinker/internal/record"

	"github.com/jackc/pgx/v5"
)

// Tx is one transaction: the offset rows of its ranges are locked and compared first, then rows and dead letters are
// written, and last the positions move and everything is committed. A store has one at a time, and one goroutine uses
// both.
//
// What is given to Write is kept until Commit, so that it can be written a second time: one record at a time, when
// Postgres refuses something. Only after GoOn is it written at once, and let go of when more comes.
type Tx struct {
	s     *Store
	conn  *pgx.Conn
	batch Batch // the ranges, with the records that were given and are still there
	own   int   // of the ranges, the first ones, are the transaction's: the others move no position

	open     bool    // the transaction is begun, and its offset rows are locked and as they must be
	filled   bool    // everything but the move of the positions is written
	shown    bool    // Flush: the caller has a part of its own in the transaction, so it is not made again
	resolved *Result // an earlier attempt was committed: there is nothing to write
	live     *writer // has a COPY open, or groups that grow
	failed   error   // on the way; Commit acts on it
	began    time.Time
	phases   Phases
}

// Begin locks the offset rows of the ranges and compares them. A range's To says where the position would be if an
// earlier attempt had been committed whose reply was lost; its Batches are not looked at.
//
// With a *MissError nothing is open, and nothing was written by this attempt. ErrSpent says the same of ranges whose
// first records are gone (Range.Streamed). After an *Error nothing is open either; Begin may be called again.
//
// Without ranges no position moves: what is written then is written beside the protocol (WriteOf).
func (s *Store) Begin(ctx context.Context, ranges Batch) (*Tx, error) {
	t := &Tx{s: s, batch: slices.Clone(ranges), own: len(ranges)}
	err := t.begin(ctx)
	if err != nil {
		s.stuck.met(ranges, err, s.Connected(), false)
		return nil, s.blame(err)
	}
	for i := range t.batch {
		r := &t.batch[i]
		r.Batches, r.To, r.LeaderEpoch, r.Timestamp = nil, r.From, -1, time.Time{}
	}
	return t, nil
}

func (t *Tx) begin(ctx context.Context) (err error) {
	s := t.s
	if t.conn, err = s.session(ctx); err != nil {
		return err
	}
	if _, err := s.lookAtChanges(ctx, t.conn, t.batch, s.careful > 0 || s.stuck.hangs()); err != nil {
		s.rollback(t.conn)
		return wrap(record.StepPrepare, "", err)
	}
	if err := t.lock(ctx); err != nil || t.resolved != nil {
		return err
	}
	if t.batch.Streamed() {
		t.Rollback()
		s.settle()
		return ErrSpent
	}
	if err := failpoint.Hit(failpoint.Compared); err != nil {
		t.Rollback()
		return wrap(record.StepWrite, "", err)
	}
	return nil
}

// lock begins the transaction and compares the offset rows. Where it turns out that an earlier attempt was committed,
// the transaction is resolved and nothing is open.
func (t *Tx) lock(ctx context.Context) error {
	t.began = time.Now()
	start := t.began
	err := t.s.begin(ctx, t.conn, t.batch[:t.own])
	t.phases = Phases{Begin: since(&start)}
	if err == nil {
		t.open = true
		return nil
	}
	t.s.rollback(t.conn)
	t.s.endFrozen(ctx, t.conn, err)
	res, err := t.s.resolve(t.batch, err)
	if err == nil {
		t.resolved = &res
	}
	return err
}

// Write gives a range more records. What fails on the way is kept for Commit, which returns it or writes everything
// once more; until then the transaction takes what it is given and does nothing with it.
func (t *Tx) Write(ctx context.Context, rng int, b record.Batch) error {
	if t.resolved != nil {
		return nil
	}
	if t.failed == nil && (t.filled || t.live != nil && !t.live.takes(rng)) {
		return fmt.Errorf("range %d cannot be given more records: those before them are written", rng)
	}
	r := &t.batch[rng]
	if t.live == nil {
		r.Add(b)
		return t.failed
	}
	t.s.buf.fold(rng)
	t.s.buf.unmark(rng, b.Count())
	r.Stream()
	r.Add(b)
	if t.failed == nil {
		start := time.Now()
		t.fail(t.live.name(), t.live.add(rng))
		t.phases.Write += since(&start)
	}
	return t.failed
}

// WriteOf gives the transaction records of a partition that is none of its ranges. Its position does not move.
func (t *Tx) WriteOf(ctx context.Context, tp TopicPartition, b record.Batch) error {
	if t.filled || t.live != nil {
		return errors.New("the transaction cannot be given more records: those before them are written")
	}
	for i := range t.batch[t.own:] {
		if r := &t.batch[t.own+i]; r.TopicPartition == tp {
			r.Batches = append(r.Batches, b)
			return nil
		}
	}
	t.batch = append(t.batch, Range{TopicPartition: tp, Batches: []record.Batch{b}})
	return nil
}

// GoOn writes what was given so far, if that may be let go of, and returns which ranges may be given more (by their
// index): nil, none. What a range was given before is not needed any more once it is given more, so from then on the
// transaction can be committed, but not be made again.
//
// It returns nil where a record may be needed a second time: by another table, for a dead letter, by an upsert, or
// because Postgres has refused something lately. It does so too where the transaction is large enough, or has failed.
func (t *Tx) GoOn(ctx context.Context) (may func(rng int) bool) {
	if t.resolved != nil || t.failed != nil || t.filled || t.careful() || t.s.inDoubt != nil {
		return nil
	}
	if t.live == nil && !t.stream(ctx) {
		return nil
	}
	if t.failed != nil || !t.live.mayGoOn() {
		return nil
	}
	return t.live.takes
}

// stream writes what was given so far, and says whether a table can go on. That one comes last: what the others write
// has to be there until it is written.
func (t *Tx) stream(ctx context.Context) bool {
	if t.failed = t.ready(ctx, false); t.failed != nil || t.resolved != nil {
		return false
	}
	writers := t.s.writers(t.conn, t.batch, false)
	last := lastThat(writers, (*writer).forgets)
	if last < 0 {
		return false
	}
	start := time.Now()
	defer func() { t.phases.Write += since(&start) }()
	t.beginWriting()
	for i, w := range writers {
		if i != last && t.failed == nil {
			t.fail(w.name(), w.write(ctx))
		}
	}
	if t.failed != nil {
		return false
	}
	t.live = writers[last]
	t.fail(t.live.name(), t.live.startWith(ctx))
	return true
}

func lastThat[T any](all []T, is func(T) bool) int {
	for i := len(all) - 1; i >= 0; i-- {
		if is(all[i]) {
			return i
		}
	}
	return -1
}

// fail keeps the first error for Commit.
func (t *Tx) fail(table string, err error) {
	if t.failed == nil {
		t.failed = wrap(record.StepWrite, table, err)
	}
}

// ready makes sure that the tables of the records are known, as they stood a moment ago or (now) as they stand. Those
// that are not are described, or made, outside of the transaction, which is begun again after that.
func (t *Tx) ready(ctx context.Context, now bool) error {
	s := t.s
	if now && t.open {
		if _, err := s.lookAtChanges(ctx, t.conn, t.batch, true); err != nil {
			return wrap(record.StepPrepare, "", err)
		}
	}
	if t.open && !s.unprepared(t.batch) {
		return nil
	}
	t.Rollback()
	if err := s.prepareFor(ctx, t.conn, t.batch, now); err != nil {
		s.rollback(t.conn)
		return wrap(record.StepPrepare, "", err)
	}
	return t.lock(ctx)
}

// careful says whether every write is to be under a savepoint, so that a value that Postgres refuses is found and
// dead-lettered in this same transaction.
func (t *Tx) careful() bool {
	return t.live == nil && (t.s.careful > 0 || t.s.stuck.suspects(t.batch) || t.s.stuck.hangs())
}

// Flush writes everything that was given, so that statements of the same transaction see it (Conn). Records that
// Postgres refuses are dead letters by then. After it nothing can be given any more, and Commit does not try twice.
func (t *Tx) Flush(ctx context.Context) error {
	if t.resolved != nil || t.filled {
		return nil
	}
	_, t.failed = t.perform(ctx, false)
	t.shown = t.failed == nil
	return t.failed
}

// Conn is the connection of the transaction, for statements of the caller's in it. It must not end the transaction.
func (t *Tx) Conn() *pgx.Conn { return t.conn }

// Rollback ends a transaction that was not committed; nothing of it is left. After Commit it does nothing.
func (t *Tx) Rollback() {
	if t.live != nil {
		t.live.abort()
	}
	if t.open {
		t.s.rollback(t.conn)
	}
	t.open, t.filled, t.live, t.failed = false, false, nil, nil
}
