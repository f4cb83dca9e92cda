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
	rows, err := Positions(ctx, p)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, As(Configuration, fmt.Errorf("pipeline %s has no positions in this database: it has not run yet, or "+
			"has another name. "+
			"Nothing was compared; `sinker status` lists the names", p.Name))
	}
	books, err := txn.OpenBooks(ctx, a.postgres.URL, p.Name)
	if err != nil {
		return nil, err
	}
	defer books.Close(ctx)
	store := txn.New(a.postgres)
	defer store.Close()
	v := verify.Verifier{Kafka: a.kafka, Store: store, Books: books}
	out := &VerifyReport{Partitions: []verify.Report{}}
	for _, row := range rows {
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
