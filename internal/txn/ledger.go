package txn

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/zeebo/xxh3"
)

// Checksum sums up records: their offsets, keys and values, in order. A nil key or value counts as other than an empty
// one. It finds mistakes; it is no defence against somebody who wants to make one.
type Checksum struct {
	Records, Bytes int64
	Sum            uint64
}

// Add adds the next record.
func (c *Checksum) Add(r *kgo.Record) {
	const odd = 0x9E3779B97F4A7C15 // makes the sum depend on the order
	c.Records++
	c.Bytes += int64(len(r.Key) + len(r.Value))
	sum := c.Sum*odd + uint64(r.Offset)
	sum = sum*odd + bytesSum(r.Key)
	c.Sum = sum*odd + bytesSum(r.Value)
}

func bytesSum(b []byte) uint64 {
	if b == nil {
		return 1
	}
	return xxh3.Hash(b)
}

func checksumOf(records []*kgo.Record) (c Checksum) {
	for _, r := range records {
		c.Add(r)
	}
	return c
}

// ledgerArgs are the columns of the ledger that the move of the offset rows does not have already.
func (s *Store) ledgerArgs(b Batch) []any {
	n := b.moves()
	size, sum := make([]int64, 0, n), make([]int64, 0, n)
	for i := range b {
		if b[i].Empty() {
			continue
		}
		c := s.buf.sums[i]
		if c.Records != int64(b[i].records()) { // no table takes the topic, or its writer saw some records twice
			c = checksumOf(b[i].Records)
		}
		size, sum = append(size, c.Bytes), append(sum, int64(c.Sum))
	}
	return []any{size, sum, s.cfg.Hash, s.cfg.Owner}
}

const (
	pruneGap   = 10 * time.Minute
	pruneBatch = 20_000
)

const pruneLedger = `
DELETE FROM sinker.batches WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM sinker.batches WHERE pipeline = $1 AND committed_at < now() - $2::interval LIMIT $3))`

// prune drops old rows of the ledger now and then, after a commit and in a transaction of its own. It is best effort:
// what it does not get done now it does later.
func (s *Store) prune(ctx context.Context, conn *pgx.Conn) {
	if time.Since(s.pruned) < pruneGap {
		return
	}
	s.pruned = time.Now()
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if _, err := conn.Exec(ctx, pruneLedger, s.cfg.Pipeline, s.cfg.LedgerKeep, pruneBatch); err != nil && classify(err) != Retry {
		s.cfg.Log.Warn("could not prune the ledger sinker.batches: it grows until that works (is DELETE granted?)", "err", err)
	}
}

// LedgerRow is one committed range.
type LedgerRow struct {
	TopicPartition
	From, To int64
	Checksum
	Written, Filtered, Dead int64
	CommittedAt             time.Time
}

const readLedger = `
SELECT from_offset, to_offset, records, bytes, checksum, written, filtered, dead, committed_at
FROM sinker.batches WHERE pipeline = $1 AND topic = $2 AND partition = $3 ORDER BY committed_at, from_offset`

// Ledger returns a partition's committed ranges in the order in which they were committed.
func Ledger(ctx context.Context, conn *pgx.Conn, pipeline string, tp TopicPartition) ([]LedgerRow, error) {
	rows, err := conn.Query(ctx, readLedger, pipeline, tp.Topic, tp.Partition)
	if err != nil {
		return nil, wrap("read the ledger", "", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r LedgerRow, err error) {
		r.TopicPartition = tp
		var sum int64 // Postgres has no unsigned numbers
		err = row.Scan(&r.From, &r.To, &r.Records, &r.Bytes, &sum, &r.Written, &r.Filtered, &r.Dead, &r.CommittedAt)
		r.Sum = uint64(sum)
		return r, err
	})
	return out, wrap("read the ledger", "", err)
}
