package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Case is one test's pipeline from its own topic into its own database.
type Case struct {
	*Bed
	Name string // of topic, database and pipeline
	Load *Load
	DB   *pgxpool.Pool
	t    *testing.T
}

// ErrNotYet is what a condition says when there is no more to say.
var ErrNotYet = errors.New("not yet")

// appendTable has no unique key: a constraint would hide the duplicates that the tests look for.
const appendTable = `CREATE TABLE records (id bigint NOT NULL, kept boolean NOT NULL, key text NOT NULL,
	amount numeric(12,2) NOT NULL,
	note text, kafka_partition integer NOT NULL, kafka_offset bigint NOT NULL)`

// NewCase makes topic and database. Their name gets a number, so that a test can run again on the same bed (-count).
func (b *Bed) NewCase(t *testing.T, name string, partitions int, topicSettings ...string) *Case {
	t.Helper()
	name = fmt.Sprintf("%s-%d", name, b.cases.Add(1))
	if err := b.Kafka.CreateTopic(t.Context(), name, int32(partitions), topicSettings...); err != nil {
		t.Fatalf("creating topic %s: %v", name, err)
	}
	b.Postgres.Database(t, name, appendTable)
	return &Case{Bed: b, Name: name, t: t, DB: b.Postgres.Connect(t, name),
		Load: &Load{Addr: b.Kafka.Addr, Topic: name, Partitions: partitions}}
}

// Settings are what differs between the tests' configurations. Head and Sink are more lines for the top level and for
// the one sink, Kafka is more of its flow mapping.
type Settings struct {
	Pipeline    string // default: the case's name
	Table       string // default: records
	Kafka       string
	Head, Sink  string
	Rows        int // of a batch; 0: sinker's default
	KafkaAddr   string
	PostgresURL string
}

// YAML returns a configuration. Without KafkaAddr and PostgresURL it is for a process on this machine.
func (c *Case) YAML(s Settings) string {
	s.Pipeline = cmp.Or(s.Pipeline, c.Name)
	s.KafkaAddr = cmp.Or(s.KafkaAddr, c.Kafka.Addr)
	s.PostgresURL = cmp.Or(s.PostgresURL, c.Postgres.URL(c.Name))
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nkafka: { brokers: %q%s }\npostgres: %q\n", s.Pipeline, s.KafkaAddr, s.Kafka, s.PostgresURL)
	if s.Rows > 0 {
		fmt.Fprintf(&b, "batch: { rows: %d }\n", s.Rows)
	}
	b.WriteString(indent(s.Head, ""))
	fmt.Fprintf(&b, "sinks:\n  - topic: %s\n    table: %s\n    meta: [partition, offset]\n%s", c.Name,
		cmp.Or(s.Table, "records"), indent(s.Sink, "    "))
	return b.String()
}

func indent(text, by string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(by + strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}

// Positions returns next_offset of each partition that a pipeline has taken, and the sum of them. A pipeline that has
// not begun has none.
func (c *Case) Positions(ctx context.Context, pipeline string) (map[int32]int64, int64, error) {
	positions, sum := map[int32]int64{}, int64(0)
	rows, err := c.DB.Query(ctx, `SELECT partition, next_offset FROM sinker.offsets WHERE pipeline = $1 AND topic = $2`,
		pipeline, c.Name)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var p int32
		var next int64
		if err := rows.Scan(&p, &next); err != nil {
			return nil, 0, err
		}
		positions[p] = next
		sum += next
	}
	return positions, sum, rows.Err()
}

// Until waits until a condition holds; what it says last is shown when it does not in time. The processes given must
// stay alive meanwhile.
func (c *Case) Until(within time.Duration, what string, holds func(ctx context.Context) error, alive ...*Process) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), within)
	defer cancel()
	var died error
	err := Poll(ctx, func() error {
		for _, p := range alive {
			if died = p.Alive(); died != nil {
				return nil
			}
		}
		return holds(ctx)
	})
	if err = errors.Join(died, err); err != nil {
		c.t.Fatalf("%s, within %v: %v", what, within, err)
	}
}

// Drained waits until a pipeline's positions are the ends of the topic, control records at its tail included.
func (c *Case) Drained(within time.Duration, pipeline string, alive ...*Process) {
	c.t.Helper()
	c.Until(within, "every position at the end of its partition", func(ctx context.Context) error {
		// Asked again each time: Kafka writes the marker of a transaction after it has answered its end.
		ends, err := c.Kafka.Ends(ctx, c.Name)
		if err != nil {
			return err
		}
		positions, _, err := c.Positions(ctx, pipeline)
		if err != nil {
			return err
		}
		for p, end := range ends {
			if positions[p] != end {
				return fmt.Errorf("partition %d is at %d of %d (all: %v)", p, positions[p], end, positions)
			}
		}
		return nil
	}, alive...)
}

// Verify ends a test: Kafka's own reader against the tables. It returns the report when there is no problem.
func (c *Case) Verify(check Check) *Report {
	c.t.Helper()
	ctx := c.t.Context()
	truth, err := c.Kafka.Truth(ctx, c.Name, c.Load.Last())
	if err != nil {
		c.t.Fatal(err)
	}
	ends, err := c.Kafka.Ends(ctx, c.Name)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range truth {
		if !r.Kept && !r.Tombstone {
			c.t.Fatalf("Kafka shows record %d of an aborted transaction: the test's own bookkeeping is wrong", r.ID)
		}
	}
	report, err := check.Run(ctx, c.DB, truth, ends)
	if err != nil {
		c.t.Fatalf("the checker could not look: %v", err)
	}
	for _, p := range report.Problems {
		c.t.Error(p)
	}
	var leaked int64
	if err := c.DB.QueryRow(ctx, "SELECT count(*) FROM "+check.Table+" WHERE NOT kept").Scan(&leaked); err != nil {
		c.t.Fatal(err)
	}
	if leaked > 0 {
		c.t.Errorf("table %s has %d rows of aborted transactions", check.Table, leaked)
	}
	c.t.Logf("%s: %d committed records, %d aborted, %d rows, %d dead letters: %d missing, %d doubled, %d foreign, %d "+
		"changed", check.Pipeline, report.Records, c.Load.Aborted(), report.Rows, report.Dead, report.Missing,
		report.Doubled, report.Foreign, report.Changed)
	return report
}

// EveryRecord holds what Kafka holds against what the producers were told: where these differ Kafka lost records, or
// the test is wrong, and the checker's answer would mean nothing.
func (c *Case) EveryRecord(report *Report) {
	c.t.Helper()
	if report.Records != c.Load.Committed() {
		c.t.Errorf("Kafka took %d records and now has %d", c.Load.Committed(), report.Records)
	}
}
