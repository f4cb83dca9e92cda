package app

import (
	"context"
	"errors"
	"fmt"

	"sinker/internal/config"
	"sinker/internal/consume"
	"sinker/internal/record"
	"sinker/internal/txn"
)

// Change is what an operator wants of one partition's position.
type Change struct {
	Action      string // set, adopt or reset
	Topic       string
	Partition   int32
	Offset      int64 // of set: the offset to read next
	SkipRecords bool  // of set: never write the records below the new position
	WriteAgain  bool  // of set: write the records above the new position a second time
	By, Note    string
}

// ChangeOffset changes a position, whether sinker is running or not. An error of the kind Usage says that the change
// was refused; nothing was changed.
func ChangeOffset(ctx context.Context, p *config.Pipeline, build Build, c Change) (txn.Changed, error) {
	change := txn.Change{
		TopicPartition: record.TopicPartition{Topic: c.Topic, Partition: c.Partition}, Action: c.Action, Offset: c.Offset,
		SkipRecords: c.SkipRecords, WriteAgain: c.WriteAgain, By: c.By, Note: c.Note,
	}
	if c.Action != "set" {
		if err := identify(ctx, p, build, &change); err != nil {
			return txn.Changed{}, err
		}
	}
	done, err := txn.ApplyChange(ctx, p.Postgres.URL.Reveal(), p.Name, change)
	if errors.Is(err, txn.ErrRefused) || errors.Is(err, txn.ErrNoRow) {
		err = As(Usage, err)
	}
	return done, err
}

// identify asks Kafka which log has the topic's name now.
func identify(ctx context.Context, p *config.Pipeline, build Build, c *txn.Change) error {
	opts, err := kafkaDial(p.Kafka, build).Options()
	if err != nil {
		return As(Configuration, err)
	}
	bounds, err := consume.LookAtTopic(ctx, consumeConfig(p, opts), c.Topic)
	if err != nil {
		return kafkaProblem(p.Kafka, build, err)
	}
	b, ok := bounds[c.Partition]
	if !ok {
		return As(Usage, fmt.Errorf("topic %s has no partition %d", c.Topic, c.Partition))
	}
	c.Log, c.Offset = &b.Log, -1
	if c.Action == "reset" {
		c.Offset = b.Start
	}
	return nil
}
