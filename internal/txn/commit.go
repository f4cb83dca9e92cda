package txn

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"sinker/internal/failpoint"
	"sinker/internal/mutant"
	"sinker/internal/record"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// carefulBatches is for how many batches every write stays under a savepoint after a value was met that only Postgres
// refuses: such values come in crowds, and each would otherwise cost its batch a second transaction.
const carefulBatches = 100

// Commit writes the batch in one transaction: the compare of all offset rows under their locks first, then the rows
// and the dead letters, the move of the offset rows last.
//
// With a nil error the batch is committed, now or (Result.Resolved) by an earlier attempt whose reply was lost.
// With a *MissError or a *StopError nothing of it was written. With an *Error nothing was written either, except that
// after a lost reply to COMMIT it is not known: call Commit again with the same ranges and the compare will tell.
// Ranges may be left out of that next call (they were revoked), but not changed.
//
// While the rows are copied, more (which may be nil) is asked for records that follow: a transaction then holds more than
// memory has to. After an error such a batch has no records to be written again (Batch.Streamed). The next call compares
// all the same, and answers ErrSpent where nothing was written.
//
// If we die at any point before the server has the COMMIT, nothing of the batch is there and the position has not
// moved; after it, both are.
func (s *Store) Commit(ctx context.Context, b Batch, more More) (Result, error) {
	conn, err := s.session(ctx)
	if err != nil {
		return Result{}, err
	}
	res, err := s.commitAsIs(ctx, conn, b, more)
	if errors.Is(err, errChanged) && !b.Streamed() {
		res, err = s.commitAsIs(ctx, conn, b, nil)
	}
	if errors.Is(err, errChanged) {
		if err = (&Error{Class: Retry, Op: "write", Err: err}); b.Streamed() {
			err = ErrSpent
		}
	}
	if isClass(err, Schema) {
		for _, t := range s.targets {
			t.forget()
		}
	}
	return res, s.blame(err)
}

// commitAsIs commits the batch into the tables as they stand now. It returns errChanged, with nothing written, when one of
// them was changed meanwhile.
func (s *Store) commitAsIs(ctx context.Context, conn *pgx.Conn, b Batch, more More) (Result, error) {
	began := time.Now()
	careful := s.careful > 0 || s.stuck.suspects(b) || s.stuck.hangs()
	if err := s.prepareFor(ctx, conn, b, careful); err != nil {
		s.rollback(conn)
		return Result{}, wrap("prepare", "", err)
	}
	if careful || s.inDoubt != nil {
		more = nil // every record may be needed a second time
	}
	s.forgetFields()
	res, err := s.attempt(ctx, conn, b, careful, more)
	if refusedWrite(err) && !conn.IsClosed() {
		if changed, _ := s.lookAtChanges(ctx, conn, b, true); changed {
			err = errChanged
		}
	}
	if !careful && asksForCare(err) {
		s.careful = carefulBatches
		if !b.Streamed() {
			res, err = s.again(ctx, conn, b)
			careful = true
		}
	}
	if errors.Is(err, errChanged) {
		return Result{}, err
	}
	s.careful = max(0, s.careful-1)
	s.stuck.met(b, err, !conn.IsClosed(), s.cancelled(err, time.Since(began)))
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
	return errors.As(err, &e) && e.Op == "write" && errors.As(err, &pe)
}

// asksForCare says whether an attempt failed in a way that a careful one may not: a write that was refused, or a deferred
// trigger's at COMMIT, which speaks up in time there.
func asksForCare(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Op != "write" && e.Op != "commit" {
		return false
	}
	return e.Class == Data || e.Class == Schema || e.Class == Timeout && e.Op == "commit"
}

// again makes the attempt again carefully, with the tables as they are now: they may have been altered.
func (s *Store) again(ctx context.Context, conn *pgx.Conn, b Batch) (Result, error) {
	for _, t := range s.targets {
		t.forget()
	}
	if err := s.prepareFor(ctx, conn, b, false); err != nil {
		s.rollback(conn)
		return Result{}, wrap("prepare", "", err)
	}
	s.forgetFields()
	return s.attempt(ctx, conn, b, true, nil)
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

// prepareFor makes sure that the tables the batch needs are known on this connection, as they stood a moment ago, or as they
// stand now.
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
			return wrap("prepare", t.sink.Name(), err)
		}
	}
	return nil
}

// sample is the batch's records of a target, of all its partitions; nil if there are none.
func (s *Store) sample(b Batch, target int) iter.Seq[*record.Record] {
	takes := func(r *Range) bool { return len(r.Records) > 0 && slices.Contains(s.route(r.Topic), target) }
	if !slices.ContainsFunc(b, func(r Range) bool { return takes(&r) }) {
		return nil
	}
	return func(yield func(*record.Record) bool) {
		var w record.Wrapper
		for i := range b {
			if !takes(&b[i]) {
				continue
			}
			for _, r := range b[i].Records {
				if !yield(w.Of(r)) {
					return
				}
			}
		}
	}
}

// attempt runs the transaction once. careful puts every write under a savepoint, so that a value Postgres refuses is
// found and dead-lettered in this same transaction.
func (s *Store) attempt(ctx context.Context, conn *pgx.Conn, b Batch, careful bool, more More) (Result, error) {
	var res Result
	start := time.Now()
	err := s.begin(ctx, conn, b)
	res.Phases.Begin = since(&start)
	if err == nil {
		err = s.fill(ctx, conn, b, careful, more, &res.Phases)
	}
	if err != nil {
		s.rollback(conn)
		s.endFrozen(ctx, conn, err)
		return s.resolve(b, err)
	}
	s.count(b, &res)
	res.Unasked = s.unasked()
	start = time.Now()
	err = s.finish(ctx, conn, b, &res)
	res.Phases.Commit = since(&start)
	if err != nil {
		s.rollback(conn)
		return Result{}, err
	}
	if mutant.On(mutant.LettersApart) {
		err = s.writeLetters(ctx, conn, b)
	}
	s.settle()
	s.warnSuppressed(&res)
	s.tellOfFields(b, res.Unasked)
	s.prune(ctx, conn)
	return res, err
}

// fill writes everything but the move of the positions: the rows and, if they are not too many, the dead letters.
func (s *Store) fill(ctx context.Context, conn *pgx.Conn, b Batch, careful bool, more More, took *Phases) error {
	if b.Streamed() && !mutant.On(mutant.SpentIsWritten) {
		s.settle()
		return ErrSpent
	}
	if err := failpoint.Hit(failpoint.Compared); err != nil {
		return wrap("write", "", err)
	}
	start := time.Now()
	s.buf.reset(b)
	err := s.write(ctx, conn, b, careful, more)
	took.Write = since(&start)
	if err != nil {
		return err
	}
	if err := s.giveUp(ctx, conn, b); err != nil {
		return err
	}
	if err := s.judge(b); err != nil {
		return err
	}
	if !mutant.On(mutant.LettersApart) {
		err = s.writeLetters(ctx, conn, b)
		took.Dead = since(&start)
	}
	if err == nil && mutant.On(mutant.OffsetsApart) {
		_, err = conn.Exec(ctx, "COMMIT; BEGIN")
	}
	if err == nil {
		err = wrap("write", "", failpoint.Hit(failpoint.BeforeCommit))
	}
	return err
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
