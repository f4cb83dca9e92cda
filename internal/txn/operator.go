package txn

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"sinker/internal/record"

	"github.com/dustin/go-humanize/english"
	"github.com/jackc/pgx/v5"
)

// Change is an operator's change of one partition's offset row.
type Change struct {
	TopicPartition
	Action string // set, adopt or reset: for the audit
	Offset int64  // the new position; -1 keeps the stored one
	Log    *LogID // the new identity; nil keeps the stored one
	// SkipRecords allows a position above the stored one: the records between are never written.
	SkipRecords bool
	// WriteAgain allows a position below the stored one: the records between are written a second
	// time.
	WriteAgain bool
	By, Note   string
}

// Changed is what a change did.
type Changed struct {
	From, To int64
	Fence    int64
	Owner    string // the partition's owner, which is fenced now
}

// ErrRefused is a change that would lose or double records, without the flag that allows it.
// Nothing was changed.
var ErrRefused = errors.New("refused")

// ErrNoRow says that the pipeline has no offset row of the partition. Nothing was changed.
var ErrNoRow = errors.New("no such row in sinker.offsets")

const lockForChange = `
SELECT cluster_id, topic_id, next_offset, fence, coalesce(owner, '')
FROM sinker.offsets WHERE pipeline = $1 AND topic = $2 AND partition = $3 FOR UPDATE`

const changeOffset = `
UPDATE sinker.offsets
SET next_offset = $4, start_offset = least(start_offset, $4), leader_epoch = -1, cluster_id = $5, topic_id = $6,
    fence = fence + 1, owner = NULL, stopped = NULL, command = NULL, waiting = false, updated_at = now(),
    open_from = NULL
WHERE pipeline = $1 AND topic = $2 AND partition = $3`

const auditChange = `
INSERT INTO sinker.audit (pipeline, topic, partition, action, from_offset, to_offset, old_log, new_log, fence,
    by_client, note)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

// ChangeOffset changes a partition's position or identity by hand, whether sinker is running or
// not. It raises the fence in the same transaction, so a running worker writes nothing from where
// it was and takes the partition again. The change and its row in sinker.audit are committed
// together.
func ChangeOffset(ctx context.Context, conn *pgx.Conn, pipeline string, c Change) (done Changed, err error) {
	err = inTransaction(ctx, conn, "", func(tx pgx.Tx) error {
		var old LogID
		err := tx.QueryRow(ctx, lockForChange, pipeline, c.Topic, c.Partition).Scan(&old.ClusterID, &old.TopicID,
			&done.From, &done.Fence, &done.Owner)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("%w for pipeline %s, topic %s, partition %d", ErrNoRow, pipeline, c.Topic, c.Partition)
		}
		if err != nil {
			return wrap(record.StepChange, "", err)
		}
		done.Fence++
		done.To = done.From
		if c.Offset >= 0 {
			done.To = c.Offset
		}
		if err := c.allowed(old, done.From, done.To); err != nil {
			return err
		}
		log := old
		if c.Log != nil {
			log = *c.Log
		}
		if _, err := tx.Exec(ctx, closeRanges, pipeline, []string{c.Topic}, []int32{c.Partition}); err != nil {
			return wrap(record.StepChange, "", err)
		}
		if _, err := tx.Exec(ctx, changeOffset, pipeline, c.Topic, c.Partition, done.To, log.ClusterID,
			log.TopicID); err != nil {
			return wrap(record.StepChange, "", err)
		}
		_, err = tx.Exec(ctx, auditChange, pipeline, c.Topic, c.Partition, c.Action, done.From, done.To, logText(old),
			logText(log), done.Fence, c.By, c.Note)
		return wrap(record.StepChange, "", err)
	})
	return done, err
}

// allowed refuses a change that would lose or double records, unless a flag allows it. A reset to
// another log than the position's own needs no flag: none of that log's records were written.
func (c *Change) allowed(old LogID, from, to int64) error {
	otherLog := c.Log != nil && c.Action == "reset" && !sameLog(old, *c.Log)
	switch {
	case to > from && c.WriteAgain:
		return fmt.Errorf("%w: --write-again is for moving a position back, but the position is %d, and %d is above it",
			ErrRefused, from, to)
	case to < from && c.SkipRecords:
		return fmt.Errorf("%w: --skip-records is for moving a position on, but the position is %d, and %d is below it",
			ErrRefused, from, to)
	case to != from && c.Action == "reset" && !otherLog:
		flag := map[bool]string{true: "--skip-records", false: "--write-again"}[to > from]
		return fmt.Errorf("%w: according to Kafka, %s is still the log that the position %d belongs to: it was not "+
			"deleted and made again. "+
			"Reading it again from %d %s. If that is what you want: sinker offsets set --topic %s --partition %d --offset %d %s",
			ErrRefused, c.Topic, from, to, effect(from, to), c.Topic, c.Partition, to, flag)
	case to > from && !c.SkipRecords && !otherLog:
		return fmt.Errorf("%w: the position is %d; moving it to %d %s. If that is what you want, add --skip-records",
			ErrRefused, from, to, effect(from, to))
	case to < from && !c.WriteAgain && !otherLog:
		return fmt.Errorf("%w: the position is %d; moving it to %d %s. If that is what you want (their rows were "+
			"deleted, or the sink upserts), "+
			"add --write-again", ErrRefused, from, to, effect(from, to))
	}
	return nil
}

// effect says what a move of the position within one log does to the records between.
func effect(from, to int64) string {
	if to > from {
		return fmt.Sprintf("means that up to %s never written", english.Plural(int(to-from), "record is", "records are"))
	}
	return fmt.Sprintf("means that up to %s written a second time",
		english.Plural(int(from-to), "record is", "records are"))
}

func logText(l LogID) string { return l.ClusterID + "/" + hex.EncodeToString(l.TopicID[:]) }

const touched = `
SELECT o.topic, o.partition
FROM sinker.offsets o
JOIN unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $7::boolean[]) AS c (topic, partition, fence,
    position, foreign_row)
	ON o.topic = c.topic AND o.partition = c.partition
WHERE o.pipeline = $1 AND (o.fence <> c.fence OR o.next_offset <> c.position OR coalesce(o.owner,
    '') <> $6 AND NOT c.foreign_row)`

// Touched returns the partitions whose offset rows are not as this store left them: an operator or
// another owner changed them, or the database went back. It is a plain read, and so only a hint to
// take the partition again.
func (s *Store) Touched(ctx context.Context, positions []Position) ([]TopicPartition, error) {
	conn, err := s.session(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	n := len(positions)
	topics, partitions, fences, offsets, foreign := make([]string, n), make([]int32, n), make([]int64, n),
		make([]int64, n), make([]bool, n)
	for i, p := range positions {
		topics[i], partitions[i], fences[i], offsets[i], foreign[i] = p.Topic, p.Partition, p.Fence, p.NextOffset, p.Foreign
	}
	rows, err := conn.Query(ctx, touched, s.cfg.Pipeline, topics, partitions, fences, offsets, s.cfg.Owner, foreign)
	if err != nil {
		return nil, wrap(record.StepLook, "", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[TopicPartition])
	return out, wrap(record.StepLook, "", err)
}
