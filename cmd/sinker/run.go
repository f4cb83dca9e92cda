package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"sinker/internal/app"
	"sinker/internal/config"
	"sinker/internal/output"
	"sinker/internal/printable"
	"sinker/internal/table"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

func init() { register(newRunCommand) }

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
		Long: `Loads topics into tables: as a service or, with --until-end, up to the end that the topics
have now.

SIGTERM or Ctrl-C finishes or rolls back the open transaction and leaves the consumer group. A
second one ends the process at once. Both are safe.

A service waits for Kafka and Postgres, at the start and later. With --until-end the command
exits with code 69 when one of them is away at the start. It exits with code 1, and the reasons,
when everything that can be loaded is loaded and the rest cannot go on: at once for partitions
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
	fs.DurationVar(&f.wait, "wait", 2*time.Minute, "with --until-end: how long to wait for what is in the way "+
		"(Postgres or Kafka away, a missing table or privilege, another member) before exiting with code 1")
	fs.BoolVar(&f.json, "json", false, "with --until-end: print the summary as one JSON object")
	fs.StringVar(&f.http, "http", "",
		"address of health, metrics and the status page, or off (default: the value of SINKER_HTTP, then the configuration)")
	fs.BoolVar(&f.parent, "with-parent", false, "end when standard input closes: for a program that starts sinker "+
		"and may die")
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
	a, err := app.New(p, build(), log)
	if err != nil {
		return err
	}
	for _, w := range a.Unencrypted() {
		log.Warn(w)
	}
	if f.untilEnd {
		return runUntilEnd(cmd, a, f)
	}
	return a.Serve(ctx, f.migrate)
}

// runUntilEnd loads up to the ends of now, shows how it gets on, and sums up.
func runUntilEnd(cmd *cobra.Command, a *app.App, f *runFlags) error {
	b, err := a.Bounded(cmd.Context(), app.BoundedOptions{Migrate: f.migrate, Wait: f.wait,
		HTTP: cmd.Flags().Changed("http")})
	if err != nil {
		return err
	}
	shown, stop := context.WithCancel(cmd.Context())
	var wg sync.WaitGroup
	wg.Go(func() { showProgress(shown, cmd.ErrOrStderr(), b.Progress) })
	sum, err := b.Run(cmd.Context())
	stop()
	wg.Wait()
	output.Flush(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if err := printSummary(cmd.OutOrStdout(), sum, f.json); err != nil {
		return err
	}
	return sum.Err()
}

// printSummary sums up, a row per table, or all in one JSON object.
func printSummary(w io.Writer, s *app.Summary, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	t := table.New(w, "TABLE", "ROWS", "DELETED")
	for _, sum := range s.Tables {
		t.Row(sum.Table, sum.Rows, sum.Deleted)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	rate := 0.0
	if s.Loading > 0 {
		rate = float64(s.Records) / s.Loading
	}
	_, err := fmt.Fprintf(w, "%s, %s, %s filtered, %s in %.1f s (%s records/s)\n%s",
		printable.Count(s.Records, "record"), printable.Count(s.Dead, "dead letter"), humanize.Comma(s.Filtered),
		humanize.IBytes(uint64(s.Bytes)), s.Seconds, humanize.Comma(int64(rate)), missingText(s))
	return err
}

// missingText says what the tables lack although the load went well.
func missingText(s *app.Summary) string {
	var b strings.Builder
	if s.Dead > 0 {
		fmt.Fprintf(&b, "The dead letters: %s\n", s.LettersQuery)
	}
	for i, h := range s.HeldBack {
		if i == mostHeld {
			fmt.Fprintf(&b, "… and %d more\n", len(s.HeldBack)-i)
			break
		}
		fmt.Fprintf(&b, "%s/%d: a transaction in Kafka was open at the start, and %s from %d were not loaded. "+
			"The next run loads them once it has ended. If its producer is gone, find it: %s\n",
			h.Topic, h.Partition, printable.Count(h.Offsets, "offset"), h.From, app.FindHanging)
	}
	return b.String()
}

// mostHeld is how many partitions missingText names; --json has them all.
const mostHeld = 20

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

// unlessStopped drops the error of a service whose start SIGTERM broke off: to be told to stop is no failure. A load
// up to the end of the topics has failed then.
func (f *runFlags) unlessStopped(ctx context.Context, err error, log *slog.Logger) error {
	if ctx.Err() == nil || f.untilEnd {
		return err
	}
	log.Info("stopped during startup", "while", err)
	return nil
}
