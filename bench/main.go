// Command bench measures sinker and psql's \copy of the same rows, on one machine, in one run.
//
// It starts (or is given) a real Kafka and a real Postgres, makes the data once, and then takes turns: the reference,
// sinker, the reference, sinker, so that whatever slows the machine down slows both. It measures and reports; it knows
// nothing of sinker's insides beyond its command line, its configuration file and its /metrics page.
//
//	go run ./bench                              the main scenarios
//	go run ./bench -quick                       append only, within a minute
//	go run ./bench -scenario append,latency     chosen ones
//
// What is measured, and how, is written in docs/performance.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sinker/internal/local"
)

// options are the command line.
type options struct {
	quick       bool
	scenarios   []string
	rows        int64 // 0: each scenario's own number
	repeat      int
	brokers     string
	postgres    string
	json        string
	sinker      string
	dir         string
	partitions  int
	compression string
	with        []string // further lines of sinker's configuration
	variants    []variant
	rates       []int         // records per second of the scenario small
	seconds     time.Duration // of each of its measurements
	held        bool          // with a snapshot held
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program. It returns 0 when everything asked for was measured, 1 when something failed, 64 on wrong
// usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 64
	}
	if err := bench(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

// parse reads the command line and checks the scenario names.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	var scenario string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.BoolVar(&o.quick, "quick", false, "append only, within a minute; the last line of stdout is append_ratio=… "+
		"cpu_us_per_row=… rss_mb=…")
	f.StringVar(&scenario, "scenario", strings.Join(defaultScenarios, ","),
		"comma-separated: "+strings.Join(scenarioNames(), ", "))
	f.Int64Var(&o.rows, "rows", 0, "records of each load (default: each scenario's own number)")
	f.IntVar(&o.repeat, "repeat", 3, "turns of the reference and of sinker")
	f.StringVar(&o.brokers, "brokers", "", "a running Kafka's brokers (default: start one)")
	f.StringVar(&o.postgres, "postgres", "", "URL of a running Postgres whose user may create databases and "+
		"CHECKPOINT (default: start one)")
	f.StringVar(&o.json, "json", "", "write the results as JSON to this file")
	f.StringVar(&o.sinker, "sinker", "", "the sinker binary (default: build ./cmd/sinker)")
	f.StringVar(&o.dir, "dir", filepath.Join(os.TempDir(), "sinker-bench"),
		"keeps the reference files between runs, and a started Kafka's data during one")
	f.IntVar(&o.partitions, "partitions", 1000, "partitions of the scenario \"partitions\"")
	f.DurationVar(&o.seconds, "for", 20*time.Second, "how long each measurement of the scenario \"small\" lasts")
	f.BoolVar(&o.held, "held-snapshot", false, "in the scenario \"small\", another session holds a snapshot, as "+
		"pg_dump does; try -for 10m")
	o.rates = []int{50, 1_000, 10_000}
	f.Func("rates", "comma-separated records/s of the scenario \"small\" (default 50,1000,10000)", o.parseRates)
	f.StringVar(&o.compression, "compression", "none", "of the topics' batches: none, lz4, snappy, zstd or gzip")
	f.Func("with", "a further line of sinker's configuration, such as \"workers: 1\", to try something that is not "+
		"the default (repeatable)", func(line string) error {
		o.with = append(o.with, line)
		return nil
	})
	f.Func("variant", "`name[=binary][;line…]`: in the scenarios of append, upsert, aggregate, partitions and small, "+
		"a further sinker that takes turns with the others: another binary, or with these lines of configuration, or "+
		"both (repeatable)", func(v string) error {
		o.variants = append(o.variants, parseVariant(v))
		return nil
	})
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return o, o.settle(scenario)
}

// settle checks the options, and finds the scenarios.
func (o *options) settle(scenario string) error {
	if o.quick {
		scenario = "append"
		if o.rows == 0 {
			o.rows = quickRows
		}
	}
	if o.repeat < 1 {
		return errors.New("-repeat must be at least 1")
	}
	if _, ok := codecs[o.compression]; !ok {
		return fmt.Errorf("no compression %q", o.compression)
	}
	o.scenarios = strings.Split(scenario, ",")
	for _, name := range o.scenarios {
		if findScenario(name) == nil {
			return fmt.Errorf("no scenario %q; there are %s", name, strings.Join(scenarioNames(), ", "))
		}
	}
	return nil
}

func (o *options) parseRates(list string) error {
	o.rates = nil
	for _, text := range strings.Split(list, ",") {
		rate, err := strconv.Atoi(text)
		if err != nil || rate < 1 {
			return fmt.Errorf("%q is not a number of records per second", text)
		}
		o.rates = append(o.rates, rate)
	}
	return nil
}

// bench starts the servers, runs the scenarios in turn and writes the report.
func bench(ctx context.Context, o *options, stdout, stderr io.Writer) (err error) {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return fmt.Errorf("cannot make the working directory: %w", err)
	}
	e := &env{options: o, progress: stderr}
	defer func() { err = errors.Join(err, e.close()) }()
	if err := e.open(ctx); err != nil {
		return err
	}
	rep, err := e.newReport(ctx)
	if err != nil {
		return err
	}
	for _, name := range o.scenarios {
		s := findScenario(name)
		e.say("%s: %s", s.name, s.about)
		result, err := s.run(ctx, e, s)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		rep.Scenarios = append(rep.Scenarios, result...)
	}
	rep.print(stdout)
	if o.json != "" {
		if err := rep.write(o.json); err != nil {
			return err
		}
	}
	if o.quick {
		fmt.Fprintln(stdout, rep.quickLine())
	}
	return nil
}

// env is what a run of the program works with.
type env struct {
	*options
	progress io.Writer
	sinker   string // the binary
	kafka    *kafka
	pg       *postgres
	cleanup  []func() error // run backwards by close
}

// open finds or starts the servers and the binary.
func (e *env) open(ctx context.Context) error {
	if local.FindProgram("psql") == "" {
		return errors.New("psql is not on the PATH: the reference is psql's \\copy; install Postgres' client (apt " +
			"install postgresql-client)")
	}
	var err error
	if e.sinker, err = e.binary(ctx); err != nil {
		return err
	}
	if e.kafka, err = openKafka(ctx, e); err != nil {
		return err
	}
	if e.pg, err = openPostgres(ctx, e); err != nil {
		return err
	}
	return nil
}

// close stops what open started, in reverse order.
func (e *env) close() error {
	var all []error
	for i := len(e.cleanup) - 1; i >= 0; i-- {
		all = append(all, e.cleanup[i]())
	}
	return errors.Join(all...)
}

func (e *env) say(format string, args ...any) {
	fmt.Fprintf(e.progress, format+"\n", args...)
}

// version is what the measured binary says of itself.
func (e *env) version(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, e.sinker, "version").Output()
	if err != nil {
		return "sinker of unknown version"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// binary is the path of the sinker to measure: the given one, or a fresh build.
func (e *env) binary(ctx context.Context) (string, error) {
	if e.options.sinker != "" {
		return filepath.Abs(e.options.sinker)
	}
	out := filepath.Join(e.dir, "sinker")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, "sinker/cmd/sinker")
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build sinker (run this from the project's directory, or give -sinker): %w\n%s", err, b)
	}
	return out, nil
}
