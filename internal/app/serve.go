package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"

	"sinker/internal/consume"
	"sinker/internal/ops"
	"sinker/internal/txn"
)

// Serve is a service's life: HTTP first, then schema, tables and topics, for as long as Kafka and Postgres let it wait,
// then the workers until ctx ends. To be told to stop is no failure, whenever it comes. With migrate, schema sinker is
// brought up to date first.
func (a *App) Serve(ctx context.Context, migrate bool) error {
	st := newStarting(a.pipeline.Workers, a.log)
	server, err := a.listen(a.pipeline.HTTP, st.states)
	if err != nil {
		return err
	}
	defer server.Close()
	if err := st.await(ctx, func(ctx context.Context) error { return a.begin(ctx, migrate) }); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	svc, release := a.service(nil)
	defer release()
	st.started(svc.States)
	return a.work(ctx, svc, server)
}

// listen starts the HTTP side.
func (a *App) listen(addr string, states func() []*consume.WorkerState) (*ops.Server, error) {
	server, err := ops.Listen(ops.Config{
		Addr: addr, StatementTimeout: a.pipeline.Postgres.StatementTimeout, Log: a.log,
		About: ops.About{Pipeline: a.pipeline.Name, Version: a.build.Text, ConfigHash: a.pipeline.Hash()},
	}, a.metrics, states)
	return server, As(Failed, err)
}

// work runs the workers until ctx ends, or they have reached their ends.
func (a *App) work(ctx context.Context, svc *consume.Service, server *ops.Server) error {
	a.log.Info("running", "pipeline", a.pipeline.Name, "version", a.build.Version, "workers", a.pipeline.Workers, "http",
		server.Addr())
	err := svc.Run(ctx)
	a.log.Info("stopped", "pipeline", a.pipeline.Name)
	return err
}

// service makes the workers.
func (a *App) service(ends *consume.Ends) (*consume.Service, func()) {
	host, _ := os.Hostname()
	var ids []string
	release := func() {}
	switch in := a.pipeline.Kafka.Instance; in {
	case "":
		ids, release = consume.ClaimInstances(a.pipeline.Name, a.pipeline.Workers)
	case "off":
	default:
		for i := range a.pipeline.Workers {
			ids = append(ids, fmt.Sprintf("%s-%d", in, i))
		}
	}
	newStore := func(worker int) consume.Store {
		c := a.postgres
		// The last part is random, because every process in a container is number 1.
		c.Owner = fmt.Sprintf("%s/%d/%d/%04x", host, os.Getpid(), worker, rand.Uint32N(1<<16))
		return store{txn.New(c)}
	}
	return consume.NewService(a.kafka, a.pipeline.Workers, ids, newStore, ends), release
}
