package app

import (
	"context"
	"errors"
	"fmt"

	"sinker/internal/config"
	"sinker/internal/record"
	"sinker/internal/txn"
	"sinker/internal/verify"
)

// VerifyReport is what a verification found, partition by partition.
type VerifyReport struct {
	Differences int             `json:"differences"`
	OK          bool            `json:"ok"`
	Partitions  []verify.Report `json:"partitions"`
	Standby     bool            `json:"standby,omitempty"` // the server is one, and may be behind its primary
}

// Err is nil when nothing differs.
func (r *VerifyReport) Err() error {
	if r.OK {
		return nil
	}
	return As(Difference, errors.New("verify found differences"))
}

// Verify proves a pipeline against Kafka. It only reads, and may run while sinker does.
func Verify(ctx context.Context, p *config.Pipeline, build Build) (*VerifyReport, error) {
	a, err := New(p, build, nil)
	if err != nil {
		return nil, err
	}
	at, err := Positions(ctx, p)
	if err != nil {
		return nil, err
	}
	if at.Nothing != "" {
		return nil, As(Configuration, fmt.Errorf("%s. Nothing was compared", at.Nothing))
	}
	a.postgres.OnlyReads = true
	books, err := txn.OpenBooks(ctx, a.postgres.URL, p.Name)
	if err != nil {
		return nil, err
	}
	defer books.Close(ctx)
	store := txn.New(a.postgres)
	defer store.Close()
	v := verify.Verifier{Kafka: a.kafka, Store: store, Books: books}
	out := &VerifyReport{Partitions: []verify.Report{}, Standby: at.Standby}
	for _, row := range at.Rows {
		rep, err := v.Partition(ctx, record.TopicPartition{Topic: row.Topic, Partition: row.Partition})
		if err != nil {
			return nil, err
		}
		out.Differences += len(rep.Differences)
		out.Partitions = append(out.Partitions, rep)
	}
	out.OK = out.Differences == 0
	return out, nil
}
