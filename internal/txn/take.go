package txn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sinker/internal/failpoint"
	"sinker/internal/record"

	"github.com/dustin/go-humanize/english"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const knownTopics = `
SELECT DISTINCT topic FROM sinker.offsets WHERE pipeline = $1 AND topic = ANY ($2::text[])`

// Known says which of the topics the pipeline has offset rows of. A partition of a known topic that has no row yet was
// added later and starts at 0; only the partitions of a topic met for the first time start where `start:` says.
func (s *Store) Known(ctx context.Context, topics []string) (map[string]bool, error) {
	conn, err := s.session(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := conn.Query(ctx, knownTopics, s.cfg.Pipeline, topics)
	if err != nil {
		return nil, wrap(record.StepTake, "", err)
	}
	known := map[string]bool{}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, t := range names {
		known[t] = true
	}
	return known, wrap(record.StepTake, "", err)
}

const seedOffsets = `
INSERT INTO sinker.offsets (pipeline, topic, partition, cluster_id, topic_id, start_offset, next_offset, config_hash)
SELECT $1, c.topic, c.partition, c.cluster_id, c.topic_id, c.seed, c.seed, $7
FROM unnest($2::text[], $3::int[], $4::text[], $5::uuid[], $6::bigint[]) AS c (topic, partition, cluster_id,
    topic_id, seed)
ORDER BY c.topic, c.partition
ON CONFLICT DO NOTHING`

// Seed makes the offset rows of a topic met for the first time, all its partitions at once, so that none of them can
// later be mistaken for one that was added. Rows that exist are left as they are.
func (s *Store) Seed(ctx context.Context, claims []Claim) error {
	conn, err := s.session(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err = conn.Exec(ctx, seedOffsets, s.seedArgs(sortClaims(claims))...)
	return wrap(record.StepTake, "", err)
}

func (s *Store) seedArgs(claims []Claim) []any {
	topics, partitions := claimKeys(claims)
	clusters, ids, seeds := make([]string, len(claims)), make([][16]byte, len(claims)), make([]int64, len(claims))
	for i, c := range claims {
		clusters[i], ids[i], seeds[i] = c.Log.ClusterID, c.Log.TopicID, c.Seed
	}
	return []any{s.cfg.Pipeline, topics, partitions, clusters, ids, seeds, s.cfg.Hash}
}

func claimKeys(claims []Claim) (topics []string, partitions []int32) {
	for _, c := range claims {
		topics, partitions = append(topics, c.Topic), append(partitions, c.Partition)
	}
	return topics, partitions
}

func sortClaims(claims []Claim) []Claim {
	return slices.SortedFunc(slices.Values(claims), func(a, b Claim) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

const lockForTake = `
SELECT o.topic, o.partition, o.cluster_id, o.topic_id, o.next_offset, o.leader_epoch, o.fence, coalesce(o.owner,
    ''), o.last_timestamp
FROM sinker.offsets o
JOIN unnest($2::text[], $3::int[]) AS c (topic, partition) ON o.topic = c.topic AND o.partition = c.partition
WHERE o.pipeline = $1
ORDER BY o.topic, o.partition
FOR UPDATE OF o`

const raiseFence = `
UPDATE sinker.offsets o
SET fence = o.fence + 1, owner = $4, cluster_id = c.cluster_id, topic_id = c.topic_id, config_hash = $7,
    stopped = NULL, command = NULL, waiting = false, updated_at = now(), open_from = NULL
FROM unnest($2::text[], $3::int[], $5::text[], $6::uuid[]) AS c (topic, partition, cluster_id, topic_id)
WHERE o.pipeline = $1 AND o.topic = c.topic AND o.partition = c.partition`

// Take makes the claimed partitions this store's: it makes the offset row of a partition that has none, waits for the
// row lock (and so for any transaction of the former owner that is still in doubt), checks that the row belongs to the
// claimed log, and raises the fence, after which the former owner can write nothing any more. Positions read before
// the return of Take, or by a plain SELECT, are not to be trusted.
//
// If we die before its COMMIT nothing changed; after it, the fence was raised for nobody, which harms nobody.
func (s *Store) Take(ctx context.Context, claims []Claim) (Taken, error) {
	conn, err := s.session(ctx)
	if err != nil {
		return Taken{}, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	taken, err := s.take(ctx, conn, sortClaims(claims))
	if err != nil {
		s.rollback(conn)
		s.endFrozen(ctx, conn, err)
		return Taken{}, wrap(record.StepTake, "", err)
	}
	for _, p := range taken.Positions {
		delete(s.floods, p.TopicPartition)
		s.taken[p.TopicPartition] = true
	}
	return taken, nil
}

const endFrozen = `
SELECT a.pid, pg_terminate_backend(a.pid)
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.usename = current_user AND a.application_name = $1
    AND a.pid <> pg_backend_pid()
  AND a.state = 'active' AND a.wait_event = 'ClientRead' AND a.query_start < now() - $2::interval
  AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.relation = 'sinker.offsets'::regclass)`

// endFrozen ends the backends of this pipeline whose client stopped sending in the middle of a COPY, or between two
// statements sent together, when one of them may be what a Take or a compare waited for in vain, which ends by
// lock_timeout, or by statement_timeout where that is the shorter. No timeout of Postgres frees such a backend: it
// holds cancels back while it reads a message of a COPY, and between statements sent together neither
// statement_timeout nor idle_in_transaction_session_timeout runs. So it keeps its locks until its client goes on, TCP
// gives up, or it is terminated; the client may be an earlier connection of this very store. A backend that has
// waited for its client for longer than statement_timeout is such a one: it could only be cancelled anyway. Its
// transaction is rolled back.
func (s *Store) endFrozen(ctx context.Context, conn *pgx.Conn, cause error) {
	var pe *pgconn.PgError
	if !errors.As(cause, &pe) || pe.Code != pgerrcode.LockNotAvailable && pe.Code != pgerrcode.QueryCanceled ||
		conn.IsClosed() {
		return
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := conn.Query(ctx, endFrozen, "sinker "+s.cfg.Pipeline, s.cfg.StatementTimeout)
	if err != nil {
		return // the Take is tried again in any case
	}
	pids, _ := pgx.CollectRows(rows, func(row pgx.CollectableRow) (pid int32, err error) {
		var ended bool
		return pid, row.Scan(&pid, &ended)
	})
	if len(pids) > 0 {
		s.cfg.Log.Warn("ended backends that held offset rows and whose client had stopped sending; their transactions "+
			"are rolled back", "pids", pids)
	}
}

func (s *Store) take(ctx context.Context, conn *pgx.Conn, claims []Claim) (Taken, error) {
	topics, partitions := claimKeys(claims)
	var b pgx.Batch
	b.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	b.Queue(s.settings(conn))
	b.Queue(seedOffsets, s.seedArgs(claims)...)
	b.Queue(lockForTake, s.cfg.Pipeline, topics, partitions)
	taken, err := s.readTaken(conn.SendBatch(ctx, &b), claims)
	if err != nil {
		return Taken{}, err
	}
	if err := failpoint.Hit(failpoint.TakeBegun); err != nil {
		return Taken{}, err
	}
	args := raiseArgs(s, taken.Positions)
	if _, err := conn.Exec(ctx, closeRanges, args[:3]...); err != nil {
		return Taken{}, err
	}
	tag, err := conn.Exec(ctx, raiseFence, args...)
	if err != nil {
		return Taken{}, err
	}
	if n := tag.RowsAffected(); n != int64(len(taken.Positions)) {
		return Taken{}, fmt.Errorf("raised the fence of %s instead of %d: is there a trigger or a row-level policy on "+
			"sinker.offsets?", english.Plural(int(n), "offset row", ""), len(taken.Positions))
	}
	if err := failpoint.Hit(failpoint.TakeRaised); err != nil {
		return Taken{}, err
	}
	_, err = conn.Exec(ctx, "COMMIT")
	return taken, err
}

func raiseArgs(s *Store, positions []Position) []any {
	n := len(positions)
	topics, partitions, clusters, ids := make([]string, n), make([]int32, n), make([]string, n), make([][16]byte, n)
	for i, p := range positions {
		topics[i], partitions[i], clusters[i], ids[i] = p.Topic, p.Partition, p.Log.ClusterID, p.Log.TopicID
	}
	return []any{s.cfg.Pipeline, topics, partitions, s.cfg.Owner, clusters, ids, s.cfg.Hash}
}

// readTaken reads the locked rows and sorts them into ours and another log's.
func (s *Store) readTaken(res pgx.BatchResults, claims []Claim) (taken Taken, err error) {
	defer func() {
		if e := res.Close(); err == nil {
			err = e
		}
	}()
	for range 2 {
		if _, err := res.Exec(); err != nil {
			return taken, err
		}
	}
	if _, err := res.Exec(); err != nil {
		return taken, err
	}
	rows, err := res.Query()
	if err != nil {
		return taken, err
	}
	defer rows.Close()
	// rows come in the order of the database's locale, which is not Go's
	claimed := make(map[TopicPartition]Claim, len(claims))
	for _, c := range claims {
		claimed[c.TopicPartition] = c
	}
	for rows.Next() {
		var m Miss
		var epoch int32
		var last *time.Time
		if err := rows.Scan(&m.Topic, &m.Partition, &m.Log.ClusterID, &m.Log.TopicID, &m.Stored, &epoch, &m.Fence, &m.Owner,
			&last); err != nil {
			return taken, err
		}
		claim, ok := claimed[m.TopicPartition]
		if !ok {
			return taken, fmt.Errorf("an offset row that was not asked for: %s/%d", m.Topic, m.Partition)
		}
		delete(claimed, m.TopicPartition)
		if !sameLog(m.Log, claim.Log) {
			m.Kind = OtherLog
			taken.Misses = append(taken.Misses, m)
			continue
		}
		pos := Position{
			TopicPartition: m.TopicPartition, Log: mergeLog(m.Log, claim.Log),
			NextOffset: m.Stored, LeaderEpoch: epoch, Fence: m.Fence + 1, First: m.Fence == 0,
		}
		if last != nil {
			pos.LastTimestamp = *last
		}
		taken.Positions = append(taken.Positions, pos)
	}
	for tp := range claimed {
		return taken, cmp.Or(rows.Err(), fmt.Errorf("the offset row of %s/%d is not there after it was made: does a "+
			"trigger or a row-level policy stand on sinker.offsets?", tp.Topic, tp.Partition))
	}
	return taken, rows.Err()
}

// sameLog compares what is known: brokers before Kafka 2.8 have no topic ids, and some services no cluster id.
func sameLog(a, b LogID) bool {
	if a.ClusterID != "" && b.ClusterID != "" && a.ClusterID != b.ClusterID {
		return false
	}
	var none [16]byte
	return a.TopicID == none || b.TopicID == none || a.TopicID == b.TopicID
}

// mergeLog fills what the stored identity did not know yet.
func mergeLog(stored, now LogID) LogID {
	if stored.ClusterID == "" {
		stored.ClusterID = now.ClusterID
	}
	if stored.TopicID == ([16]byte{}) {
		stored.TopicID = now.TopicID
	}
	return stored
}

const markStopped = `
UPDATE sinker.offsets SET stopped = $4, command = nullif($6, ''), waiting = $7, updated_at = now()
WHERE pipeline = $1 AND topic = $2 AND partition = $3 AND ($5 = 0 OR fence = $5)`

// MarkStopped writes down why a partition is stopped or waiting, for `sinker status` to show. It changes no position;
// fence 0 marks the row whoever owns it.
func (s *Store) MarkStopped(ctx context.Context, tp TopicPartition, fence int64, why Stop) error {
	conn, err := s.session(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err = conn.Exec(ctx, markStopped, s.cfg.Pipeline, tp.Topic, tp.Partition, why.Reason, fence, why.Command,
		why.Waiting)
	return wrap(record.StepStop, "", err)
}

// rollback ends whatever transaction is open. When that cannot be had at once the connection goes: the server then
// rolls back by itself.
func (s *Store) rollback(conn *pgx.Conn) {
	if conn.IsClosed() {
		return
	}
	if conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := s.bounded(context.Background())
	defer cancel()
	if _, err := conn.PgConn().Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
		s.drop()
	}
}
