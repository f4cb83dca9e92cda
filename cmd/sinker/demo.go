package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sinker/internal/local"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kfake"
)

type demoFlags struct {
	rows     int64
	in       string
	kills    int
	workers  int
	postgres string
	keep     bool
	json     bool
	seed     uint64
}

func newDemoCommand() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See exactly-once for yourself: no Kafka, Postgres or Docker needed",
		Long: `Starts a Kafka in this process and a temporary Postgres, produces orders, loads them with the
real ` + "`sinker run`" + `, kills that with SIGKILL in the middle of its transactions, and proves by SQL
that every order is there once.

Nothing is left behind, however it ends. Exit code 1: the proof failed.`,
		Example: `  sinker demo
  sinker demo --in events.jsonl --kills 5
  sinker demo --keep`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, &f) },
	}
	fs := cmd.Flags()
	fs.Int64Var(&f.rows, "rows", 1_000_000, "how many orders")
	fs.StringVar(&f.in, "in", "", "load the lines of this file of JSON objects instead of orders")
	fs.IntVar(&f.kills, "kills", 3, "how often to kill the loader in the middle of a transaction")
	fs.IntVar(&f.workers, "workers", 2, "workers of the loader")
	fs.StringVar(&f.postgres, "postgres", "", "URL of a server to use instead of a temporary one; a database is made on it, and dropped at the end")
	fs.BoolVar(&f.keep, "keep", false, "leave everything up at the end, until Ctrl-C, to look around")
	fs.BoolVar(&f.json, "json", false, "print one JSON object on the last line of standard output, and the rest on standard error")
	fs.Uint64Var(&f.seed, "seed", 0, "of the moments to kill at (default: by chance)")
	return cmd
}

// demo is everything the demonstration has running.
type demo struct {
	flags *demoFlags
	out   io.Writer
	start time.Time
	rng   *rand.Rand

	dir      string
	ends     []func() // what ends what was started, in the order of the starts
	kafka    *kfake.Cluster
	database *demoDatabase
	conn     *pgx.Conn
	records  source
	feed     *feed
	child    *child
	load     loadRecord
}

const (
	demoTopic      = "orders"
	demoPartitions = 4
)

func runDemo(cmd *cobra.Command, f *demoFlags) error {
	if f.rows < 1 || f.kills < 0 || f.workers < 1 {
		return usage("--rows and --workers must be at least 1, --kills at least 0")
	}
	if f.seed == 0 {
		f.seed = rand.Uint64()>>32 + 1
	}
	d := &demo{flags: f, out: cmd.OutOrStdout(), start: time.Now(), rng: rand.New(rand.NewPCG(f.seed, 1))}
	if f.json {
		d.out = cmd.ErrOrStderr()
	}
	ctx := cmd.Context()
	defer d.close()
	p, err := d.run(ctx)
	switch {
	case ctx.Err() != nil:
		return withCode(exitFailed, errors.New("interrupted; everything that was started has ended"))
	case errors.Is(err, local.ErrNoPostgres):
		return withCode(exitUnavailable, fmt.Errorf("%w\nOr give a server: sinker demo --postgres URL", err))
	case err != nil:
		return err
	}
	d.show(ctx, p)
	if f.json {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(p); err != nil {
			return err
		}
	}
	if f.keep {
		d.wait(ctx)
	}
	return withCode(exitFailed, p.verdict(f))
}

// run is the demonstration, from the first server to the proof.
func (d *demo) run(ctx context.Context) (p proof, err error) {
	if d.records, err = newSource(d.flags); err != nil {
		return p, usage("--in: %w", err)
	}
	d.defers(d.records.close)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := d.startKafka(ctx); err != nil {
		return p, err
	}
	if err := d.startPostgres(ctx); err != nil {
		return p, err
	}
	if err := d.writeConfig(); err != nil {
		return p, err
	}
	if err := d.loadAndKill(ctx); err != nil {
		if words := d.lastWords(); words != "" {
			err = fmt.Errorf("%w\nThe loader's last words:\n%s", err, words)
		}
		return p, err
	}
	if err := d.child.stop(); err != nil {
		return p, fmt.Errorf("the loader did not end well: %w\n%s", err, d.lastWords())
	}
	return d.prove(ctx)
}

// defers has something done when the demonstration ends, before what was given earlier.
func (d *demo) defers(f func()) { d.ends = append(d.ends, f) }

// close ends whatever was started.
func (d *demo) close() {
	for len(d.ends) > 0 {
		last := d.ends[len(d.ends)-1]
		d.ends = d.ends[:len(d.ends)-1]
		last()
	}
}

// startKafka starts it and begins to produce.
func (d *demo) startKafka(ctx context.Context) (err error) {
	settings := map[string]string{"message.max.bytes": fmt.Sprint(2 * longestLine)}
	d.kafka, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(demoPartitions, demoTopic), kfake.BrokerConfigs(settings))
	if err != nil {
		return err
	}
	d.defers(d.kafka.Close)
	d.say("Kafka", "in this process, at %s, topic %s, %d partitions", d.broker(), demoTopic, demoPartitions)
	d.feed = newFeed(d.records)
	d.feed.start(ctx, d.broker())
	d.defers(d.feed.stop)
	return nil
}

func (d *demo) broker() string { return d.kafka.ListenAddrs()[0] }

func (d *demo) startPostgres(ctx context.Context) (err error) {
	if d.database, err = openDemoDatabase(ctx, d.flags.postgres, d.say); err != nil {
		return err
	}
	d.defers(d.database.close)
	if d.conn, err = d.database.connect(ctx); err != nil {
		return err
	}
	d.defers(func() { d.conn.Close(context.Background()) })
	d.say("Postgres", "%s", d.database.about)
	return nil
}

// writeConfig writes the pipeline, and shows it.
func (d *demo) writeConfig() error {
	columns, err := d.records.columns()
	if err != nil {
		return usage("--in: %w", err)
	}
	var remove func()
	if d.dir, remove, err = local.TempDir("sinker-demo-"); err != nil {
		return err
	}
	d.defers(remove)
	text := fmt.Sprintf(`kafka:    { brokers: %s }
postgres: %%s
workers:  %d
http:     off
sinks:
  - topic: %s
    table: orders
    create: yes
    meta: [partition, offset]
    columns:
`, d.broker(), d.flags.workers, demoTopic)
	d.say("pipeline", "")
	fmt.Fprintf(d.out, "\n%s\n", indent(fmt.Sprintf(text, d.database.shown)+someLines(columns, 12)))
	return os.WriteFile(d.configFile(), fmt.Appendf(nil, text+"%s", strings.ReplaceAll(d.database.url, "$", "$$"), columns), 0o600)
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ") + "\n"
}

// someLines leaves out what is too much to read.
func someLines(s string, n int) string {
	lines := strings.SplitAfter(s, "\n")
	if len(lines) <= n+1 {
		return s
	}
	return strings.Join(lines[:n], "") + fmt.Sprintf("      # and %d more\n", len(lines)-1-n)
}

func (d *demo) configFile() string { return filepath.Join(d.dir, "sinker.yaml") }
func (d *demo) logFile() string    { return filepath.Join(d.dir, "log") }

// say prints a line with the time and a word on what it is about.
func (d *demo) say(what, format string, args ...any) {
	line := fmt.Sprintf("%5.1fs  %-9s %s", time.Since(d.start).Seconds(), what, fmt.Sprintf(format, args...))
	fmt.Fprintln(d.out, strings.TrimRight(line, " "))
}

// lastWords is the end of the loader's log.
func (d *demo) lastWords() string {
	b, err := os.ReadFile(d.logFile())
	if err != nil {
		return ""
	}
	if len(b) > 2000 {
		b = b[len(b)-2000:]
	}
	return strings.TrimSpace(string(b))
}

// wait leaves everything up until told to stop.
func (d *demo) wait(ctx context.Context) {
	fmt.Fprintf(d.out, `
Everything stays up until Ctrl-C. To look around:

    psql '%s'
    sinker status -c %s

`, d.database.shown, d.configFile())
	<-ctx.Done()
}

// grouped writes a number with a comma every three digits.
func grouped(n int64) string {
	if n < 0 {
		return "-" + grouped(-n)
	}
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
