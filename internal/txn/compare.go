package txn

import (
	"context"

	"sinker/internal/record"

	"github.com/jackc/pgx/v5"
)

// lockRows are the statements that lock the offset rows and read them: by where each row was when this store last
// wrote or read it ($6), or by the keys. What is found by its place is held to the key as well. See places.
const (
	readLocked = `
SELECT o.topic, o.partition, o.cluster_id, o.topic_id, o.next_offset, o.leader_epoch, o.fence, coalesce(o.owner, ''),
       o.open_from IS NOT NULL,
       (o.open_from IS NOT NULL AND o.open_to = o.next_offset AND o.open_fence = o.fence AND o.open_owner = o.owner
            AND o.open_written + o.open_filtered + o.open_dead < $4 AND o.open_since > now() - $5::interval) IS TRUE,
       coalesce(o.open_checksum, 0), o.ctid::text
FROM sinker.offsets o
JOIN unnest($2::text[], $3::int[]) AS c (topic, partition) ON o.topic = c.topic AND o.partition = c.partition
WHERE o.pipeline = $1`
	lockByKey   = readLocked + lockInOrder
	lockByPlace = readLocked + ` AND o.ctid = ANY ($6::text[]::tid[])` + lockInOrder
	lockInOrder = `
ORDER BY o.topic, o.partition
FOR UPDATE OF o`
)

// begin opens the transaction, locks the offset rows in order and compares them, all in one round trip. Nothing else is
// sent before the comparison has been looked at.
func (s *Store) begin(ctx context.Context, conn *pgx.Conn, b Batch) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if len(b) == 0 { // nothing is to be moved
		var q pgx.Batch
		q.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
		q.Queue(s.settings(conn))
		return wrap(record.StepBegin, "", conn.SendBatch(ctx, &q).Close())
	}
	misses, moved, err := s.lock(ctx, conn, b, s.placesOf(conn, b))
	if err == nil && moved { // somebody else has written a row since, or the table was rewritten: only the keys tell
		s.places.forget(b)
		if _, err = conn.Exec(ctx, "ROLLBACK"); err == nil {
			misses, _, err = s.lock(ctx, conn, b, nil)
		}
	}
	if err != nil {
		return wrap(record.StepBegin, "", err)
	}
	if len(misses) > 0 {
		return &MissError{Misses: misses}
	}
	return nil
}

// lock begins the transaction, and locks and compares the rows: at their places, or by their keys where places is
// nil. moved says that some row is not at its place any more; then nothing has been compared.
func (s *Store) lock(ctx context.Context, conn *pgx.Conn, b Batch, places []string) (misses []Miss, moved bool,
	err error) {
	topics, partitions := rangeKeys(b)
	args := []any{s.cfg.Pipeline, topics, partitions, rangeRecords, s.rangeAge()}
	var q pgx.Batch
	q.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	if places == nil {
		q.Queue(s.settings(conn))
		q.Queue(lockByKey, args...)
	} else {
		q.Queue(s.settings(conn) + ", " + s.planner.only)
		for _, page := range fullPages(places) {
			q.Queue(prunePage, page+",0)", page+",65535)")
		}
		q.Queue(lockByPlace, append(args, places)...)
	}
	before := q.Len() - 1
	if places != nil {
		q.Queue("SELECT " + s.planner.any)
	}
	res := conn.SendBatch(ctx, &q)
	defer func() {
		if e := res.Close(); err == nil {
			err = e
		}
	}()
	for range before {
		if _, err := res.Exec(); err != nil {
			return nil, false, err
		}
	}
	stored, err := readLockedRows(res)
	if err != nil || places != nil && len(stored) < len(b) {
		return nil, err == nil, err
	}
	return s.compare(stored, b), false, nil
}

func rangeKeys(b Batch) (topics []string, partitions []int32) {
	topics, partitions = make([]string, len(b)), make([]int32, len(b))
	for i := range b {
		topics[i], partitions[i] = b[i].Topic, b[i].Partition
	}
	return topics, partitions
}

func readLockedRows(res pgx.BatchResults) (map[TopicPartition]lockedRow, error) {
	rows, err := res.Query()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	stored := map[TopicPartition]lockedRow{}
	for rows.Next() {
		var m lockedRow
		var sum int64
		if err := rows.Scan(&m.Topic, &m.Partition, &m.Log.ClusterID, &m.Log.TopicID, &m.Stored, &m.LeaderEpoch, &m.Fence,
			&m.Owner,
			&m.open.exists, &m.open.goesOn, &sum, &m.place); err != nil {
			return nil, err
		}
		m.open.sum = uint64(sum)
		stored[m.TopicPartition] = m
	}
	return stored, rows.Err()
}

// compare classifies every difference between the batch and the locked rows.
func (s *Store) compare(stored map[TopicPartition]lockedRow, b Batch) (misses []Miss) {
	s.open = s.open[:0]
	for i := range b {
		m, ok := stored[b[i].TopicPartition]
		s.open = append(s.open, m.open)
		if !ok {
			misses = append(misses, Miss{TopicPartition: b[i].TopicPartition, Kind: Gone})
			continue
		}
		s.places[b[i].TopicPartition] = m.place
		if kind, miss := classifyRow(&b[i], &m.Miss, s.cfg.Owner); miss {
			m.Kind = kind
			misses = append(misses, m.Miss)
		}
	}
	return misses
}

// lockedRow is an offset row as the compare finds it under the lock.
type lockedRow struct {
	Miss
	open  openRange
	place string
}

// classifyRow holds a range against its locked offset row. The order matters: another owner or another log may stand
// at any position, also at our To. The owner is asked beside the fence: a failover that loses a take lets the next one
// raise the fence to the same number (the model's mutant FENCE_ALONE).
func classifyRow(r *Range, row *Miss, owner string) (kind MissKind, miss bool) {
	switch {
	case !sameLog(row.Log, r.Log):
		return OtherLog, true
	case row.Fence != r.Fence || row.Owner != owner:
		return Fenced, true
	case row.Stored == r.From:
		return 0, false
	case row.Stored == r.To:
		return Already, true
	case row.Stored < r.From:
		return WentBack, true
	}
	return Ahead, true
}
