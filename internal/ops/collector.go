package ops

import (
	"strconv"
	"time"

	"sinker/internal/consume"
	"sinker/internal/record"

	"github.com/prometheus/client_golang/prometheus"
)

// collector turns the workers' states into gauges and counters at each scrape. The counters of a worker have its number
// as a label, because those of a worker that replaces another begin at 0.
type collector struct {
	states  func() []*consume.WorkerState
	history *history
}

var (
	partitionLabels = []string{"topic", "partition"}
	positionDesc    = prometheus.NewDesc("sinker_db_offset", "The position in Postgres.", partitionLabels, nil)
	lagDesc         = prometheus.NewDesc("sinker_consumer_lag_records",
		"Offsets between the position and the last stable offset.", partitionLabels, nil)
	lagSecondsDesc = prometheus.NewDesc("sinker_consumer_lag_seconds", "Age of the oldest record that is in Kafka "+
		"and not committed; 0 when there is none. Where that record was not read yet, no more than the age of the last "+
		"one committed.", partitionLabels, nil)
	heldBackDesc = prometheus.NewDesc("sinker_held_back_records", "Offsets from the last stable offset to the "+
		"log's end: an open transaction holds them back. 0 when there is none.", partitionLabels, nil)
	waitingDesc = prometheus.NewDesc("sinker_partition_waiting",
		"1 while the partition is waiting: sinker tries again by itself.", partitionLabels, nil)
	stoppedDesc = prometheus.NewDesc("sinker_partition_stopped",
		"1 while the partition is stopped: an operator decides.", partitionLabels, nil)
	holeDesc = prometheus.NewDesc("sinker_partition_hole_records", "Offsets that the reason of a stopped or waiting "+
		"partition is about: records that are gone from Kafka, or cannot be read or written. 0 when there are none.",
		partitionLabels, nil)

	workerLabels = []string{"worker"}
	readyDesc    = prometheus.NewDesc("sinker_worker_ready", "1 while the worker has a group, a database when it "+
		"needs one, and a partition that is reading if it has any.", workerLabels, nil)
	fencedDesc = prometheus.NewDesc("sinker_fenced_total", "Partitions lost to another owner with records in "+
		"hand; nothing was written.", workerLabels, nil)
	rewoundDesc = prometheus.NewDesc("sinker_rewound_total", "Positions that went back with the database.",
		workerLabels, nil)
	rebalancesDesc = prometheus.NewDesc("sinker_rebalances_total", "Assignments and revocations.", workerLabels, nil)
	resolvedDesc   = prometheus.NewDesc("sinker_commits_resolved_total",
		"Commits whose reply was lost and that were found done.", workerLabels, nil)
	discardedDesc = prometheus.NewDesc("sinker_replayed_records_skipped_total",
		"Records read and dropped before they were committed: what would have been doubled.", workerLabels, nil)

	transactionsDesc = prometheus.NewDesc("sinker_transactions_total",
		"Transactions by result: committed, or failed and made again.", []string{"result"}, nil)
)

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{positionDesc, lagDesc, lagSecondsDesc, heldBackDesc, waitingDesc, stoppedDesc,
		holeDesc, readyDesc, fencedDesc, rewoundDesc, rebalancesDesc, resolvedDesc, discardedDesc, transactionsDesc} {
		ch <- d
	}
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	var failed int64
	for _, s := range c.states() {
		collectWorker(ch, s)
		failed += s.Retries
		for i := range s.Partitions {
			collectPartition(ch, &s.Partitions[i])
		}
	}
	for result, n := range map[string]int64{"committed": c.history.batches(), "failed": failed} {
		ch <- prometheus.MustNewConstMetric(transactionsDesc, prometheus.CounterValue, float64(n), result)
	}
}

func collectWorker(ch chan<- prometheus.Metric, s *consume.WorkerState) {
	worker := strconv.Itoa(s.Worker)
	for d, n := range map[*prometheus.Desc]int64{fencedDesc: s.Fenced, rewoundDesc: s.Rewound,
		rebalancesDesc: s.Rebalances, resolvedDesc: s.Resolved, discardedDesc: s.Discarded} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), worker)
	}
	ch <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, oneIf(notReady(s) == ""), worker)
}

func collectPartition(ch chan<- prometheus.Metric, p *consume.PartitionState) {
	partition := itoa(p.Partition)
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, p.Topic, partition)
	}
	gauge(positionDesc, float64(p.Position))
	gauge(heldBackDesc, float64(p.HeldBack))
	gauge(waitingDesc, oneIf(p.State == record.Waiting))
	gauge(stoppedDesc, oneIf(p.State == record.Stopped))
	gauge(holeDesc, float64(max(0, p.Hole.To-p.Hole.From)))
	lag, seconds := lagOf(p)
	if lag != nil {
		gauge(lagDesc, float64(*lag))
	}
	gauge(lagSecondsDesc, seconds)
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// lagOf returns the lag in offsets, nil until the broker has told of the end, and in seconds: the age of the oldest
// unread record, never negative.
func lagOf(p *consume.PartitionState) (offsets *int64, seconds float64) {
	if oldest := p.OldestUnread(); !oldest.IsZero() {
		seconds = max(0, time.Since(oldest).Seconds())
	}
	if p.End < 0 {
		return nil, seconds
	}
	lag := max(0, p.End-p.Position)
	return &lag, seconds
}
