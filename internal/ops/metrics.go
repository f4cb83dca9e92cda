// Package ops shows a running pipeline to people and to machines: health, Prometheus metrics, a status document and a
// page. It only reads what the workers publish; nothing in it changes anything.
package ops

import (
	"strconv"
	"strings"
	"time"

	"sinker/internal/consume"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
)

// Metrics counts what the workers report, one call per batch.
type Metrics struct {
	registry *prometheus.Registry
	wrapped  prometheus.Registerer // puts the pipeline's name on what it registers

	consumed, bytes, rows, dead *prometheus.CounterVec
	suppressed, unasked         *prometheus.CounterVec
	duration, records, latency  prometheus.Histogram
	begin, write, letters, move prometheus.Observer // the phases

	history history
}

// NewMetrics makes the metrics of a pipeline, on a registry of their own.
func NewMetrics(pipeline, version string) *Metrics {
	reg := prometheus.NewRegistry()
	wrapped := prometheus.WrapRegistererWith(prometheus.Labels{"pipeline": pipeline}, reg)
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		wrapped.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
		wrapped.MustRegister(h)
		return h
	}
	seconds := prometheus.ExponentialBuckets(0.001, 2, 16)
	phases := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sinker_phase_duration_seconds",
		Help: "Steps of a transaction.", Buckets: seconds}, []string{"phase"})
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sinker_build_info", Help: "1, with the version."},
		[]string{"version"})
	info.WithLabelValues(version).Set(1)
	wrapped.MustRegister(phases, info)
	return &Metrics{
		registry:   reg,
		wrapped:    wrapped,
		consumed:   counter("sinker_records_consumed_total", "Records whose effect is committed.", "topic", "partition"),
		bytes:      counter("sinker_bytes_consumed_total", "Bytes of their keys and values.", "topic"),
		rows:       counter("sinker_rows_written_total", "Rows written or deleted.", "table", "op"),
		suppressed: counter("sinker_rows_suppressed_total", "Rows that a table's triggers or rules took away.", "table"),
		dead: counter("sinker_records_dead_lettered_total", "Dead letters written, by what is wrong with their "+
			"records.", "topic", "reason"),
		unasked: counter("sinker_unknown_fields_total", "Fields of records that no column takes, where columns are "+
			"matched by name.", "table"),
		duration: histogram("sinker_transaction_duration_seconds", "From BEGIN to the answer to COMMIT.", seconds),
		records:  histogram("sinker_batch_records", "Records per transaction.", prometheus.ExponentialBuckets(1, 4, 10)),
		latency: histogram("sinker_end_to_end_latency_seconds",
			"From the timestamp of a range's last record to its commit.", seconds),
		begin:   phases.WithLabelValues("begin"),
		write:   phases.WithLabelValues("write"),
		letters: phases.WithLabelValues("dead_letters"),
		move:    phases.WithLabelValues("commit"),
	}
}

// Observe counts a committed batch. It may be called by several workers at once, and costs microseconds.
func (m *Metrics) Observe(r consume.Report) {
	for i := range r.Ranges {
		rng := &r.Ranges[i]
		m.consumed.WithLabelValues(rng.Topic, itoa(rng.Partition)).Add(float64(rng.Records))
		m.bytes.WithLabelValues(rng.Topic).Add(float64(rng.Bytes))
		if !rng.Timestamp.IsZero() {
			m.latency.Observe(max(0, r.At.Sub(rng.Timestamp).Seconds()))
		}
	}
	for _, t := range r.Result.Tables {
		table := plain(t.Table)
		m.rows.WithLabelValues(table, "write").Add(float64(t.Rows))
		m.suppressed.WithLabelValues(table).Add(float64(t.Suppressed))
		if t.Deleted > 0 {
			m.rows.WithLabelValues(table, "delete").Add(float64(t.Deleted))
		}
	}
	for _, l := range r.Result.Letters {
		m.dead.WithLabelValues(l.Topic, l.Code).Add(float64(l.Count))
	}
	for _, f := range r.Result.Unasked {
		m.unasked.WithLabelValues(plain(f.Table)).Add(float64(f.Count))
	}
	m.duration.Observe(r.Took.Seconds())
	m.records.Observe(float64(r.Records))
	m.begin.Observe(r.Result.Phases.Begin.Seconds())
	m.write.Observe(r.Result.Phases.Write.Seconds())
	m.letters.Observe(r.Result.Phases.Dead.Seconds())
	m.move.Observe(r.Result.Phases.Commit.Seconds())
	m.history.add(&r)
}

// KafkaHooks are for the client with which a worker fetches.
func (m *Metrics) KafkaHooks(worker int) []kgo.Hook {
	reg := prometheus.WrapRegistererWith(prometheus.Labels{"worker": strconv.Itoa(worker)}, m.wrapped)
	return []kgo.Hook{kprom.NewMetrics("sinker_kafka", kprom.Registerer(reg))}
}

// watch registers what is read from the workers' states at each scrape.
func (m *Metrics) watch(states func() []*consume.WorkerState) {
	m.wrapped.MustRegister(&collector{states, &m.history})
}

// plain is a table's name as people write it: "public"."orders" as public.orders, unless a quote is part of a name.
func plain(table string) string {
	if strings.Count(table, `"`) != 4 {
		return table
	}
	return strings.ReplaceAll(table, `"`, "")
}

func itoa(n int32) string { return strconv.FormatInt(int64(n), 10) }

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
