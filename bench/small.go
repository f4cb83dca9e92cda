package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// small is what a steady trickle of records costs: many transactions of few records.
type small struct {
	Sinker       string      `json:"sinker"` // or the variant's name
	Rate         int         `json:"records_per_second"`
	Seconds      float64     `json:"seconds"`
	Held         bool        `json:"held_snapshot"` // another session held a snapshot all the time
	Transactions float64     `json:"transactions_per_second"`
	SinkerCPU    float64     `json:"sinker_cores"`
	PostgresCPU  float64     `json:"postgres_cores"` // also for looking what is visible
	Ack          percentiles `json:"produce_to_ack_ms"`
	Visible      percentiles `json:"produce_to_visible_ms"`
	WALPerDay    int64       `json:"wal_bytes_per_day"` // that Postgres writes at this rate, the rows included
	LedgerPerDay int64       `json:"ledger_rows_per_day"`
	Offsets      int64       `json:"offsets_bytes"` // of sinker.offsets and its index, at the end
	Parts        []smallPart `json:"parts,omitempty"`
}

// smallPart is a part of the time: with a snapshot held, what grows shows.
type smallPart struct {
	Transactions float64     `json:"transactions_per_second"`
	Visible      percentiles `json:"produce_to_visible_ms"`
}

const (
	smallWarmup = 5 * time.Second
	smallParts  = 5
)

// runSmall measures each rate, sinker and its variants in turns.
func runSmall(ctx context.Context, e *env, s *scenario) (all []result, err error) {
	for _, rate := range e.rates {
		for n := range e.repeat {
			for _, as := range append([]variant{{name: "sinker"}}, e.variants...) {
				m, err := e.small(ctx, rate, as)
				if err != nil {
					return nil, err
				}
				e.say("  %d/%d %s", n+1, e.repeat, m)
				all = append(all, result{Scenario: s.name, Small: m})
			}
		}
	}
	return all, nil
}

func (m *small) String() string {
	return fmt.Sprintf("%-12s %5d/s: %4.0f transactions/s, sinker %.2f cores, Postgres %.2f, visible p50 %.1f p99 %.1f ms, WAL %.2f GB a day, ledger %d rows a day, offsets %d kB",
		m.Sinker, m.Rate, m.Transactions, m.SinkerCPU, m.PostgresCPU, m.Visible.P50, m.Visible.P99, float64(m.WALPerDay)/1e9, m.LedgerPerDay, m.Offsets/1024)
}

// small runs a sinker as a service on an empty topic and produces at a steady rate.
func (e *env) small(ctx context.Context, rate int, as variant) (*small, error) {
	d := orders()
	name := fmt.Sprintf("bench-small-%d", time.Now().UnixNano())
	if err := e.kafka.recreate(ctx, name, partitions); err != nil {
		return nil, err
	}
	index := fmt.Sprintf("CREATE INDEX ON %s ((%s %% %d), %s)", target, d.key, partitions, d.key)
	if err := e.fresh(ctx, d, target, "DROP SCHEMA IF EXISTS sinker CASCADE", index); err != nil {
		return nil, err
	}
	s, err := e.startSinker(ctx, pipeline{name: name, topic: name, table: target, extra: d.lines(), as: as})
	if err != nil {
		return nil, err
	}
	m := &small{Sinker: as.name, Rate: rate, Held: e.held}
	err = e.trickle(ctx, m, d, name, s)
	if stopErr := s.stop(); err == nil {
		err = stopErr
	}
	_, deleteErr := e.kafka.admin.DeleteTopic(ctx, name)
	return m, cmp.Or(err, deleteErr)
}

// trickle produces and looks, at the same time.
func (e *env) trickle(ctx context.Context, m *small, d *dataset, topic string, s *process) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(e.kafka.brokers...), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codecs[e.compression]), kgo.ProducerLinger(0))
	if err != nil {
		return fmt.Errorf("cannot make a producer: %w", err)
	}
	defer client.Close()
	look, err := pgx.Connect(ctx, e.pg.url)
	if err != nil {
		return err
	}
	defer look.Close(context.WithoutCancel(ctx))
	warm := int(smallWarmup.Seconds() * float64(m.Rate))
	n := warm + int(e.seconds.Seconds()*float64(m.Rate))
	w := &watch{conn: look, due: make([]time.Time, n), seen: make([]time.Time, n)}
	ctx, cancel := s.while(ctx)
	defer cancel()
	p := &pace{client: client, data: d, due: w.due, acked: make([]time.Duration, n)}
	if err := p.produce(ctx, 0, warm, m.Rate); err != nil {
		return err
	}
	if err := w.until(ctx, warm); err != nil {
		return fmt.Errorf("the first records never became visible: %w\n%s", err, s.log.tail(20))
	}
	if e.held {
		release, err := e.holdSnapshot(ctx)
		if err != nil {
			return err
		}
		defer release()
	}
	before, err := e.prices(ctx, s)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var produceErr error
	wg.Go(func() { produceErr = p.produce(ctx, warm, n, m.Rate) })
	lookErr := w.until(ctx, n)
	wg.Wait()
	if err := errors.Join(produceErr, lookErr); err != nil {
		return err
	}
	after, err := e.prices(ctx, s)
	if err != nil {
		return err
	}
	m.reckon(before, after)
	m.Ack = newPercentiles(p.acked[warm:])
	return e.parts(ctx, m, w, warm)
}

// prices are counters whose differences are what a time has cost.
type prices struct {
	at               time.Time
	sinker, postgres time.Duration
	wal, ledger      int64
	offsets          int64
}

func (e *env) prices(ctx context.Context, s *process) (p prices, err error) {
	p = prices{at: time.Now(), sinker: treeCPU(s.cmd.Process.Pid), postgres: treeCPU(e.pg.pid)}
	err = e.pg.conn.QueryRow(ctx, `SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, (SELECT count(*) FROM sinker.batches),
		pg_total_relation_size('sinker.offsets')`).Scan(&p.wal, &p.ledger, &p.offsets)
	return p, err
}

func (m *small) reckon(before, after prices) {
	m.Seconds = after.at.Sub(before.at).Seconds()
	perDay := func(n int64) int64 { return int64(float64(n) / m.Seconds * 86400) }
	m.SinkerCPU = (after.sinker - before.sinker).Seconds() / m.Seconds
	m.PostgresCPU = (after.postgres - before.postgres).Seconds() / m.Seconds
	m.WALPerDay, m.LedgerPerDay, m.Offsets = perDay(after.wal-before.wal), perDay(after.ledger-before.ledger), after.offsets
}

// parts counts the transactions and looks at the latencies, of all the time and of its parts.
func (e *env) parts(ctx context.Context, m *small, w *watch, warm int) error {
	n := len(w.seen)
	at := func(i int) int { return warm + (n-warm)*i/smallParts }
	part := func(from, to int) (p smallPart, err error) {
		late := make([]time.Duration, 0, to-from)
		for i := from; i < to; i++ {
			late = append(late, w.seen[i].Sub(w.due[i]))
		}
		p.Visible = newPercentiles(late)
		var count int
		err = e.pg.conn.QueryRow(ctx, fmt.Sprintf(`SELECT count(DISTINCT xmin::text) FROM %s WHERE id >= $1 AND id < $2`, target), from, to).Scan(&count)
		p.Transactions = float64(count) / w.seen[to-1].Sub(w.seen[from]).Seconds()
		return p, err
	}
	all, err := part(warm, n)
	if err != nil {
		return err
	}
	m.Transactions, m.Visible = all.Transactions, all.Visible
	for i := 0; m.Held && i < smallParts; i++ {
		p, err := part(at(i), at(i+1))
		if err != nil {
			return err
		}
		e.say("    part %d of %d: %.0f transactions/s, visible p50 %.1f p99 %.1f ms", i+1, smallParts, p.Transactions, p.Visible.P50, p.Visible.P99)
		m.Parts = append(m.Parts, p)
	}
	return nil
}

// holdSnapshot does what pg_dump does: from now on no row version that a transaction leaves behind can be pruned.
func (e *env) holdSnapshot(ctx context.Context) (release func(), err error) {
	conn, err := pgx.Connect(ctx, e.pg.url)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM sinker.offsets`); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return func() { conn.Close(context.WithoutCancel(ctx)) }, nil
}

func (r *report) printSmall(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	lines := 0
	for _, s := range r.Scenarios {
		m := s.Small
		if m == nil {
			continue
		}
		if lines++; lines == 1 {
			fmt.Fprintln(t, "\nsmall batches\trecords/s\tsnapshot held\ttransactions/s\tsinker cores\tPostgres cores\tvisible p50\tp99\tack p50\tWAL GB a day\tledger rows a day\toffsets kB\t")
		}
		fmt.Fprintf(t, "%s\t%d\t%v\t%.0f\t%.2f\t%.2f\t%.1f\t%.1f\t%.1f\t%.2f\t%d\t%d\t\n", m.Sinker, m.Rate, m.Held, m.Transactions, m.SinkerCPU, m.PostgresCPU,
			m.Visible.P50, m.Visible.P99, m.Ack.P50, float64(m.WALPerDay)/1e9, m.LedgerPerDay, m.Offsets/1024)
	}
	t.Flush()
}
