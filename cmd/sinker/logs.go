package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"runtime/pprof"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// logFlags choose how a command logs.
type logFlags struct {
	level  slog.Level
	format string
}

func (f *logFlags) add(cmd *cobra.Command) {
	cmd.Flags().TextVar(&f.level, "log-level", slog.LevelInfo, "debug, info, warn or error")
	cmd.Flags().StringVar(&f.format, "log-format", "auto", "text, json or auto: text on a terminal, JSON elsewhere")
}

func (f *logFlags) logger(w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: f.level}
	if f.format == "text" || f.format != "json" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// kafkaLogger lets only what an operator can act on through from the Kafka client: it reports at info and warn what it
// gets over by itself, and errors come to the worker anyway.
func kafkaLogger(log *slog.Logger) *slog.Logger {
	return slog.New(&quieter{log.Handler()}).With("part", "kafka client")
}

// quieter takes a record's level down by one step.
type quieter struct{ slog.Handler }

func (q *quieter) Enabled(ctx context.Context, l slog.Level) bool {
	return q.Handler.Enabled(ctx, lower(l))
}

func (q *quieter) Handle(ctx context.Context, r slog.Record) error {
	r.Level = lower(r.Level)
	return q.Handler.Handle(ctx, r)
}

func (q *quieter) WithAttrs(a []slog.Attr) slog.Handler { return &quieter{q.Handler.WithAttrs(a)} }
func (q *quieter) WithGroup(n string) slog.Handler      { return &quieter{q.Handler.WithGroup(n)} }

func lower(l slog.Level) slog.Level {
	switch {
	case l >= slog.LevelError:
		return slog.LevelWarn
	default:
		return slog.LevelDebug
	}
}

// profile writes a CPU profile of the whole run to $SINKER_CPUPROFILE, for `go tool pprof`.
func profile() (stop func(), err error) {
	path := os.Getenv("SINKER_CPUPROFILE")
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}
