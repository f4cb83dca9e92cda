// Package demo is the demonstration: it starts a Kafka in this process and a temporary Postgres, loads with this very
// program as a process of its own, kills that inside its transactions, and proves by SQL that every record is there
// once.
//
// It is not part of the service: the build tag nodemo leaves it out, with its servers.
package demo

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
	"sinker/internal/printable"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Options choose what is demonstrated.
type Options struct {
	Rows     int64  // orders to produce, at least 1; ignored with In
	In       string // a file of JSON objects, one per line, to load instead of orders
	Kills    int    // SIGKILLs of the loader, each inside a transaction
	Workers  int    // of the loader, at least 1
	Postgres string // URL of a server to use; empty: a temporary server
	Keep     bool   // keep everything running until ctx ends
	Seed     uint64 // of the kill times; 0: random

	Out    io.Writer // the report, for people
	Result io.Writer // one JSON object: the result; nil: none
}

// OptionError says that an option is unusable. Nothing was loaded.
type OptionError struct{ Err error }

func (e *OptionError) Error() string { return e.Err.Error() }
func (e *OptionError) Unwrap() error { return e.Err }

// UnavailableError says that no Postgres server is available. Nothing was loaded.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string { return e.Err.Error() }
func (e *UnavailableError) Unwrap() error { return e.Err }

func badOption(format string, args ...any) error { return &OptionError{fmt.Errorf(format, args...)} }

// demo is everything the demonstration has running.
type demo struct {
	opts  *Options
	out   io.Writer
	start time.Time
	rng   *rand.Rand

	dir      string
	ends     []func() // what ends what was started, in the order of the starts
	kafka    *kfake.Cluster
	database *database
	conn     *pgx.Conn
	records  source
	feed     *feed
	child    *child
	load     loadRecord
}

const (
	topic      = "orders"
	partitions = 4
)

// Run demonstrates: it starts the servers, loads, kills, and proves. Everything that it started has ended when it
// returns. A nil error means that the proof holds.
func Run(ctx context.Context, o Options) error {
	if o.Rows < 1 || o.Kills < 0 || o.Workers < 1 {
		return badOption("--rows and --workers must be at least 1, --kills at least 0")
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()>>32 + 1
	}
	d := &demo{opts: &o, out: o.Out, start: time.Now(), rng: rand.New(rand.NewPCG(o.Seed, 1))}
	defer d.close()
	p, err := d.run(ctx)
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted; everything that was started has ended")
	case errors.Is(err, local.ErrNoPostgres):
		return &UnavailableError{fmt.Errorf("%w\nOr give a server: sinker demo --postgres URL", err)}
	case err != nil:
		return err
	}
	d.show(ctx, p)
	if o.Result != nil {
		if err := json.NewEncoder(o.Result).Encode(p); err != nil {
			return err
		}
	}
	if o.Keep {
		d.wait(ctx)
	}
	return p.verdict(&o)
}

// run is the demonstration, from the first server to the proof.
func (d *demo) run(ctx context.Context) (p Result, err error) {
	if d.records, err = newSource(d.opts); err != nil {
		return p, badOption("--in: %w", err)
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
	d.kafka, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic),
		kfake.BrokerConfigs(settings))
	if err != nil {
		return err
	}
	d.defers(d.kafka.Close)
	d.say("Kafka", "in this process, at %s, topic %s, %s", d.broker(), topic, printable.Count(partitions, "partition"))
	d.feed = newFeed(d.records)
	d.feed.start(ctx, d.broker())
	d.defers(d.feed.stop)
	return nil
}

func (d *demo) broker() string { return d.kafka.ListenAddrs()[0] }

func (d *demo) startPostgres(ctx context.Context) (err error) {
	if d.database, err = openDatabase(ctx, d.opts.Postgres, d.say); err != nil {
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
		return badOption("--in: %w", err)
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
`, d.broker(), d.opts.Workers, topic)
	d.say("pipeline", "")
	fmt.Fprintf(d.out, "\n%s\n", indent(fmt.Sprintf(text, d.database.shown)+someLines(columns, 12)))
	return os.WriteFile(d.configFile(), fmt.Appendf(nil, text+"%s", strings.ReplaceAll(d.database.url, "$", "$$"),
		columns), 0o600)
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
