package main

import (
	"errors"

	"sinker/internal/app"
	"sinker/internal/orderdata"

	"github.com/spf13/cobra"
)

func init() { register(newProduceCommand) }

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
	fs.IntVar(&f.rate, "rate", 200, "orders per second; 0: as fast as Kafka takes them")
	fs.Int64Var(&f.count, "count", 0, "stop after this many orders; 0: go on until told to stop")
	fs.BoolVar(&f.check, "check", false, "produce nothing; exit with code 0 when the topic exists, 1 when it does "+
		"not (for health checks)")
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
	log := f.logs.logger(cmd.ErrOrStderr())
	p, err := orderdata.NewProducer(f.brokers, f.topic, log)
	if err != nil {
		return usage("produce-orders: %w", err)
	}
	defer p.Close()
	ctx := cmd.Context()
	if f.check {
		return produceKind(p.CheckTopic(ctx))
	}
	if err := p.MakeTopic(ctx, f.partitions); err != nil {
		return produceKind(err)
	}
	first, err := p.Resume(ctx)
	if err != nil {
		return produceKind(err)
	}
	log.Info("producing orders", "topic", f.topic, "first", first, "rate", f.rate)
	if err := p.Run(ctx, f.rate, f.count); err != nil {
		return produceKind(err)
	}
	log.Info("stopped", "topic", f.topic, "produced", p.Produced())
	return nil
}

// produceKind gives an error of the producer its exit code.
func produceKind(err error) error {
	if away := (*orderdata.UnavailableError)(nil); errors.As(err, &away) {
		return app.As(app.Unavailable, err)
	}
	return err
}
