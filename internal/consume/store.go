package consume

import (
	"context"

	"sinker/internal/record"
)

// Store keeps offsets and rows together. It is the one seam between the Kafka side and the Postgres side, and all
// that the loop knows of a database. txn.Store is the real one (internal/app fits it in); a contract test holds the
// memory store of the tests to the same behaviour. record.FailureOf says what the error of a database means.
//
// No method retries. A store belongs to one worker and is used by one goroutine.
type Store interface {
	// Known says which topics the pipeline has offset rows of.
	Known(ctx context.Context, topics []string) (map[string]bool, error)
	// Seed makes the offset rows of a topic met for the first time; rows that exist stay as they are. Durable on return.
	Seed(ctx context.Context, claims []record.Claim) error
	// Take makes partitions ours: it waits for the former owner's transaction, raises the fence and returns the positions.
	// Durable on return. After an error the fences may have been raised; take again.
	Take(ctx context.Context, claims []record.Claim) (record.Taken, error)
	// Resolve gets what reading the batch's records needs from elsewhere, before a transaction begins. Its only error is a
	// *record.UnreadyError.
	Resolve(ctx context.Context, b record.Ranges) error
	// Begin begins the transaction that writes a batch and moves its positions. For its errors, and those of Commit, see
	// txn.Store.Begin: after any of them it may be begun again with the same ranges, and never writes anything twice.
	Begin(ctx context.Context, ranges record.Ranges) (Tx, error)
	// MarkStopped writes down why a partition is stopped or waiting. It changes no position.
	MarkStopped(ctx context.Context, tp record.TopicPartition, fence int64, why record.Stop) error
	// Touched says which of the positions' rows are not as we left them. It is a hint, not a proof.
	Touched(ctx context.Context, positions []record.Position) ([]record.TopicPartition, error)
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
	Commit(ctx context.Context) (record.Result, error)
	// Rollback ends a transaction that was not committed.
	Rollback()
}
