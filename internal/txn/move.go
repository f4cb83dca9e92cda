package txn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sinker/internal/failpoint"
	"sinker/internal/record"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// moveOffsets moves all positions of the batch, lets the open range of the ledger grow (or begins a new one), and
// counts on the server that it moved every one of them: a smaller count is a division by zero, which fails the
// transaction before its COMMIT, sent along with it, is looked at.
const moveOffsets = `
WITH moved AS (
    UPDATE sinker.offsets o
    SET next_offset = m.upto, leader_epoch = CASE WHEN m.epoch >= 0 THEN m.epoch ELSE o.leader_epoch END,
        consumed = o.consumed + m.written + m.filtered + m.dead,
        written = o.written + m.written, filtered = o.filtered + m.filtered, dead = o.dead + m.dead,
        last_timestamp = coalesce(m.at, o.last_timestamp), updated_at = now(),
        open_to = m.upto, open_at = now(), open_checksum = m.checksum,
        open_written = m.written + CASE WHEN m.fresh THEN 0 ELSE o.open_written END,
        open_filtered = m.filtered + CASE WHEN m.fresh THEN 0 ELSE o.open_filtered END,
        open_dead = m.dead + CASE WHEN m.fresh THEN 0 ELSE o.open_dead END,
        suppressed = o.suppressed + m.suppressed,
        open_suppressed = m.suppressed + CASE WHEN m.fresh THEN 0 ELSE coalesce(o.open_suppressed, 0) END,
        open_bytes = m.bytes + CASE WHEN m.fresh THEN 0 ELSE o.open_bytes END,
        open_from = CASE WHEN m.fresh THEN m.start ELSE o.open_from END,
        open_since = CASE WHEN m.fresh THEN now() ELSE o.open_since END,
        open_fence = m.fence, open_hash = $15, open_owner = $16
    FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::int[], $8::timestamptz[],
        $9::bigint[], $10::bigint[], $11::bigint[],
                $13::bigint[], $14::bigint[], $17::boolean[], $18::bigint[], $19::text[]) WITH ORDINALITY
         AS m (topic, partition, start, upto, fence, epoch, at, written, filtered, dead, bytes, checksum, fresh,
         suppressed, place, n)
    WHERE o.pipeline = $1 AND o.topic = m.topic AND o.partition = m.partition
      AND o.ctid = ANY ($19::text[]::tid[]) AND o.next_offset = m.start AND o.fence = m.fence
      AND coalesce(o.owner, '') = $16
    RETURNING m.n, o.ctid::text AS place)
SELECT 1 / (CASE WHEN count(*) = $12 THEN 1 ELSE 0 END), array_agg(n), array_agg(place) FROM moved`

// ending is what a transaction ends with, sent together: the looks at the columns of its tables, the move of the offset
// rows, and COMMIT. And what was answered.
type ending struct {
	statements []statement
	looks      int              // of the statements, the first ones
	move       int              // which of them moves; -1: none does
	keys       []TopicPartition // that it moves

	done   int               // statements that were good
	tag    pgconn.CommandTag // of COMMIT
	n      []int64           // where the rows are that the move has written: that of keys[n[i]-1]
	places []string          // … is at places[i]
}

type statement struct {
	sql  string
	args []any
}

func (e *ending) add(sql string, args ...any) {
	e.statements = append(e.statements, statement{sql, args})
}

// newEnding makes what ends the transaction of a batch that was counted. plain: its tables must still be so.
func (s *Store) newEnding(b Batch, plain bool) *ending {
	e, triggers := &ending{move: -1}, false
	// The server compares the columns of the tables that were written. They are locked by now, so no ALTER comes between
	// this and the COMMIT. Where they differ, the server does nothing more of what it was sent.
	for _, t := range s.targets {
		if !slices.ContainsFunc(s.buf.tables, func(r TableResult) bool { return r.Table == t.sink.Name() }) {
			continue
		}
		triggers = triggers || t.triggers
		if plain {
			e.add(stillPlain, t.sink.Schema, t.sink.Table, t.marks.columns, t.oid)
		} else {
			e.add(sameColumns, t.sink.Schema, t.sink.Table, t.marks.columns)
		}
	}
	if e.looks = len(e.statements); b.Moves() > 0 {
		s.addMove(e, b)
		if triggers { // deferred ones plan at COMMIT
			e.add("SELECT " + s.planner.any)
		}
	}
	e.add("COMMIT")
	return e
}

// addMove adds the move of the positions.
func (s *Store) addMove(e *ending, b Batch) {
	if topics, partitions := s.endingRanges(b); len(topics) > 0 {
		e.add(closeRanges, s.cfg.Pipeline, topics, partitions)
	}
	e.add("SELECT " + s.planner.only)
	var places []string
	for i := range b {
		if !b[i].Empty() {
			e.keys, places = append(e.keys, b[i].TopicPartition), append(places, s.places[b[i].TopicPartition])
		}
	}
	e.move = len(e.statements)
	e.add(moveOffsets, append(append(s.moveArgs(b), s.ledgerArgs(b)...), places)...)
}

// finish moves the offset rows and commits, in one round trip and on a context of its own: a shutdown must not cancel
// a COMMIT, because pgx answers the end of a context with a CancelRequest, and a cancelled COMMIT may be committed.
func (s *Store) finish(ctx context.Context, conn *pgx.Conn, b Batch, res *Result) error {
	ctx, cancel := s.bounded(context.WithoutCancel(ctx))
	defer cancel()
	e := s.newEnding(b, false)
	return s.ended(conn, e, e.send(ctx, conn), res)
}

// send sends everything, and returns the error of the first statement that failed.
func (e *ending) send(ctx context.Context, conn *pgx.Conn) (err error) {
	var q pgx.Batch
	for _, st := range e.statements {
		q.Queue(st.sql, st.args...)
	}
	batch := conn.SendBatch(ctx, &q)
	for ; e.done < q.Len() && err == nil; e.done++ {
		if e.done == e.move {
			var checked *int64
			err = batch.QueryRow().Scan(&checked, &e.n, &e.places)
		} else {
			e.tag, err = batch.Exec()
		}
	}
	if err != nil {
		e.done--
	}
	if closing := batch.Close(); err == nil {
		err = closing
	}
	return err
}

// ended says what the answers to the ending mean.
func (s *Store) ended(conn *pgx.Conn, e *ending, err error, res *Result) error {
	if err == nil {
		err = failpoint.Hit(failpoint.Committed) // an error here plays a lost reply
	}
	if err == nil && e.tag.String() != "COMMIT" {
		err = fmt.Errorf("Postgres answered COMMIT with %s", e.tag)
	}
	if err == nil {
		for i, n := range e.n {
			s.places[e.keys[n-1]] = e.places[i]
		}
		return nil
	}
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || conn.IsClosed() {
		s.inDoubt = res
	}
	if pe != nil && pe.Code == pgerrcode.DivisionByZero && e.done < e.looks {
		return s.differ()
	}
	if pe != nil && pe.Code == pgerrcode.DivisionByZero && e.done == e.move {
		err = fmt.Errorf("the move of the offset rows did not match all of them: does a trigger or a row-level policy " +
			"stand on sinker.offsets?")
		return &Error{Class: Schema, Step: record.StepCommit, Err: err}
	}
	return wrap(record.StepCommit, "", err)
}

// differ notes that a table of the batch is another one than its rows were encoded for.
func (s *Store) differ() error {
	for _, t := range s.targets {
		t.looked = time.Time{} // all of them are looked at before the next attempt
	}
	return errChanged
}

func (s *Store) moveArgs(b Batch) []any {
	n := b.Moves()
	topics, partitions := make([]string, 0, n), make([]int32, 0, n)
	from, to, fence, epoch, at := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n), make([]int32, 0, n),
		make([]*time.Time, 0, n)
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
			at = append(at, storableTime(r.Timestamp))
		}
	}
	return []any{s.cfg.Pipeline, topics, partitions, from, to, fence, epoch, at, written, filtered, dead, int64(n)}
}
