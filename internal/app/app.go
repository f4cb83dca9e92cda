// Package app makes running parts of a checked configuration: a service, a load that ends, a check, a status. It is the
// only package that knows all others. Commands give it a configuration and print what it returns.
package app

import (
	"context"
	"log/slog"
	"slices"

	"sinker/internal/config"
	"sinker/internal/consume"
	"sinker/internal/ops"
	"sinker/internal/txn"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kslog"
)

// Build says which sinker this is.
type Build struct {
	Version string // such as 1.2.3
	Text    string // Version, Go's version and the commit
}

// App is everything a pipeline is made of. Making it connects to nothing.
type App struct {
	pipeline *config.Pipeline
	build    Build
	log      *slog.Logger
	kafka    consume.Config
	postgres txn.Config
	metrics  *ops.Metrics
}

// New makes the parts of a pipeline. A nil log discards. An error is of the kind Configuration: Kafka's settings name a
// file that cannot be read, for example.
func New(p *config.Pipeline, build Build, log *slog.Logger) (*App, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	opts, err := kafkaDial(p.Kafka, build).Options()
	if err != nil {
		return nil, As(Configuration, err)
	}
	opts = append(opts, kgo.WithLogger(kslog.New(kafkaLogger(log))))
	a := &App{pipeline: p, build: build, log: log, metrics: ops.NewMetrics(p.Name, build.Version)}
	a.kafka = consumeConfig(p, opts)
	a.kafka.Log, a.kafka.Observe = log, a.metrics.Observe
	a.kafka.Hooks = a.metrics.KafkaHooks
	a.postgres = storeConfig(p)
	a.postgres.Log = log
	return a, nil
}

// Unencrypted says which connections to Postgres others can listen to, one sentence each.
func (a *App) Unencrypted() (warnings []string) {
	for _, url := range []config.Secret{a.pipeline.Postgres.URL, a.pipeline.Postgres.MigrateURL} {
		if w := txn.Unencrypted(url.Reveal()); w != "" && url != "" && !slices.Contains(warnings, w) {
			warnings = append(warnings, w)
		}
	}
	return warnings
}

// begin brings schema sinker up to date, or checks its version, and finds out now what would otherwise be an endless
// row of retries: a wrong table, topic or password.
func (a *App) begin(ctx context.Context, migrate bool) error {
	prepareSchema := a.checkVersion
	if migrate {
		prepareSchema = a.migrate
	}
	if err := prepareSchema(ctx); err != nil {
		return err
	}
	store := txn.New(a.postgres)
	defer store.Close()
	if err := store.Prepare(ctx); err != nil {
		return err
	}
	var err error
	if a.kafka.Database, err = store.Database(ctx); err != nil {
		return err
	}
	topics, err := consume.CheckTopics(ctx, a.kafka)
	if err != nil {
		return a.kafkaProblem(err)
	}
	return As(Configuration, missingTopics(topics))
}

// checkVersion refuses a schema that is not this binary's: with --migrate=false somebody else has to change it.
func (a *App) checkVersion(ctx context.Context) error {
	unknown, err := txn.CheckVersion(ctx, a.postgres.URL)
	if unknown != nil {
		a.log.Warn("the version of schema sinker is unknown", "err", unknown)
	}
	return err
}

// migrate brings the schema up to date.
func (a *App) migrate(ctx context.Context) error {
	from, to, err := txn.Migrate(ctx, DirectURL(a.pipeline), a.log)
	if err != nil {
		return err
	}
	if from != to {
		a.log.Info("migrated schema sinker", "from", from, "to", to)
	}
	return nil
}
