// Package ops shows a running pipeline to people and to machines: health, Prometheus metrics, a status document and a
// page. It only reads what the workers publish; nothing in it changes anything.
package ops

import (
	"strconv"
	"sync"
	"time"

	"sinker/internal/consume"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
)

// Metrics counts what the workers report, a call a batch.
type Metrics struct {
	registry *prometheus.Registry
	wrapped  prometheus.Registerer // puts the pipeline's name on what it registers

	consumed, bytes, rows, dead, transactions *prometheus.CounterVec
	duration, records, latency                prometheus.Histogram
	phases                                    *prometheus.HistogramVec

	mu     sync.Mutex
	recent []Batch // the last batches, oldest first
	totals Totals
}

// Batch is a committed batch, for /status and the page.
type Batch struct {
	At      time.Time `json:"at"`
	Worker  int       `json:"worker"`
	Records int       `json:"records"`
	Rows    int64     `json:"rows"`
	Dead    int64     `json:"dead_letters"`
	Bytes   int64     `json:"bytes"`
	Millis  float64   `json:"milliseconds"`
	Retries int       `json:"retries"`
}

// Totals are what this process has done since it started.
type Totals struct {
	Records int64 `json:"records"`
	Rows    int64 `json:"rows"`
	Dead    int64 `json:"dead_letters"`
	Bytes   int64 `json:"bytes"`
	Batches int64 `json:"batches"`
}

const keepBatches = 50

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
	m := &Metrics{
		registry:     reg,
		wrapped:      wrapped,
		consumed:     counter("sinker_records_consumed_total", "Records whose effect is committed.", "topic"),
		bytes:        counter("sinker_bytes_consumed_total", "Bytes of their keys and values.", "topic"),
		rows:         counter("sinker_rows_written_total", "Rows written or deleted.", "table", "op"),
		dead:         counter("sinker_records_dead_lettered_total", "Records that became dead letters.", "topic", "reason"),
		transactions: counter("sinker_transactions_total", "Transactions by result.", "result"),
		duration:     histogram("sinker_transaction_duration_seconds", "From BEGIN to the answer to COMMIT.", seconds),
		records:      histogram("sinker_batch_records", "Records a transaction.", prometheus.ExponentialBuckets(1, 4, 10)),
		latency:      histogram("sinker_end_to_end_latency_seconds", "From the timestamp of a range's last record to its commit.", seconds),
	}
	m.phases = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sinker_phase_duration_seconds", Help: "Steps of a transaction.", Buckets: seconds}, []string{"phase"})
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sinker_build_info", Help: "1, with the version."}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	wrapped.MustRegister(m.phases, info)
	return m
}

// Observe counts a committed batch.
func (m *Metrics) Observe(r consume.Report) {
	for _, rng := range r.Ranges {
		m.consumed.WithLabelValues(rng.Topic).Add(float64(rng.Records))
		m.bytes.WithLabelValues(rng.Topic).Add(float64(rng.Bytes))
		if !rng.Timestamp.IsZero() {
			m.latency.Observe(max(0, r.At.Sub(rng.Timestamp).Seconds()))
		}
	}
	batch := Batch{At: r.At, Worker: r.Worker, Records: r.Records, Dead: r.Result.Dead, Bytes: r.Bytes, Millis: float64(r.Took.Microseconds()) / 1000, Retries: r.Retries}
	for _, t := range r.Result.Tables {
		batch.Rows += t.Rows
		m.rows.WithLabelValues(t.Table, "write").Add(float64(t.Rows))
		if t.Deleted > 0 {
			m.rows.WithLabelValues(t.Table, "delete").Add(float64(t.Deleted))
		}
	}
	for _, l := range r.Result.Letters {
		m.dead.WithLabelValues(l.Topic, l.Code).Add(float64(l.Count))
	}
	m.transactions.WithLabelValues("committed").Inc()
	m.transactions.WithLabelValues("retried").Add(float64(r.Retries))
	m.duration.Observe(r.Took.Seconds())
	m.records.Observe(float64(r.Records))
	for phase, d := range map[string]time.Duration{"begin": r.Result.Phases.Begin, "write": r.Result.Phases.Write, "dead_letters": r.Result.Phases.Dead, "commit": r.Result.Phases.Commit} {
		m.phases.WithLabelValues(phase).Observe(d.Seconds())
	}
	m.remember(batch)
}

func (m *Metrics) remember(b Batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.totals.Records += int64(b.Records)
	m.totals.Rows += b.Rows
	m.totals.Dead += b.Dead
	m.totals.Bytes += b.Bytes
	m.totals.Batches++
	if len(m.recent) == keepBatches {
		m.recent = append(m.recent[:0], m.recent[1:]...)
	}
	m.recent = append(m.recent, b)
}

// KafkaHooks are for the client with which a worker fetches.
func (m *Metrics) KafkaHooks(worker int) []kgo.Hook {
	reg := prometheus.WrapRegistererWith(prometheus.Labels{"worker": strconv.Itoa(worker)}, m.wrapped)
	return []kgo.Hook{kprom.NewMetrics("sinker_kafka", kprom.Registerer(reg))}
}

// watch registers what is read from the workers' states at each scrape.
func (m *Metrics) watch(pipeline string, states func() []*consume.WorkerState) {
	prometheus.WrapRegistererWith(prometheus.Labels{"pipeline": pipeline}, m.registry).MustRegister(&stateCollector{states})
}

// stateCollector turns the workers' states into gauges and counters at each scrape.
type stateCollector struct {
	states func() []*consume.WorkerState
}

var (
	partitionLabels = []string{"topic", "partition"}
	positionDesc    = prometheus.NewDesc("sinker_db_offset", "The position in Postgres.", partitionLabels, nil)
	lagDesc         = prometheus.NewDesc("sinker_consumer_lag_records", "Offsets between the position and the last stable offset.", partitionLabels, nil)
	lagSecondsDesc  = prometheus.NewDesc("sinker_consumer_lag_seconds", "Age of the last committed record while there is lag; 0 without.", partitionLabels, nil)
	stoppedDesc     = prometheus.NewDesc("sinker_partition_stopped", "1 while the partition is stopped.", partitionLabels, nil)
	fencedDesc      = prometheus.NewDesc("sinker_fenced_total", "Partitions lost to another owner with records in hand.", nil, nil)
	rewoundDesc     = prometheus.NewDesc("sinker_rewound_total", "Positions that went back with the database.", nil, nil)
	rebalancesDesc  = prometheus.NewDesc("sinker_rebalances_total", "Assignments and revocations.", nil, nil)
	retriesDesc     = prometheus.NewDesc("sinker_retries_total", "Attempts at a transaction that failed and were made again.", nil, nil)
	resolvedDesc    = prometheus.NewDesc("sinker_commits_resolved_total", "Commits whose reply was lost and that were found done.", nil, nil)
	discardedDesc   = prometheus.NewDesc("sinker_replayed_records_skipped_total", "Records read and dropped before they were committed: what would have been doubled.", nil, nil)
	readyDesc       = prometheus.NewDesc("sinker_workers_ready", "Workers that have a database and a group.", nil, nil)
)

func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{positionDesc, lagDesc, lagSecondsDesc, stoppedDesc, fencedDesc, rewoundDesc, rebalancesDesc, retriesDesc, resolvedDesc, discardedDesc, readyDesc} {
		ch <- d
	}
}

func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	var fenced, rewound, rebalances, retries, resolved, discarded int64
	ready := 0
	for _, s := range c.states() {
		fenced, rewound, rebalances = fenced+s.Fenced, rewound+s.Rewound, rebalances+s.Rebalances
		retries, resolved, discarded = retries+s.Retries, resolved+s.Resolved, discarded+s.Discarded
		if isReady(s) {
			ready++
		}
		for _, p := range s.Partitions {
			collectPartition(ch, &p)
		}
	}
	for d, v := range map[*prometheus.Desc]int64{fencedDesc: fenced, rewoundDesc: rewound, rebalancesDesc: rebalances, retriesDesc: retries, resolvedDesc: resolved, discardedDesc: discarded} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	ch <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, float64(ready))
}

func collectPartition(ch chan<- prometheus.Metric, p *consume.PartitionState) {
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, p.Topic, itoa(p.Partition))
	}
	lag, seconds := lagOf(p)
	gauge(positionDesc, float64(p.Position))
	if lag >= 0 {
		gauge(lagDesc, float64(lag))
		gauge(lagSecondsDesc, seconds)
	}
	stopped := 0.0
	if p.Stopped != "" {
		stopped = 1
	}
	gauge(stoppedDesc, stopped)
}

// lagOf returns the lag in offsets, -1 when it is not known yet, and in seconds.
func lagOf(p *consume.PartitionState) (offsets int64, seconds float64) {
	if p.End < 0 {
		return -1, 0
	}
	offsets = max(0, p.End-p.Position)
	if offsets > 0 && !p.Timestamp.IsZero() {
		seconds = max(0, time.Since(p.Timestamp).Seconds())
	}
	return offsets, seconds
}
