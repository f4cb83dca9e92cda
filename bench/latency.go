package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// latency is how late rows were at a steady rate, in milliseconds.
type latency struct {
	Rate    int         `json:"records_per_second"`
	Records int         `json:"records"`
	Ack     percentiles `json:"produce_to_ack_ms"`     // what Kafka alone takes
	Visible percentiles `json:"produce_to_visible_ms"` // until another connection's query has returned the row
	Fsync   percentiles `json:"fsync_ms"`              // of 8 kB on the disk of Postgres' data, before the run
	Poll    float64     `json:"poll_ms"`               // median time between two looks: how fine Visible can be
	Commits int         `json:"commits"`

	SinkerCPU float64 `json:"sinker_cores"`
	PeakRSS   int64   `json:"peak_rss_bytes"`
}

type percentiles struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
}

func newPercentiles(d []time.Duration) percentiles {
	slices.Sort(d)
	ms := func(p float64) float64 { return percentile(d, p).Seconds() * 1e3 }
	return percentiles{ms(50), ms(99), ms(99.9)}
}

const latencySeconds = 20

// runLatency measures both rates, each with a sinker of its own.
func runLatency(ctx context.Context, e *env, s *scenario) ([]result, error) {
	var all []result
	for _, rate := range []int{1_000, 10_000} {
		l, err := e.latency(ctx, rate)
		if err != nil {
			return nil, err
		}
		all = append(all, result{Scenario: s.name, Latency: l})
	}
	return all, nil
}

// latency runs sinker as a service on an empty topic, produces at a steady rate, and looks all the time what is visible.
func (e *env) latency(ctx context.Context, rate int) (*latency, error) {
	d := orders()
	name := fmt.Sprintf("bench-latency-%d", time.Now().UnixNano())
	if err := e.kafka.recreate(ctx, name, partitions); err != nil {
		return nil, err
	}
	// The index lets the look below find the newest row of a partition at once: record i has id i and is in partition i mod 4.
	index := fmt.Sprintf("CREATE INDEX ON %s ((%s %% %d), %s)", target, d.key, partitions, d.key)
	if err := e.fresh(ctx, d, target, index); err != nil {
		return nil, err
	}
	l := &latency{Rate: rate}
	if e.pg.dataDir != "" {
		var err error
		if l.Fsync, err = fsyncTime(e.pg.dataDir); err != nil {
			return nil, err
		}
	}
	s, err := e.startSinker(ctx, pipeline{name: name, topic: name, table: target, extra: d.lines()})
	if err != nil {
		return nil, err
	}
	err = e.steady(ctx, l, d, name, s)
	if stopErr := s.stop(); err == nil {
		err = stopErr
	}
	if err != nil {
		return nil, err
	}
	l.SinkerCPU = s.cpu().Seconds() / s.ended.Sub(s.started).Seconds()
	l.PeakRSS = s.rss
	_, err = e.kafka.admin.DeleteTopic(ctx, name)
	return l, err
}

// steady produces and looks, at the same time.
func (e *env) steady(ctx context.Context, l *latency, d *dataset, topic string, s *process) error {
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

	// Records before the measured ones. A broker's first minute is its compiler's, not its: after a second of warming up
	// the 99th percentile of its own acknowledgements was 178 ms, in a broker that had served for a while 4 ms.
	const warm, warmRate = 60_000, 2_000
	n := warm + l.Rate*latencySeconds
	w := &watch{conn: look, due: make([]time.Time, n), seen: make([]time.Time, n)}
	ctx, cancel := s.while(ctx)
	defer cancel()
	p := &pace{client: client, data: d, due: w.due, acked: make([]time.Duration, n)}
	if err := p.produce(ctx, 0, warm, warmRate); err != nil {
		return err
	}
	if err := w.until(ctx, warm); err != nil {
		return fmt.Errorf("the first records never became visible: %w\n%s", err, s.log.tail(20))
	}
	var wg sync.WaitGroup
	var produceErr error
	wg.Go(func() { produceErr = p.produce(ctx, warm, n, l.Rate) })
	lookErr := w.until(ctx, n)
	wg.Wait()
	if err := errors.Join(produceErr, lookErr); err != nil {
		return err
	}
	l.Records = n - warm
	l.Ack = newPercentiles(p.acked[warm:])
	l.Visible, l.Poll = w.summary(warm)
	c, err := e.commits(ctx, target)
	l.Commits = c.n
	return err
}

// pace is a producer of records at fixed moments.
type pace struct {
	client *kgo.Client
	data   *dataset
	due    []time.Time // when each record had to go out: a producer that falls behind makes its records late
	acked  []time.Duration
	mu     sync.Mutex
	failed error
}

// produce sends the records [from, to) at a rate a second, and returns when all are acknowledged.
func (p *pace) produce(ctx context.Context, from, to, rate int) error {
	start := time.Now()
	for i := from; i < to; {
		ready := min(to, from+int(time.Since(start).Seconds()*float64(rate)))
		for ; i < ready; i++ {
			n := i
			p.due[i] = start.Add(time.Duration(i-from) * time.Second / time.Duration(rate))
			r := &kgo.Record{Value: p.data.record(nil, int64(i)), Partition: int32(i % partitions)}
			p.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
				p.acked[n] = time.Since(p.due[n])
				if err != nil {
					p.mu.Lock()
					p.failed = err
					p.mu.Unlock()
				}
			})
		}
		time.Sleep(500 * time.Microsecond)
	}
	if err := p.client.Flush(ctx); err != nil {
		return fmt.Errorf("cannot produce: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// watch looks at the table from a connection of its own.
type watch struct {
	conn  *pgx.Conn
	due   []time.Time
	seen  []time.Time // when a query that returned the record had ended
	next  [partitions]int
	looks []time.Duration
}

// until looks until the first n records are visible.
func (w *watch) until(ctx context.Context, n int) error {
	var list []string
	for p := range partitions {
		list = append(list, fmt.Sprintf("coalesce((SELECT max(id) FROM %s WHERE id %% %d = %d), -1)", target, partitions, p))
	}
	sql := "SELECT " + strings.Join(list, ", ")
	idle := time.Now()
	for last := time.Now(); ; {
		var newest [partitions]int
		if err := w.conn.QueryRow(ctx, sql).Scan(&newest[0], &newest[1], &newest[2], &newest[3]); err != nil {
			return err
		}
		now := time.Now()
		w.looks = append(w.looks, now.Sub(last))
		last = now
		left := false
		for p := range partitions {
			for i := w.next[p]*partitions + p; i <= newest[p]; i += partitions {
				w.seen[i] = now
				w.next[p]++
				idle = now
			}
			left = left || w.next[p]*partitions+p < n
		}
		if !left {
			return nil
		}
		if now.Sub(idle) > time.Minute {
			return errors.New("nothing has become visible for a minute")
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// summary of the records from the given one on.
func (w *watch) summary(from int) (percentiles, float64) {
	late := make([]time.Duration, 0, len(w.seen)-from)
	for i := from; i < len(w.seen); i++ {
		late = append(late, w.seen[i].Sub(w.due[i]))
	}
	slices.Sort(w.looks)
	return newPercentiles(late), percentile(w.looks, 50).Seconds() * 1e3
}
