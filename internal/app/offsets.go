package app

import (
	"context"
	"errors"
	"fmt"

	"sinker/internal/config"
	"sinker/internal/consume"
	"sinker/internal/record"
	"sinker/internal/txn"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Change is what an operator wants of one partition's position.
type Change struct {
	Action      string // set, adopt or reset
	Topic       string
	Partition   int32
	Offset      int64 // of set: the offset to read next
	SkipRecords bool  // of set: never write the records below the new position
	WriteAgain  bool  // of set: write the records above the new position a second time
	BeyondEnd   bool  // of set: do not ask Kafka whether its log reaches the new position
	By, Note    string
}

// ChangeOffset changes a position, whether sinker is running or not. An error of the kind Usage says that the change
// was refused; nothing was changed.
func ChangeOffset(ctx context.Context, p *config.Pipeline, build Build, c Change) (txn.Changed, error) {
	change := txn.Change{
		TopicPartition: record.TopicPartition{Topic: c.Topic, Partition: c.Partition}, Action: c.Action, Offset: c.Offset,
		SkipRecords: c.SkipRecords, WriteAgain: c.WriteAgain, By: c.By, Note: c.Note,
	}
	var err error
	switch {
	case c.Action != "set":
		err = identify(ctx, p, build, &change)
	case !c.BeyondEnd:
		err = withinLog(ctx, p, build, c)
	}
	if err != nil {
		return txn.Changed{}, err
	}
	done, err := txn.ApplyChange(ctx, p.Postgres.URL.Reveal(), p.Name, change)
	if errors.Is(err, txn.ErrRefused) || errors.Is(err, txn.ErrNoRow) {
		err = As(Usage, err)
	}
	return done, err
}

// boundsOf asks Kafka about the log of a partition.
func boundsOf(ctx context.Context, p *config.Pipeline, build Build, topic string,
	partition int32) (consume.LogBounds, error) {
	opts, err := kafkaDial(p.Kafka, build).Options()
	if err != nil {
		return consume.LogBounds{}, As(Configuration, err)
	}
	bounds, err := consume.LookAtTopic(ctx, consumeConfig(p, opts), topic)
	if err != nil {
		return consume.LogBounds{}, kafkaProblem(p.Kafka, build, err)
	}
	b, ok := bounds[partition]
	if !ok {
		return b, As(Usage, fmt.Errorf("topic %s has no partition %d", topic, partition))
	}
	return b, nil
}

// withinLog refuses a position that Kafka's log does not reach: the partition would stop at once.
func withinLog(ctx context.Context, p *config.Pipeline, build Build, c Change) error {
	b, err := boundsOf(ctx, p, build, c.Topic, c.Partition)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil // there is no log to be beyond
	}
	if err != nil {
		return As(KindOf(err), fmt.Errorf("%w. Nothing was changed. To set the position without asking Kafka where the "+
			"log ends, add --beyond-end", err))
	}
	if c.Offset <= b.End {
		return nil
	}
	return As(Usage, fmt.Errorf("%w: offset %d is beyond the end of the log, %d: the partition would stop at once. "+
		"Nothing was changed. If the log is going to reach it (a topic that is being restored), add --beyond-end",
		txn.ErrRefused, c.Offset, b.End))
}

// identify asks Kafka which log has the topic's name now.
func identify(ctx context.Context, p *config.Pipeline, build Build, c *txn.Change) error {
	b, err := boundsOf(ctx, p, build, c.Topic, c.Partition)
	if err != nil {
		return err
	}
	c.Log, c.Offset = &b.Log, -1
	if c.Action == "reset" {
		c.Offset = b.Start
	}
	return nil
}
