package consume

import (
	"context"

	"sinker/internal/record"
	"sinker/internal/txn"
)

// Store keeps offsets and rows together. It is the one seam between the Kafka side and the Postgres side; txn.Store is
// the real one, and a contract test holds the memory store of the tests to the same behaviour.
//
// No method retries. A store belongs to one worker and is used by one goroutine.
type Store interface {
	// Known says which topics the pipeline has offset rows of.
	Known(ctx context.Context, topics []string) (map[string]bool, error)
	// Seed makes the offset rows of a topic met for the first time; rows that exist stay as they are. Durable on return.
	Seed(ctx context.Context, claims []txn.Claim) error
	// Take makes partitions ours: it waits for the former owner's transaction, raises the fence and returns the positions.
	// Durable on return. After an error the fences may have been raised; take again.
	Take(ctx context.Context, claims []txn.Claim) (txn.Taken, error)
	// Begin begins the transaction that writes a batch and moves its positions. For its errors, and those of Commit, see
	// txn.Store.Begin: after any of them it may be begun again with the same ranges, and never writes anything twice.
	Begin(ctx context.Context, ranges txn.Batch) (Tx, error)
	// MarkStopped writes down why a partition is stopped or waiting. It changes no position.
	MarkStopped(ctx context.Context, tp txn.TopicPartition, fence int64, why txn.Stop) error
	// Touched says which of the positions' rows are not as we left them. It is a hint, not a proof.
	Touched(ctx context.Context, positions []txn.Position) ([]txn.TopicPartition, error)
	// Connected says whether the database was reachable at the last use.
	Connected() bool
	// Close lets go of the connection. An open transaction is rolled back by the server.
	Close()
}

// Tx is an open transaction of a Store, which does nothing else meanwhile. See txn.Tx.
type Tx interface {
	// Write gives a range more records. Its error is told by Commit too, which may get over it.
	Write(ctx context.Context, rng int, b record.Batch) error
	// GoOn says which ranges may be given more, because what they were given so far is written and not needed any more;
	// nil: none.
	GoOn(ctx context.Context) (may func(rng int) bool)
	// Commit moves the positions and commits.
	Commit(ctx context.Context) (txn.Result, error)
	// Rollback ends a transaction that was not committed.
	Rollback()
}

// Postgres is a txn.Store as a Store.
func Postgres(s *txn.Store) Store { return postgres{s} }

type postgres struct{ *txn.Store }

func (s postgres) Begin(ctx context.Context, ranges txn.Batch) (Tx, error) {
	tx, err := s.Store.Begin(ctx, ranges)
	if err != nil {
		return nil, err
	}
	return tx, nil
}
