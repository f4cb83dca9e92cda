package txn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sinker/internal/failpoint"
	"sinker/internal/mutant"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/twmb/franz-go/pkg/kgo"
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
	if err := s.prepareFor(ctx, conn, b); err != nil {
		s.rollback(conn)
		return Result{}, s.blame(wrap("prepare", "", err))
	}
	careful := s.careful > 0
	if careful || s.inDoubt != nil {
		more = nil // every record may be needed a second time
	}
	res, err := s.attempt(ctx, conn, b, careful, more)
	if isClass(err, Data) && !careful {
		s.careful = carefulBatches
		if !b.Streamed() {
			res, err = s.attempt(ctx, conn, b, true, nil)
		}
	}
	s.careful = max(0, s.careful-1)
	if isClass(err, Schema) {
		for _, t := range s.targets {
			t.forget()
		}
	}
	return res, s.blame(err)
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

// prepareFor makes sure that the tables the batch needs are known on this connection.
func (s *Store) prepareFor(ctx context.Context, conn *pgx.Conn, b Batch) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	for ti, t := range s.targets {
		if t.plan != nil {
			continue
		}
		sample := s.sample(b, ti)
		if len(sample) == 0 {
			continue
		}
		if err := t.prepare(ctx, s, conn, sample); err != nil {
			return wrap("prepare", t.sink.Name(), err)
		}
	}
	return nil
}

// sample is the batch's records of a target, of all its partitions.
func (s *Store) sample(b Batch, target int) (records []*kgo.Record) {
	for i := range b {
		if slices.Contains(s.route(b[i].Topic), target) {
			records = append(records, b[i].Records...)
		}
	}
	return records
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
	s.buf.count(b, &res)
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
	if !errors.As(err, &miss) || len(miss.Misses) != b.moves() {
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

// ErrSpent says that nothing of a batch was written, and that it can not be: its first records are gone. They are to be
// read again from where the position is.
var ErrSpent = errors.New("nothing was written, and the first records of the batch are not there any more")

// settle forgets what was only of use while the batch was in doubt.
func (s *Store) settle() { s.inDoubt = nil }

const lockForCompare = `
SELECT o.topic, o.partition, o.cluster_id, o.topic_id, o.next_offset, o.leader_epoch, o.fence, coalesce(o.owner, '')
FROM sinker.offsets o
JOIN unnest($2::text[], $3::int[]) AS c (topic, partition) ON o.topic = c.topic AND o.partition = c.partition
WHERE o.pipeline = $1
ORDER BY o.topic, o.partition
FOR UPDATE OF o`

// begin opens the transaction, locks the offset rows in order and compares them, all in one round trip. Nothing else is
// sent before the comparison has been looked at.
func (s *Store) begin(ctx context.Context, conn *pgx.Conn, b Batch) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	topics, partitions := rangeKeys(b)
	var q pgx.Batch
	q.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	q.Queue(s.settings(conn))
	q.Queue(mutant.Without(mutant.NoLock, lockForCompare, "FOR UPDATE OF o"), s.cfg.Pipeline, topics, partitions)
	res := conn.SendBatch(ctx, &q)
	misses, err := s.compare(res, b)
	if e := res.Close(); err == nil {
		err = e
	}
	if err != nil {
		return wrap("compare", "", err)
	}
	if len(misses) > 0 && !(s.inDoubt != nil && mutant.On(mutant.NoReread)) {
		return &MissError{Misses: misses}
	}
	return nil
}

func rangeKeys(b Batch) (topics []string, partitions []int32) {
	topics, partitions = make([]string, len(b)), make([]int32, len(b))
	for i := range b {
		topics[i], partitions[i] = b[i].Topic, b[i].Partition
	}
	return topics, partitions
}

// compare reads the locked rows beside the batch, which is sorted the same way, and classifies every difference.
func (s *Store) compare(res pgx.BatchResults, b Batch) ([]Miss, error) {
	for range 2 {
		if _, err := res.Exec(); err != nil {
			return nil, err
		}
	}
	rows, err := res.Query()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	stored := make(map[TopicPartition]Miss, len(b))
	for rows.Next() {
		var m Miss
		if err := rows.Scan(&m.Topic, &m.Partition, &m.Log.ClusterID, &m.Log.TopicID, &m.Stored, &m.LeaderEpoch, &m.Fence, &m.Owner); err != nil {
			return nil, err
		}
		stored[m.TopicPartition] = m
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	var misses []Miss
	for i := range b {
		m, ok := stored[b[i].TopicPartition]
		if !ok {
			misses = append(misses, Miss{TopicPartition: b[i].TopicPartition, Kind: Gone})
		} else if kind, miss := classifyRow(&b[i], &m, s.cfg.Owner); miss {
			m.Kind = kind
			misses = append(misses, m)
		}
	}
	return misses, nil
}

// classifyRow holds a range against its locked offset row. The order matters: another owner or another log may stand
// at any position, also at our To. The owner is asked beside the fence: a failover that loses a take lets the next one
// raise the fence to the same number (the model's mutant FENCE_ALONE).
func classifyRow(r *Range, row *Miss, owner string) (kind MissKind, miss bool) {
	switch {
	case !sameLog(row.Log, r.Log):
		return OtherLog, true
	case mutant.On(mutant.AlreadyFirst) && row.Stored == r.To:
		return Already, true
	case (row.Fence != r.Fence || row.Owner != owner && !mutant.On(mutant.FenceAlone)) && !mutant.On(mutant.NoFence):
		return Fenced, true
	case row.Stored == r.From || row.Stored < r.From && mutant.On(mutant.NoRewind):
		return 0, false
	case row.Stored == r.To:
		return Already, true
	case row.Stored < r.From:
		return WentBack, true
	}
	return Ahead, true
}

// moveOffsets moves all positions of the batch, writes the ledger, and counts on the server that it moved every one of them: a smaller
// count is a division by zero, which fails the transaction before its COMMIT, sent along with it, is looked at.
const moveOffsets = `
WITH moved AS (
    UPDATE sinker.offsets o
    SET next_offset = m.upto, leader_epoch = CASE WHEN m.epoch >= 0 THEN m.epoch ELSE o.leader_epoch END,
        consumed = o.consumed + m.written + m.filtered + m.dead,
        written = o.written + m.written, filtered = o.filtered + m.filtered, dead = o.dead + m.dead,
        last_timestamp = coalesce(m.at, o.last_timestamp), updated_at = now()
    FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::int[], $8::timestamptz[], $9::bigint[], $10::bigint[], $11::bigint[])
         AS m (topic, partition, start, upto, fence, epoch, at, written, filtered, dead)
    WHERE o.pipeline = $1 AND o.topic = m.topic AND o.partition = m.partition
      AND o.next_offset = m.start AND o.fence = m.fence AND coalesce(o.owner, '') = $16
    RETURNING 1),
ledger AS (
    INSERT INTO sinker.batches (pipeline, topic, partition, from_offset, to_offset, records, written, filtered, dead, bytes, checksum, config_hash, owner, fence)
    SELECT $1, topic, partition, start, upto, written + filtered + dead, written, filtered, dead, bytes, checksum, $15, $16, fence
    FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $13::bigint[], $14::bigint[])
         AS l (topic, partition, start, upto, fence, written, filtered, dead, bytes, checksum))
SELECT 1 / (CASE WHEN count(*) = $12 THEN 1 ELSE 0 END) FROM moved`

// finish moves the offset rows and commits, in one round trip and on a context of its own: a shutdown must not cancel
// a COMMIT, because pgx answers the end of a context with a CancelRequest, and a cancelled COMMIT may be committed.
func (s *Store) finish(ctx context.Context, conn *pgx.Conn, b Batch, res *Result) error {
	ctx, cancel := s.bounded(context.WithoutCancel(ctx))
	defer cancel()
	var q pgx.Batch
	move := mutant.Without(mutant.UncheckedMove, moveOffsets, "AND o.next_offset = m.start AND o.fence = m.fence AND coalesce(o.owner, '') = $16")
	q.Queue(mutant.Without(mutant.UncountedMove, move, "ELSE 0"), append(s.moveArgs(b), s.ledgerArgs(b)...)...)
	q.Queue("COMMIT")
	batch := conn.SendBatch(ctx, &q)
	_, err := batch.Exec()
	var tag pgconn.CommandTag
	if err == nil {
		tag, err = batch.Exec()
	}
	if e := batch.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = failpoint.Hit(failpoint.Committed) // an error here plays a lost reply
	}
	if err == nil && tag.String() != "COMMIT" {
		err = fmt.Errorf("Postgres answered COMMIT with %s", tag)
	}
	if err == nil {
		return nil
	}
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || conn.IsClosed() {
		s.inDoubt = res
		if mutant.On(mutant.UnknownIsCommitted) {
			return nil
		}
	}
	if pe != nil && pe.Code == "22012" {
		err = fmt.Errorf("the move of the offset rows did not match all of them: does a trigger or a row-level policy stand on sinker.offsets?")
		return &Error{Class: Schema, Op: "commit", Err: err}
	}
	return wrap("commit", "", err)
}

func (s *Store) moveArgs(b Batch) []any {
	n := b.moves()
	topics, partitions := make([]string, 0, n), make([]int32, 0, n)
	from, to, fence, epoch, at := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n), make([]int32, 0, n), make([]*time.Time, 0, n)
	written, filtered, dead := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	for i := range b {
		r, c := &b[i], s.buf.tally[i]
		if r.Empty() {
			continue
		}
		topics, partitions = append(topics, r.Topic), append(partitions, r.Partition)
		from, to, fence, epoch = append(from, r.From), append(to, r.To), append(fence, r.Fence), append(epoch, r.LeaderEpoch)
		written, filtered, dead = append(written, c.written), append(filtered, c.filtered), append(dead, c.dead)
		if r.Timestamp.IsZero() {
			at = append(at, nil)
		} else {
			at = append(at, &r.Timestamp)
		}
	}
	return []any{s.cfg.Pipeline, topics, partitions, from, to, fence, epoch, at, written, filtered, dead, int64(n)}
}
