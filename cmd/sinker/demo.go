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
	rows    int64
	in      string
	kills   int
	workers int
	keep    bool
	json    bool
	seed    uint64
}

func newDemoCommand() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See exactly-once for yourself: no Kafka, Postgres or Docker needed",
		Long: `Starts a Kafka in this process and a temporary Postgres, produces orders, loads them with the
real ` + "`sinker run`" + `, kills that with SIGKILL in the middle of its transactions, and proves by SQL
that every order is there once.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, &f) },
	}
	fs := cmd.Flags()
	fs.Int64Var(&f.rows, "rows", 1_000_000, "how many orders")
	fs.StringVar(&f.in, "in", "", "load the lines of this file of JSON objects instead of orders")
	fs.IntVar(&f.kills, "kills", 3, "how often to kill the loader in the middle of a transaction")
	fs.IntVar(&f.workers, "workers", 2, "workers of the loader")
	fs.BoolVar(&f.keep, "keep", false, "leave everything up at the end, to look around")
	fs.BoolVar(&f.json, "json", false, "print one JSON object on the last line of standard output")
	fs.Uint64Var(&f.seed, "seed", 0, "of the moments to kill at (default: by chance)")
	return cmd
}

// demo is everything the demonstration has running.
type demo struct {
	flags   *demoFlags
	out     io.Writer
	start   time.Time
	dir     string
	pg      *local.Postgres
	kafka   *kfake.Cluster
	conn    *pgx.Conn
	records source
	child   *child
	rng     *rand.Rand

	kills   int
	loading time.Duration
}

// proof is the outcome, and the JSON of --json.
type proof struct {
	Rows          int64   `json:"rows"`
	Lost          int64   `json:"lost"`
	Duplicated    int64   `json:"duplicated"`
	Changed       int64   `json:"changed"`
	DeadLetters   int64   `json:"dead_letters"`
	Kills         int     `json:"kills"`
	RowsPerSecond int64   `json:"rows_per_second"`
	Seconds       float64 `json:"seconds"`
	Seed          uint64  `json:"seed"`
}

const demoTopic = "orders"

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
	defer d.close()
	p, err := d.run(cmd.Context())
	if err != nil {
		if errors.Is(err, local.ErrNoPostgres) {
			return withCode(exitUnavailable, err)
		}
		return withCode(exitFailed, err)
	}
	if f.json {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(p); err != nil {
			return err
		}
	}
	if p.Lost+p.Duplicated+p.Changed > 0 || p.Kills < f.kills {
		return withCode(exitFailed, errors.New("the proof failed"))
	}
	return nil
}

// run is the demonstration, from the first server to the proof.
func (d *demo) run(ctx context.Context) (proof, error) {
	if err := d.servers(ctx); err != nil {
		return proof{}, err
	}
	if err := d.config(); err != nil {
		return proof{}, err
	}
	produced := make(chan error, 1)
	go func() { produced <- d.produce(ctx) }()
	begin := time.Now()
	if err := d.startChild(); err != nil {
		return proof{}, err
	}
	if err := d.watchLoad(ctx, produced); err != nil {
		return proof{}, fmt.Errorf("%w\nThe loader's last words:\n%s", err, d.lastWords())
	}
	d.loading = time.Since(begin)
	if err := d.child.stop(); err != nil {
		return proof{}, fmt.Errorf("the loader did not end well: %w\n%s", err, d.lastWords())
	}
	p, err := d.prove(ctx)
	if err != nil {
		return p, err
	}
	d.show(ctx, p)
	if d.flags.keep {
		d.wait(ctx)
	}
	return p, nil
}

// servers starts Kafka and Postgres.
func (d *demo) servers(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "sinker-demo-"); err != nil {
		return err
	}
	if d.records, err = newSource(d.flags); err != nil {
		return err
	}
	if d.kafka, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, demoTopic)); err != nil {
		return err
	}
	d.say("Kafka     in this process, at %s, topic %s with 4 partitions", d.kafka.ListenAddrs()[0], demoTopic)
	d.pg, err = local.StartPostgres(ctx, local.PostgresOptions{Fsync: true, Settings: map[string]string{"max_wal_size": "4GB", "shared_buffers": "256MB"}})
	if err != nil {
		return err
	}
	if d.conn, err = pgx.Connect(ctx, d.pg.URL("postgres")); err != nil {
		return err
	}
	var version string
	if err := d.conn.QueryRow(ctx, `SELECT split_part(version(), ' on ', 1)`).Scan(&version); err != nil {
		return err
	}
	d.say("Postgres  %s, temporary, fsync on", version)
	return nil
}

// config writes the pipeline that is shown and used.
func (d *demo) config() error {
	columns := ""
	if d.flags.in == "" {
		columns = "    columns:\n" + local.OrderColumns
	}
	text := fmt.Sprintf(`kafka:    { brokers: %s }
postgres: %s
workers:  %d
http:     off
sinks:
  - topic: %s
    table: orders
    create: yes
    meta: [partition, offset]
%s`, d.kafka.ListenAddrs()[0], d.pg.URL("postgres"), d.flags.workers, demoTopic, columns)
	d.say("Pipeline\n\n%s", indent(text))
	return os.WriteFile(d.configFile(), []byte(text), 0o600)
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ") + "\n"
}

func (d *demo) configFile() string { return filepath.Join(d.dir, "sinker.yaml") }
func (d *demo) logFile() string    { return filepath.Join(d.dir, "log") }

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "%5.1fs  %s\n", time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
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
	fmt.Fprintf(d.out, "\nEverything stays up until Ctrl-C. To look around:\n\n    psql '%s'\n\n", d.pg.URL("postgres"))
	<-ctx.Done()
}

// close ends whatever was started, in reverse.
func (d *demo) close() {
	if d.child != nil {
		d.child.kill()
	}
	if d.conn != nil {
		d.conn.Close(context.Background())
	}
	if d.pg != nil {
		d.pg.Close()
	}
	if d.kafka != nil {
		d.kafka.Close()
	}
	if d.records != nil {
		d.records.close()
	}
	if d.dir != "" {
		os.RemoveAll(d.dir)
	}
}
