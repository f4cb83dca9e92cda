package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"sinker/internal/orderdata"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type produceFlags struct {
	brokers    []string
	topic      string
	partitions int32
	rate       int
	count      int64
	check      bool
	logs       logFlags
}

// newProduceCommand is the producer of docker-compose.yml. It is hidden: it is there to have something to load, not a
// part of what sinker does.
func newProduceCommand() *cobra.Command {
	var f produceFlags
	cmd := &cobra.Command{
		Use:    "produce-orders",
		Short:  "Produce example orders, for trying sinker out",
		Hidden: true,
		Long: `Makes the topic when it is missing and produces generated orders into it, at a steady rate,
until told to stop or --count is reached. Started again, it goes on where the topic ends.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return produceOrders(cmd, &f) },
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&f.brokers, "brokers", []string{"localhost:9092"}, "Kafka brokers, host:port,…")
	fs.StringVar(&f.topic, "topic", "orders", "topic to produce into")
	fs.Int32Var(&f.partitions, "partitions", 4, "partitions of the topic, when it has to be made")
	fs.IntVar(&f.rate, "rate", 200, "orders a second; 0: as fast as Kafka takes them")
	fs.Int64Var(&f.count, "count", 0, "stop after so many; 0: go on until told to stop")
	fs.BoolVar(&f.check, "check", false, "only exit 0 when the topic is there, 1 when it is not (for health checks)")
	f.logs.add(cmd)
	return cmd
}

func produceOrders(cmd *cobra.Command, f *produceFlags) error {
	if err := excludes(cmd, "check", "partitions", "rate", "count", "log-level", "log-format"); err != nil {
		return err
	}
	if f.rate < 0 || f.count < 0 || f.partitions < 1 {
		return usage("produce-orders: --rate and --count must not be negative, --partitions must be at least 1")
	}
	ctx := cmd.Context()
	client, err := kgo.NewClient(kgo.SeedBrokers(f.brokers...), kgo.DefaultProduceTopic(f.topic), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		return usage("produce-orders: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if f.check {
		return checkTopic(ctx, admin, f.topic)
	}
	if err := makeTopic(ctx, admin, f); err != nil {
		return err
	}
	log := f.logs.logger(cmd.ErrOrStderr())
	first, err := ordersBefore(ctx, admin, f.topic)
	if err != nil {
		return withCode(exitUnavailable, err)
	}
	log.Info("producing orders", "topic", f.topic, "first", first, "rate", f.rate)
	p := orderProducer{client: client, log: log, next: first}
	if err := p.run(ctx, f.rate, f.count); err != nil {
		return err
	}
	log.Info("stopped", "topic", f.topic, "produced", p.next-first)
	return nil
}

// checkTopic returns an error when the topic is not there.
func checkTopic(ctx context.Context, admin *kadm.Client, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	topics, err := admin.ListTopics(ctx, topic)
	if err != nil {
		return withCode(exitUnavailable, fmt.Errorf("Kafka can not be reached: %w", err))
	}
	if !topics.Has(topic) {
		return fmt.Errorf("topic %s is not there yet", topic)
	}
	return nil
}

// makeTopic makes the topic when it is missing. Kafka may still be starting: it is asked for a minute.
func makeTopic(ctx context.Context, admin *kadm.Client, f *produceFlags) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := admin.CreateTopic(ctx, f.partitions, -1, nil, f.topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return withCode(exitUnavailable, fmt.Errorf("topic %s can not be made: %w", f.topic, err))
	}
	return nil
}

// ordersBefore counts what was ever produced into the topic: the number of the next order.
func ordersBefore(ctx context.Context, admin *kadm.Client, topic string) (int64, error) {
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("the end of topic %s can not be read: %w", topic, err)
	}
	var n int64
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n, nil
}

type orderProducer struct {
	client *kgo.Client
	log    *slog.Logger
	next   int64 // number of the next order
	failed atomic.Int64
}

// run produces until ctx ends or count orders are on their way, then waits until Kafka has them.
func (p *orderProducer) run(ctx context.Context, rate int, count int64) error {
	first, start := p.next, time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil && (count == 0 || p.next-first < count) {
		due := p.next + 1000
		if rate > 0 {
			due = first + int64(time.Since(start).Seconds()*float64(rate))
		}
		if count > 0 {
			due = min(due, first+count)
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
		return withCode(exitUnavailable, fmt.Errorf("Kafka did not take the last orders: %w", err))
	}
	if n := p.failed.Load(); n > 0 {
		return withCode(exitFailed, fmt.Errorf("%d orders were not produced", n))
	}
	return nil
}

func (p *orderProducer) send(ctx context.Context) {
	i := p.next
	p.next++
	r := &kgo.Record{Key: fmt.Appendf(nil, "%d", i), Value: orderdata.Order(nil, i)}
	p.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
		if err != nil && ctx.Err() == nil {
			p.failed.Add(1)
			p.log.Error("an order was not produced", "order", i, "err", err)
		}
	})
}
