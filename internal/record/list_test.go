package record_test

import (
	"testing"

	"sinker/internal/record"
	"sinker/internal/record/recordtest"
)

func TestList(t *testing.T) {
	recordtest.Batches(t, func(from, to int64, records []*record.Record) record.Batch {
		return record.NewList(from, to, records...)
	})
}
