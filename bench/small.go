package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"sinker/internal/table"

	"github.com/jackc/pgx/v5"
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
	return fmt.Sprintf("%-12s %5d/s: %4.0f transactions/s, sinker %.2f cores, Postgres %.2f, visible p50 %.1f p99 "+
		"%.1f ms, "+
		"WAL %.2f GB per day, ledger %d rows per day, offsets %d kB",
		m.Sinker, m.Rate, m.Transactions, m.SinkerCPU, m.PostgresCPU, m.Visible.P50, m.Visible.P99,
		float64(m.WALPerDay)/1e9, m.LedgerPerDay, m.Offsets/1024)
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
	ctx, cancel := s.while(ctx)
	defer cancel()
	records := func(d time.Duration) int { return int(d.Seconds() * float64(m.Rate)) }
	f, err := e.newFlow(ctx, d, topic, records(smallWarmup), records(e.seconds))
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.warmUp(ctx, m.Rate, s); err != nil {
		return err
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
	if err := f.measure(ctx, m.Rate); err != nil {
		return err
	}
	after, err := e.prices(ctx, s)
	if err != nil {
		return err
	}
	m.reckon(before, after)
	m.Ack = newPercentiles(f.acked[f.warm:])
	return e.parts(ctx, m, f.watch, f.warm)
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
	err = e.pg.conn.QueryRow(ctx, `SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint,
		(SELECT count(*) FROM sinker.batches),
		pg_total_relation_size('sinker.offsets')`).Scan(&p.wal, &p.ledger, &p.offsets)
	return p, err
}

func (m *small) reckon(before, after prices) {
	m.Seconds = after.at.Sub(before.at).Seconds()
	perDay := func(n int64) int64 { return int64(float64(n) / m.Seconds * 86400) }
	m.SinkerCPU = (after.sinker - before.sinker).Seconds() / m.Seconds
	m.PostgresCPU = (after.postgres - before.postgres).Seconds() / m.Seconds
	m.WALPerDay, m.LedgerPerDay, m.Offsets = perDay(after.wal-before.wal), perDay(after.ledger-before.ledger),
		after.offsets
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
		err = e.pg.conn.QueryRow(ctx, fmt.Sprintf(`SELECT count(DISTINCT xmin::text) FROM %s WHERE id >= $1 AND id < $2`,
			target), from, to).Scan(&count)
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
		e.say("    part %d of %d: %.0f transactions/s, visible p50 %.1f p99 %.1f ms", i+1, smallParts, p.Transactions,
			p.Visible.P50, p.Visible.P99)
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
	t := table.NewRight(w, "small batches", "records/s", "snapshot held", "transactions/s", "sinker cores",
		"Postgres cores", "visible p50", "p99", "ack p50", "WAL GB per day", "ledger rows per day", "offsets kB")
	some := false
	for _, s := range r.Scenarios {
		m := s.Small
		if m == nil {
			continue
		}
		some = true
		t.Row(m.Sinker, m.Rate, m.Held, digits0(m.Transactions), digits2(m.SinkerCPU), digits2(m.PostgresCPU),
			digits1(m.Visible.P50), digits1(m.Visible.P99), digits1(m.Ack.P50), digits2(float64(m.WALPerDay)/1e9),
			m.LedgerPerDay, m.Offsets/1024)
	}
	if some {
		fmt.Fprintln(w)
		t.Flush()
	}
}
