package app

import (
	"context"
	"log/slog"
)

// kafkaLogger lets only what an operator can act on through from the Kafka client: it reports at info and warn what it
// gets over by itself, and errors come to the worker anyway.
func kafkaLogger(log *slog.Logger) *slog.Logger {
	return slog.New(&quieter{log.Handler()}).With("part", "kafka client")
}

// quieter lowers a record's level by one step.
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
