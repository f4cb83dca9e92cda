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

	"sinker/internal/output"

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
func (*logFormat) Type() string     { return "format" }

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
	if d, ok := output.Unwrap[*output.Drain](w); ok {
		d.SetNotice(func(n int64) []byte {
			var b bytes.Buffer
			f.handler(w, &b).Handle(context.Background(), droppedLines(n))
			return b.Bytes()
		})
	}
	return slog.New(f.handler(w, w))
}

func droppedLines(n int64) slog.Record {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines were dropped, because nobody read them fast enough; "+
		"loading went on", 0)
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
	f, ok := output.Unwrap[*os.File](w)
	return ok && term.IsTerminal(int(f.Fd()))
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
