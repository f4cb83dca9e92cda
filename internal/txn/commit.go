package txn

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"sinker/internal/failpoint"
	"sinker/internal/record"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// carefulBatches is for how many batches every write stays under a savepoint after a value was met that only Postgres
// refuses: such values come in crowds, and each would otherwise cost its batch a second transaction.
const carefulBatches = 100

// Commit writes what is not written yet, moves the positions last, and commits. If Postgres refuses something and every
// record is still there, the transaction is made again, with the compare at its beginning: for the tables as they are
// now, or so that the records that are refused are found and become dead letters.
//
// With a nil error everything is committed, now or (Result.Resolved) by an earlier attempt whose reply was lost. With
// a *StopError nothing was written, with an *Error neither, except that after a lost reply to COMMIT it is not known:
// begin again with the same ranges, and the compare tells. Ranges may be left out then (they were revoked), but not
// changed.
//
// If we die at any point before the server has the COMMIT, nothing of the transaction is there and no position has
// moved; after it, all of it is there.
func (t *Tx) Commit(ctx context.Context) (Result, error) {
	if t.resolved != nil {
		return *t.resolved, nil
	}
	return t.perform(ctx, true)
}

// perform writes, and commits if it is to; nothing is open after an error.
func (t *Tx) perform(ctx context.Context, commit bool) (Result, error) {
	res, err := t.performAsIs(ctx, commit)
	if errors.Is(err, errChanged) && t.again() {
		res, err = t.performAsIs(ctx, commit)
	}
	if errors.Is(err, errChanged) {
		if err = (&Error{Class: Retry, Step: record.StepWrite, Err: err}); t.batch.Streamed() {
			err = ErrSpent
		}
	}
	if isClass(err, Schema) {
		t.s.forgetTargets()
	}
	return res, t.s.blame(err)
}

// again says whether the transaction can be made once more.
func (t *Tx) again() bool { return !t.batch.Streamed() && !t.shown }

// performAsIs performs with the tables as they stand now. It returns errChanged, with nothing written, when one of them
// was changed meanwhile.
func (t *Tx) performAsIs(ctx context.Context, commit bool) (Result, error) {
	s := t.s
	careful := t.careful()
	if t.live == nil && t.failed == nil && !t.filled {
		if err := t.ready(ctx, careful); err != nil {
			t.Rollback()
			return Result{}, err
		}
	}
	res, err := t.attempt(ctx, careful, commit)
	if refusedWrite(err) && !t.conn.IsClosed() {
		if changed, _ := s.lookAtChanges(ctx, t.conn, t.batch, true); changed {
			err = errChanged
		}
	}
	if !careful && asksForCare(err) {
		s.careful = carefulBatches
		if t.again() {
			res, err = t.attemptCarefully(ctx, commit)
			careful = true
		}
	}
	if errors.Is(err, errChanged) {
		return Result{}, err
	}
	s.careful = max(0, s.careful-1)
	s.stuck.met(t.batch, err, !t.conn.IsClosed(), s.cancelled(err, time.Since(t.began)))
	var e *Error
	if careful && errors.As(err, &e) && e.Class == Data {
		e.Class = Schema // no record is to blame: each would have been found
	}
	return res, err
}

// refusedWrite says whether Postgres has refused something of a write, for whatever reason: bytes that were encoded for
// another table are a protocol violation as easily as a wrong value.
func refusedWrite(err error) bool {
	var e *Error
	var pe *pgconn.PgError
	return errors.As(err, &e) && e.Step == record.StepWrite && errors.As(err, &pe)
}

// asksForCare says whether an attempt failed in a way that a careful one may not: a write that was refused, or a
// deferred trigger's at COMMIT, which speaks up in time there.
func asksForCare(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Step != record.StepWrite && e.Step != record.StepCommit {
		return false
	}
	return e.Class == Data || e.Class == Schema || e.Class == Timeout && e.Step == record.StepCommit
}

// attemptCarefully makes the attempt again, with the tables as they are now: they may have been altered.
func (t *Tx) attemptCarefully(ctx context.Context, commit bool) (Result, error) {
	t.s.forgetTargets()
	if err := t.ready(ctx, false); err != nil {
		t.Rollback()
		return Result{}, err
	}
	return t.attempt(ctx, true, commit)
}

func (s *Store) forgetTargets() {
	for _, t := range s.targets {
		t.forget()
	}
}

// blame says which topics an error about one table holds up.
func (s *Store) blame(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Table != "" {
		for _, t := range s.targets {
			if t.sink.Name() == e.Table {
				e.Topics = t.sink.Wants
			}
		}
	}
	return err
}

func isClass(err error, c Class) bool {
	var e *Error
	return errors.As(err, &e) && e.Class == c
}

// unprepared says whether a table that the batch has records for is not known on this connection.
func (s *Store) unprepared(b Batch) bool {
	return slices.ContainsFunc(b, func(r Range) bool {
		return r.Held() > 0 && slices.ContainsFunc(s.of(r.Topic).tables,
			func(ti int) bool { return s.targets[ti].plan == nil })
	})
}

// prepareFor makes sure that the tables the batch needs are known on this connection, as they stood a moment ago, or
// as they stand now.
func (s *Store) prepareFor(ctx context.Context, conn *pgx.Conn, b Batch, now bool) error {
	if _, err := s.lookAtChanges(ctx, conn, b, now); err != nil {
		return err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	for ti, t := range s.targets {
		if t.plan != nil {
			continue
		}
		sample := s.sample(b, ti)
		if sample == nil {
			continue
		}
		if err := t.prepare(ctx, s, conn, sample); err != nil {
			return wrap(record.StepPrepare, t.sink.Name(), err)
		}
	}
	return nil
}

// sample is the batch's records of a target, of all its partitions; nil if there are none.
func (s *Store) sample(b Batch, target int) iter.Seq[*record.Record] {
	takes := func(r *Range) bool { return r.Held() > 0 && s.takes(r.Topic, target) }
	if !slices.ContainsFunc(b, func(r Range) bool { return takes(&r) }) {
		return nil
	}
	return func(yield func(*record.Record) bool) {
		on := true
		for i := 0; on && i < len(b); i++ {
			if takes(&b[i]) {
				b[i].Walk(func(r *record.Record) bool {
					on = yield(r)
					return on
				})
			}
		}
	}
}

// attempt writes what is not written yet and, if it is to, commits.
func (t *Tx) attempt(ctx context.Context, careful, commit bool) (Result, error) {
	s := t.s
	if t.resolved != nil {
		return *t.resolved, nil
	}
	var res Result // may be kept by the store, for when it is in doubt
	err := t.failed
	switch {
	case err != nil:
	case commit && !careful && !t.filled && t.live == nil && t.isSmall():
		err = t.commitSmall(ctx, &res)
	case commit:
		err = t.commitLarge(ctx, careful, &res)
	default:
		err = t.fill(ctx, careful)
	}
	if err != nil {
		t.Rollback()
		s.endFrozen(ctx, t.conn, err)
		return Result{}, err
	}
	if !commit {
		return Result{}, nil
	}
	t.open = false
	s.settle()
	s.warnSuppressed(&res)
	s.tellOfFields(t.batch, res.Unasked)
	s.prune(ctx, t.conn)
	return res, err
}

// commitLarge writes what is not written yet, and commits.
func (t *Tx) commitLarge(ctx context.Context, careful bool, res *Result) error {
	if err := t.fill(ctx, careful); err != nil {
		return err
	}
	t.s.count(t.batch, res)
	res.Unasked, res.Phases = t.s.unasked(), t.phases
	start := time.Now()
	err := t.s.finish(ctx, t.conn, t.batch, res)
	res.Phases.Commit = since(&start)
	return err
}

// fill writes everything but the move of the positions, if that was not done: the rows and, if they are not too many,
// the dead letters.
func (t *Tx) fill(ctx context.Context, careful bool) error {
	if t.filled {
		return nil
	}
	s := t.s
	start := time.Now()
	err := t.writeRows(ctx, careful)
	t.phases.Write += since(&start)
	if err != nil {
		return err
	}
	if err := t.lastWords(ctx); err != nil {
		return err
	}
	err = s.writeLetters(ctx, t.conn, t.batch)
	t.phases.Dead = since(&start)
	if err == nil {
		err = wrap(record.StepWrite, "", failpoint.Hit(failpoint.BeforeCommit))
	}
	t.filled = err == nil
	return err
}

// lastWords asks whether records may become dead letters: not because of a table that has changed since, and not where
// their partition is to stop.
func (t *Tx) lastWords(ctx context.Context) error {
	if err := t.s.giveUp(ctx, t.conn, t.batch); err != nil {
		return err
	}
	return t.s.judge(t.batch)
}

func since(t *time.Time) time.Duration {
	now := time.Now()
	d := now.Sub(*t)
	*t = now
	return d
}

// resolve turns "every offset row is at our To already" into success: the earlier attempt was committed.
func (s *Store) resolve(b Batch, err error) (Result, error) {
	var miss *MissError
	if !errors.As(err, &miss) || len(miss.Misses) != b.Moves() {
		return Result{}, err
	}
	for _, m := range miss.Misses {
		if m.Kind != Already {
			return Result{}, err
		}
	}
	res := Result{}
	if s.inDoubt != nil {
		res = *s.inDoubt
	}
	res.Resolved = true
	s.settle()
	return res, nil
}

// settle forgets what was only of use while the batch was in doubt.
func (s *Store) settle() { s.inDoubt = nil }
