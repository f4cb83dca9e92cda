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

// flow is a producer at a steady rate, and a look at what becomes visible of its records: some to warm up, then those
// that are measured.
type flow struct {
	*pace
	watch   *watch
	warm, n int // the first record that is measured, and the end
}

func (e *env) newFlow(ctx context.Context, d *dataset, topic string, warm, measured int) (*flow, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(e.kafka.brokers...), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codecs[e.compression]),
		kgo.ProducerLinger(0))
	if err != nil {
		return nil, fmt.Errorf("cannot make a producer: %w", err)
	}
	look, err := pgx.Connect(ctx, e.pg.url)
	if err != nil {
		client.Close()
		return nil, err
	}
	n := warm + measured
	due := make([]time.Time, n)
	return &flow{
		pace:  &pace{client: client, data: d, due: due, acked: make([]time.Duration, n)},
		watch: &watch{conn: look, due: due, seen: make([]time.Time, n)},
		warm:  warm, n: n,
	}, nil
}

func (f *flow) close() {
	f.client.Close()
	f.watch.conn.Close(context.Background())
}

// warmUp produces the first records, and returns when all are visible.
func (f *flow) warmUp(ctx context.Context, rate int, s *process) error {
	if err := f.produce(ctx, 0, f.warm, rate); err != nil {
		return err
	}
	if err := f.watch.until(ctx, f.warm); err != nil {
		return fmt.Errorf("the first records never became visible: %w\n%s", err, s.log.tail(20))
	}
	return nil
}

// measure produces the other records and looks at the same time. It returns when all are visible.
func (f *flow) measure(ctx context.Context, rate int) error {
	var wg sync.WaitGroup
	var produceErr error
	wg.Go(func() { produceErr = f.produce(ctx, f.warm, f.n, rate) })
	lookErr := f.watch.until(ctx, f.n)
	wg.Wait()
	return errors.Join(produceErr, lookErr)
}

// pace is a producer of records at fixed times.
type pace struct {
	client *kgo.Client
	data   *dataset
	due    []time.Time // when each record had to go out: a producer that falls behind makes its records late
	acked  []time.Duration
	mu     sync.Mutex
	failed error
}

// produce sends the records [from, to) at a rate per second, and returns when all are acknowledged.
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
