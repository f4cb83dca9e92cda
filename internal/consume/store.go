package consume

import (
	"context"

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
	// Commit writes a batch and moves its positions in one transaction. For its errors see txn.Store.Commit: after
	// any of them the same call may be made again, and never writes anything twice.
	Commit(ctx context.Context, b txn.Batch, more txn.More) (txn.Result, error)
	// MarkStopped writes down why a partition is stopped or waiting. It changes no position.
	MarkStopped(ctx context.Context, tp txn.TopicPartition, fence int64, why txn.Stop) error
	// Touched says which of the positions' rows are not as we left them. It is a hint, not a proof.
	Touched(ctx context.Context, positions []txn.Position) ([]txn.TopicPartition, error)
	// Connected says whether the database was reachable at the last use.
	Connected() bool
	// Close lets go of the connection. An open transaction is rolled back by the server.
	Close()
}

var _ Store = (*txn.Store)(nil)
