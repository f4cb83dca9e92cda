package txn

import (
	"context"
	"time"

	"sinker/internal/record"

	"github.com/jackc/pgx/v5"
	"github.com/zeebo/xxh3"
)

// Checksum sums up records: their offsets, keys and values, in order. A nil key or value counts as
// other than an empty one. It finds mistakes; it is no defence against somebody who wants to make
// one.
type Checksum struct {
	Records, Bytes int64
	Sum            uint64
}

const odd = 0x9E3779B97F4A7C15 // makes the sum depend on the order

// Add adds the next record.
func (c *Checksum) Add(r *record.Record) {
	c.Records++
	c.Bytes += int64(len(r.Key) + len(r.Value))
	sum := c.Sum*odd + uint64(r.Offset)
	sum = sum*odd + bytesSum(r.Key)
	c.Sum = sum*odd + bytesSum(r.Value)
}

// sumThen is the sum of records followed by those of c: each record that follows multiplies what
// was there by odd three times (see Add). It is arithmetic modulo 2^64, as Add's is.
func (c *Checksum) sumThen(before uint64) uint64 {
	factor := uint64(1)
	for base, n := uint64(odd), 3*c.Records; n > 0; n >>= 1 {
		if n&1 == 1 {
			factor *= base
		}
		base *= base
	}
	return before*factor + c.Sum
}

func bytesSum(b []byte) uint64 {
	if b == nil {
		return 1
	}
	return xxh3.Hash(b)
}

func checksumOf(rng *Range) (c Checksum) {
	rng.Walk(func(r *record.Record) bool {
		c.Add(r)
		return true
	})
	return c
}

const (
	// The next commit closes an open range that is older than rangeAge, or than rangeAgeEach per
	// partition of the store where that is longer (so a store closes at most one per second); and
	// one of rangeRecords records or more.
	rangeAge     = time.Minute
	rangeAgeEach = time.Second
	rangeRecords = 1_000_000
)

// rangeAge is how long an open range may go on.
func (s *Store) rangeAge() time.Duration {
	return max(rangeAge, rangeAgeEach*time.Duration(len(s.taken)))
}

// openRange is what the compare learns of a partition's open range in the ledger, under the lock.
type openRange struct {
	exists bool
	goesOn bool // it ends where the position is, under this fence, is young and not full
	sum    uint64
}

// closeRanges turns open ranges into rows of the ledger. The caller holds the lock on the offset
// rows, and begins a new range or none in the same transaction.
const closeRanges = `
INSERT INTO sinker.batches (pipeline, topic, partition, from_offset, to_offset, records, written, filtered, dead,
    bytes, checksum, config_hash, owner, fence, began_at, committed_at, suppressed)
SELECT o.pipeline, o.topic, o.partition, o.open_from, o.open_to, o.open_written + o.open_filtered + o.open_dead,
    o.open_written, o.open_filtered, o.open_dead,
       o.open_bytes, o.open_checksum, o.open_hash, o.open_owner, o.open_fence, o.open_since, o.open_at,
           coalesce(o.open_suppressed, 0)
FROM sinker.offsets o
JOIN unnest($2::text[], $3::int[]) AS c (topic, partition) ON o.topic = c.topic AND o.partition = c.partition
WHERE o.pipeline = $1 AND o.open_from IS NOT NULL`

// endingRanges are the partitions that the batch moves and whose open range does not go on.
func (s *Store) endingRanges(b Batch) (topics []string, partitions []int32) {
	for i := range b {
		if !b[i].Empty() && s.open[i].exists && !s.open[i].goesOn {
			topics, partitions = append(topics, b[i].Topic), append(partitions, b[i].Partition)
		}
	}
	return topics, partitions
}

// ledgerArgs are what the move of the offset rows needs for the ledger and does not have already.
func (s *Store) ledgerArgs(b Batch) []any {
	n := b.Moves()
	size, sum, fresh, suppressed := make([]int64, 0, n), make([]int64, 0, n), make([]bool, 0, n), make([]int64, 0, n)
	for i := range b {
		if b[i].Empty() {
			continue
		}
		c := s.buf.sums[i]
		if c.Records != int64(b[i].Count()) { // no table takes the topic, or its writer saw some records twice
			c = checksumOf(&b[i])
		}
		open := s.open[i]
		if open.goesOn {
			c.Sum = c.sumThen(open.sum)
		}
		size, sum, fresh = append(size, c.Bytes), append(sum, int64(c.Sum)), append(fresh, !open.goesOn)
		suppressed = append(suppressed, s.buf.tally[i].suppressed)
	}
	return []any{size, sum, s.cfg.Hash, s.cfg.Owner, fresh, suppressed}
}

const (
	pruneGap   = 10 * time.Minute
	pruneBatch = 20_000
)

const pruneLedger = `
DELETE FROM sinker.batches WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM sinker.batches WHERE pipeline = $1 AND committed_at < now() - $2::interval LIMIT $3))`

// prune deletes old rows of the ledger every pruneGap, after a commit and in a transaction of its
// own. It is best effort: the rest is deleted later.
func (s *Store) prune(ctx context.Context, conn *pgx.Conn) {
	if time.Since(s.pruned) < pruneGap {
		return
	}
	s.pruned = time.Now()
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if _, err := conn.Exec(ctx, pruneLedger, s.cfg.Pipeline, s.cfg.LedgerKeep, pruneBatch); err != nil &&
		classify(err) != Retry {
		s.cfg.Log.Warn("cannot prune the ledger; sinker.batches grows until this works (is DELETE granted?)", "err", err)
	}
}

// LedgerRow is one committed range: of one transaction, or of several that followed one another
// under one fence.
type LedgerRow struct {
	TopicPartition
	From, To int64
	Checksum
	Written, Filtered, Dead int64
	CommittedAt             time.Time
}

const readLedger = `
SELECT from_offset, to_offset, records, bytes, checksum, written, filtered, dead, committed_at
FROM sinker.ledger WHERE pipeline = $1 AND topic = $2 AND partition = $3 ORDER BY committed_at, from_offset`

// Books is what Postgres knows of a partition, all of one moment.
type Books struct {
	Row    PartitionStatus
	Ledger []LedgerRow // the committed ranges, in the order in which they were committed
	Jumps  []Jump      // changes of the position by hand, oldest first
	// Suppressed counts the rows of all partitions that the topic's tables suppressed. Of a
	// transaction with several partitions it is not known which one they came from.
	Suppressed int64
}

// ReadBooks reads a partition's books in one snapshot, because the latest range of the ledger grows
// with every commit, as the position does. The snapshot ends before it returns.
func ReadBooks(ctx context.Context, conn *pgx.Conn, pipeline string, tp TopicPartition) (books Books, err error) {
	err = inTransaction(ctx, conn, " ISOLATION LEVEL REPEATABLE READ READ ONLY", func(tx pgx.Tx) (err error) {
		rows, err := tx.Query(ctx, readStatus+` AND topic = $2 AND partition = $3`, pipeline, tp.Topic, tp.Partition)
		if err != nil {
			return err
		}
		if books.Row, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[PartitionStatus]); err != nil {
			return err
		}
		if books.Ledger, err = ledgerOf(ctx, tx, pipeline, tp); err != nil {
			return err
		}
		if books.Jumps, err = jumpsOf(ctx, tx, pipeline, tp); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT coalesce(sum(suppressed), 0)::bigint FROM sinker.offsets WHERE pipeline = $1 AND
			topic = $2`, pipeline, tp.Topic).Scan(&books.Suppressed)
	})
	return books, wrap(record.StepLedger, "", err)
}

func ledgerOf(ctx context.Context, tx pgx.Tx, pipeline string, tp TopicPartition) ([]LedgerRow, error) {
	rows, err := tx.Query(ctx, readLedger, pipeline, tp.Topic, tp.Partition)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r LedgerRow, err error) {
		r.TopicPartition = tp
		var sum int64 // Postgres has no unsigned numbers
		err = row.Scan(&r.From, &r.To, &r.Records, &r.Bytes, &sum, &r.Written, &r.Filtered, &r.Dead, &r.CommittedAt)
		r.Sum = uint64(sum)
		return r, err
	})
}
