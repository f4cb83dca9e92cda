package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// logFlags choose how a command logs.
type logFlags struct {
	level  slog.Level
	format logFormat
}

func (f *logFlags) add(cmd *cobra.Command) {
	f.format = "auto"
	cmd.Flags().TextVar(&f.level, "log-level", slog.LevelInfo, "debug, info, warn or error")
	cmd.Flags().Var(&f.format, "log-format", "text, json or auto: text on a terminal, JSON elsewhere")
}

// logFormat is text, json or auto.
type logFormat string

func (f *logFormat) String() string { return string(*f) }
func (*logFormat) Type() string     { return "text, json or auto" }

// Set is pflag's.
func (f *logFormat) Set(s string) error {
	if s != "text" && s != "json" && s != "auto" {
		return errors.New("it is text, json or auto")
	}
	*f = logFormat(s)
	return nil
}

// logger writes to a command's standard error, and from now on a reader that goes away does not end the process: what
// it loads matters more than what it says.
func (f *logFlags) logger(w io.Writer) *slog.Logger {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // not Ignore, which the processes we start would inherit
	if d, ok := unwrap[*drain](w); ok {
		d.setNotice(func(n int64) []byte {
			var b bytes.Buffer
			f.handler(w, &b).Handle(context.Background(), droppedLines(n))
			return b.Bytes()
		})
	}
	return slog.New(f.handler(w, w))
}

func droppedLines(n int64) slog.Record {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "lines of the log were dropped, because nobody read them fast enough; loading went on", 0)
	r.Add("lines", n)
	return r
}

// handler formats as is fit for the reader, to out.
func (f *logFlags) handler(reader, out io.Writer) slog.Handler {
	opts := &slog.HandlerOptions{Level: f.level}
	if f.format == "text" || f.format != "json" && isTerminal(reader) {
		return slog.NewTextHandler(out, opts)
	}
	opts.ReplaceAttr = readableDurations
	return slog.NewJSONHandler(out, opts)
}

// readableDurations writes a duration as text does, 1m30s: in JSON it would be a number of nanoseconds.
func readableDurations(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

func isTerminal(w io.Writer) bool {
	f, ok := unwrap[*os.File](w)
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
