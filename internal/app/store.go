package app

import (
	"context"

	"sinker/internal/consume"
	"sinker/internal/record"
	"sinker/internal/txn"
)

// store is a txn.Store as the loop wants it. The two packages do not know each other: they share the words of record.
type store struct{ *txn.Store }

var _ consume.Store = store{}

// Begin begins a transaction. The loop has its own, smaller idea of one.
func (s store) Begin(ctx context.Context, ranges record.Ranges) (consume.Tx, error) {
	tx, err := s.Store.Begin(ctx, ranges)
	if err != nil {
		return nil, err // not a nil *txn.Tx
	}
	return tx, nil
}
