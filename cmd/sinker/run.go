package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"sinker/internal/config"
	"sinker/internal/consume"
	"sinker/internal/nearest"
	"sinker/internal/ops"
	"sinker/internal/txn"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kslog"
)

type runFlags struct {
	pipeline pipelineFlags
	logs     logFlags
	migrate  bool
	untilEnd bool
	wait     time.Duration
	json     bool
	http     string
	parent   bool
}

func newRunCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Load topics into tables, until told to stop",
		Long: `Loads topics into tables, as a service or, with --until-end, up to the end that the
topics have now.

SIGTERM or Ctrl-C finishes or rolls back the transaction in hand and leaves the consumer
group; a second one ends the process at once. Both are safe.

A service waits for Kafka and Postgres, at the start as later. With --until-end the command
ends with exit code 69 when one of them is away at the start, and with exit code 1, and the
reasons, when what can be loaded is loaded and the rest cannot go on: at once for partitions
that are stopped, after --wait for those that are waiting.`,
		Example: `  sinker run -c sinker.yaml
  DATABASE_URL=… sinker run --brokers localhost:9092 --topic orders --create
  sinker run -c sinker.yaml --until-end`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPipeline(cmd, &f) },
	}
	f.pipeline.add(cmd)
	f.pipeline.addCreate()
	f.logs.add(cmd)
	fs := cmd.Flags()
	fs.BoolVar(&f.migrate, "migrate", true, "bring schema sinker up to date first")
	fs.BoolVar(&f.untilEnd, "until-end", false, "stop at the end the topics have now, and print a summary")
	fs.DurationVar(&f.wait, "wait", 2*time.Minute, "with --until-end: how long to wait for what is in the way (Postgres or Kafka away, a missing table or privilege, another member) before ending with exit code 1")
	fs.BoolVar(&f.json, "json", false, "with --until-end: print the summary as one JSON object")
	fs.StringVar(&f.http, "http", "", "address of health, metrics and the status page, or off (default: what SINKER_HTTP holds, then the configuration)")
	fs.BoolVar(&f.parent, "with-parent", false, "end when standard input closes: for a program that starts sinker and may die")
	fs.MarkHidden("with-parent")
	return cmd
}

// endWithParent ends the process, as a crash would, when standard input closes.
func endWithParent(stdin io.Reader) {
	io.Copy(io.Discard, stdin)
	os.Exit(exitFailed)
}

// runPipeline is the whole life of `sinker run`.
func runPipeline(cmd *cobra.Command, f *runFlags) error {
	if err := f.refuse(cmd); err != nil {
		return err
	}
	stopProfile, err := profile()
	if err != nil {
		return err
	}
	defer stopProfile()
	ctx := cmd.Context()
	if f.parent {
		go endWithParent(cmd.InOrStdin())
	}
	log := f.logs.logger(cmd.ErrOrStderr())
	p, err := f.pipeline.load()
	if err != nil {
		return f.unlessStopped(ctx, err, log)
	}
	if f.http != "" {
		p.HTTP = f.http
	}
	for _, w := range unencrypted(p) {
		log.Warn(w)
	}
	pl, err := newPlant(p, log)
	if err != nil {
		return err
	}
	begin := func(ctx context.Context) error {
		prepareSchema := checkVersion
		if f.migrate {
			prepareSchema = migrateForRun
		}
		if err := prepareSchema(ctx, p, log); err != nil {
			return err
		}
		return pl.checkStart(ctx)
	}
	if !f.untilEnd {
		return pl.serve(ctx, begin)
	}
	if err := begin(ctx); err != nil {
		return err
	}
	pl.kafka.Wait = f.wait
	return pl.untilEnd(cmd, f.json)
}

// refuse refuses flags that would have no effect, and takes the address from the environment where no flag has it.
func (f *runFlags) refuse(cmd *cobra.Command) error {
	if err := needs(cmd, "until-end", "json", "wait"); err != nil {
		return err
	}
	if err := positive(cmd, "wait", f.wait); err != nil {
		return err
	}
	source := "--http"
	if f.http == "" {
		f.http, source = os.Getenv(httpVariable), httpVariable
	}
	if f.http == "" {
		return nil
	}
	if problem := config.BadHTTP(f.http); problem != "" {
		return usage("%s %s", source, problem)
	}
	return nil
}

// unencrypted says which connections to Postgres others can listen to.
func unencrypted(p *config.Pipeline) (warnings []string) {
	for _, url := range []config.Secret{p.Postgres.URL, p.Postgres.MigrateURL} {
		if w := txn.Unencrypted(url.Reveal()); w != "" && url != "" && !slices.Contains(warnings, w) {
			warnings = append(warnings, w)
		}
	}
	return warnings
}

// unlessStopped drops the error of a service's start that SIGTERM broke off: to be told to stop is no failure. A load up to
// the end of the topics has failed then.
func (f *runFlags) unlessStopped(ctx context.Context, err error, log *slog.Logger) error {
	if ctx.Err() == nil || f.untilEnd {
		return err
	}
	log.Info("stopped before it had begun", "while", err)
	return nil
}

// checkVersion refuses a schema that is not this binary's: with --migrate=false somebody else has to change it.
func checkVersion(ctx context.Context, p *config.Pipeline, log *slog.Logger) error {
	unknown, err := txn.CheckVersion(ctx, p.Postgres.URL.Reveal())
	if unknown != nil {
		log.Warn("whether schema sinker is of this version is not known", "err", unknown)
	}
	return err
}

// migrateForRun brings the schema up to date; with --migrate=false somebody else has done it.
func migrateForRun(ctx context.Context, p *config.Pipeline, log *slog.Logger) error {
	url := p.Postgres.MigrateURL
	if url.Reveal() == "" {
		url = p.Postgres.URL
	}
	from, to, err := txn.Migrate(ctx, url.Reveal(), log)
	if err != nil {
		return err
	}
	if from != to {
		log.Info("migrated schema sinker", "from", from, "to", to)
	}
	return nil
}

// plant is everything a running pipeline is made of.
type plant struct {
	pipeline *config.Pipeline
	log      *slog.Logger
	kafka    consume.Config
	postgres txn.Config
	metrics  *ops.Metrics
}

func newPlant(p *config.Pipeline, log *slog.Logger) (*plant, error) {
	opts, err := kafkaDial(p.Kafka).Options()
	if err != nil {
		return nil, withCode(exitConfig, err)
	}
	opts = append(opts, kgo.WithLogger(kslog.New(kafkaLogger(log))))
	pl := &plant{pipeline: p, log: log, metrics: ops.NewMetrics(p.Name, version)}
	pl.kafka = consumeConfig(p, opts)
	pl.kafka.Log, pl.kafka.Observe = log, pl.metrics.Observe
	pl.kafka.Hooks = pl.metrics.KafkaHooks
	pl.postgres = storeConfig(p, "")
	pl.postgres.Log = log
	return pl, nil
}

// checkStart finds out now what would otherwise be an endless row of retries: a wrong table, topic or password.
func (pl *plant) checkStart(ctx context.Context) error {
	store := txn.New(pl.postgres)
	defer store.Close()
	if err := store.Prepare(ctx); err != nil {
		return err
	}
	var err error
	if pl.kafka.Database, err = store.Database(ctx); err != nil {
		return err
	}
	topics, err := consume.CheckTopics(ctx, pl.kafka)
	if err != nil {
		return kafkaProblem(pl.pipeline.Kafka, err)
	}
	return withCode(exitConfig, missingTopics(topics))
}

// missingTopics is what is wrong with the first topic that cannot be read, or nil.
func missingTopics(topics consume.Topics) error {
	if len(topics.Denied) > 0 {
		name := topics.Denied[0]
		return fmt.Errorf("Kafka does not let this user see topic %s, if there is one: give it the ACLs READ and DESCRIBE on that topic "+
			"(kafka-acls --add --operation Read --operation Describe --topic %s). Nothing was read or written.", name, name)
	}
	if len(topics.Missing) == 0 {
		return nil
	}
	msg := fmt.Sprintf("topic %s does not exist", topics.Missing[0])
	if near := nearest.Name(topics.Missing[0], topics.Present); near != "" {
		msg += fmt.Sprintf("; did you mean %s?", near)
	}
	return fmt.Errorf("%s\nCreate it, or correct the name. Nothing was read or written.", msg)
}

// serve is a service's life: HTTP first, then begin, for as long as Kafka and Postgres let it wait, then the workers until
// ctx ends. To be told to stop is no failure, whenever it comes.
func (pl *plant) serve(ctx context.Context, begin func(context.Context) error) error {
	st := newStarting(pl.pipeline.Workers, pl.log)
	server, err := pl.listen(st.states)
	if err != nil {
		return err
	}
	defer server.Close()
	if err := st.await(ctx, begin); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	svc, release := pl.service(nil)
	defer release()
	st.started(svc.States)
	return pl.work(ctx, svc, server)
}

// listen starts the HTTP side.
func (pl *plant) listen(states func() []*consume.WorkerState) (*ops.Server, error) {
	server, err := ops.Listen(ops.Config{
		Addr: pl.pipeline.HTTP, StatementTimeout: pl.pipeline.Postgres.StatementTimeout, Log: pl.log,
		About: ops.About{Pipeline: pl.pipeline.Name, Version: versionText(), ConfigHash: pl.pipeline.Hash()},
	}, pl.metrics, states)
	return server, withCode(exitFailed, err)
}

// work runs the workers until ctx ends, or they have reached their ends.
func (pl *plant) work(ctx context.Context, svc *consume.Service, server *ops.Server) error {
	pl.log.Info("running", "pipeline", pl.pipeline.Name, "version", version, "workers", pl.pipeline.Workers, "http", server.Addr())
	err := svc.Run(ctx)
	pl.log.Info("stopped", "pipeline", pl.pipeline.Name)
	return err
}

// service makes the workers.
func (pl *plant) service(ends *consume.Ends) (*consume.Service, func()) {
	host, _ := os.Hostname()
	var ids []string
	release := func() {}
	switch in := pl.pipeline.Kafka.Instance; in {
	case "":
		ids, release = consume.ClaimInstances(pl.pipeline.Name, pl.pipeline.Workers)
	case "off":
	default:
		for i := range pl.pipeline.Workers {
			ids = append(ids, fmt.Sprintf("%s-%d", in, i))
		}
	}
	newStore := func(worker int) consume.Store {
		c := pl.postgres
		c.Owner = fmt.Sprintf("%s/%d/%d/%04x", host, os.Getpid(), worker, rand.Uint32N(1<<16)) // in a container every process is number 1
		return txn.New(c)
	}
	return consume.NewService(pl.kafka, pl.pipeline.Workers, ids, newStore, ends), release
}
