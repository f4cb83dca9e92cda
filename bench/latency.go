package main

import (
	"context"
	"fmt"
	"slices"
	"time"
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

// latency runs sinker as a service on an empty topic, produces at a steady rate, and looks all the time what is
// visible.
func (e *env) latency(ctx context.Context, rate int) (*latency, error) {
	d := orders()
	name := fmt.Sprintf("bench-latency-%d", time.Now().UnixNano())
	if err := e.kafka.recreate(ctx, name, partitions); err != nil {
		return nil, err
	}
	// The index lets the look below find the newest row of a partition at once: record i has id i and is in partition i
	// mod 4.
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
	// Records before the measured ones. In a broker's first minute its compiler works: after a second of warming up the
	// 99th percentile of its own acknowledgements was 178 ms, in a broker that had served for a while 4 ms.
	const warm, warmRate = 60_000, 2_000
	ctx, cancel := s.while(ctx)
	defer cancel()
	f, err := e.newFlow(ctx, d, topic, warm, l.Rate*latencySeconds)
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.warmUp(ctx, warmRate, s); err != nil {
		return err
	}
	if err := f.measure(ctx, l.Rate); err != nil {
		return err
	}
	l.Records = f.n - f.warm
	l.Ack = newPercentiles(f.acked[warm:])
	l.Visible, l.Poll = f.watch.summary(warm)
	c, err := e.commits(ctx, target)
	l.Commits = c.n
	return err
}
