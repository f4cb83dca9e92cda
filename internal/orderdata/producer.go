package orderdata

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// UnavailableError says that Kafka did not do what it was asked for.
type UnavailableError struct{ err error }

func (e *UnavailableError) Error() string { return e.err.Error() }
func (e *UnavailableError) Unwrap() error { return e.err }

func unavailable(format string, args ...any) error {
	return &UnavailableError{fmt.Errorf(format, args...)}
}

// Producer produces orders into a topic.
type Producer struct {
	topic  string
	client *kgo.Client
	admin  *kadm.Client
	log    *slog.Logger
	first  int64 // number of the first order
	next   int64 // number of the next order
	failed atomic.Int64
}

// NewProducer makes a producer; it connects when it is used. Close ends it.
func NewProducer(brokers []string, topic string, log *slog.Logger) (*Producer, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		return nil, err
	}
	return &Producer{topic: topic, client: client, admin: kadm.NewClient(client), log: log}, nil
}

// Close ends the connections.
func (p *Producer) Close() { p.client.Close() }

// CheckTopic returns an error when the topic does not exist.
func (p *Producer) CheckTopic(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	topics, err := p.admin.ListTopics(ctx, p.topic)
	if err != nil {
		return unavailable("Kafka cannot be reached: %w", err)
	}
	if !topics.Has(p.topic) {
		return fmt.Errorf("topic %s does not exist yet", p.topic)
	}
	return nil
}

// MakeTopic makes the topic when it is missing. Kafka may still be starting: it is asked for a minute.
func (p *Producer) MakeTopic(ctx context.Context, partitions int32) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := p.admin.CreateTopic(ctx, partitions, -1, nil, p.topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return unavailable("cannot make topic %s: %w", p.topic, err)
	}
	return nil
}

// Resume finds out where the topic ends: the orders go on from there.
func (p *Producer) Resume(ctx context.Context) (first int64, err error) {
	ends, err := p.admin.ListEndOffsets(ctx, p.topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, unavailable("cannot read the end of topic %s: %w", p.topic, err)
	}
	p.next = 0
	ends.Each(func(o kadm.ListedOffset) { p.next += o.Offset })
	p.first = p.next
	return p.first, nil
}

// Produced is how many orders are on their way or in Kafka.
func (p *Producer) Produced() int64 { return p.next - p.first }

// Run produces rate orders per second, or as many as Kafka takes when rate is 0, until ctx ends or count orders are on
// their way; a count of 0 is no limit. Then it waits until Kafka has them.
func (p *Producer) Run(ctx context.Context, rate int, count int64) error {
	start := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil && (count == 0 || p.Produced() < count) {
		due := p.next + 1000
		if rate > 0 {
			due = p.first + int64(time.Since(start).Seconds()*float64(rate))
		}
		if count > 0 {
			due = min(due, p.first+count)
		}
		for p.next < due && ctx.Err() == nil {
			p.send(ctx)
		}
		if rate > 0 {
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := p.client.Flush(flush); err != nil {
		return unavailable("Kafka did not take the last orders: %w", err)
	}
	if n := p.failed.Load(); n > 0 {
		return fmt.Errorf("%s not produced", english.Plural(int(n), "order was", "orders were"))
	}
	return nil
}

func (p *Producer) send(ctx context.Context) {
	i := p.next
	p.next++
	r := &kgo.Record{Key: fmt.Appendf(nil, "%d", i), Value: Order(nil, i)}
	p.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
		if err != nil && ctx.Err() == nil {
			p.failed.Add(1)
			p.log.Error("an order was not produced", "order", i, "err", err)
		}
	})
}
