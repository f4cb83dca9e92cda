package ops

import (
	"strings"
	"testing"
	"time"
)

func TestMetrics(t *testing.T) {
	w := working(orders0, stopped, waiting)
	w.Fenced, w.Retries, w.Rebalances, w.Discarded = 3, 4, 5, 6
	f := setup(t, w)
	f.metrics.Observe(report(time.Now(), 100))
	f.metrics.Observe(report(time.Now(), 50))
	_, body := f.get("/metrics")
	for _, line := range []string{
		`sinker_records_consumed_total{partition="3",pipeline="shop",topic="orders"} 154`,
		`sinker_bytes_consumed_total{pipeline="shop",topic="orders"} 2000`,
		`sinker_rows_written_total{op="write",pipeline="shop",table="public.orders"} 148`,
		`sinker_rows_written_total{op="delete",pipeline="shop",table="public.orders"} 2`,
		`sinker_records_dead_lettered_total{pipeline="shop",reason="not_json",topic="orders"} 4`,
		`sinker_unknown_fields_total{pipeline="shop",table="public.orders"} 6`,
		`sinker_transactions_total{pipeline="shop",result="committed"} 2`,
		`sinker_transactions_total{pipeline="shop",result="failed"} 4`,
		`sinker_transaction_duration_seconds_count{pipeline="shop"} 2`,
		`sinker_phase_duration_seconds_sum{phase="write",pipeline="shop"} 0.06`,
		`sinker_batch_records_sum{pipeline="shop"} 154`,
		`sinker_end_to_end_latency_seconds_sum{pipeline="shop"} 2`,
		`sinker_consumer_lag_records{partition="0",pipeline="shop",topic="orders"} 10`,
		`sinker_consumer_lag_seconds{partition="0",pipeline="shop",topic="orders"} 6`, // 60 and what the test took
		`sinker_consumer_lag_seconds{partition="1",pipeline="shop",topic="orders"} 0`,
		`sinker_consumer_lag_seconds{partition="2",pipeline="shop",topic="orders"} 0`, // its record is of the future
		`sinker_db_offset{partition="0",pipeline="shop",topic="orders"} 90`,
		`sinker_partition_stopped{partition="0",pipeline="shop",topic="orders"} 0`,
		`sinker_partition_stopped{partition="1",pipeline="shop",topic="orders"} 1`,
		`sinker_partition_stopped{partition="2",pipeline="shop",topic="orders"} 0`,
		`sinker_partition_hole_records{partition="0",pipeline="shop",topic="orders"} 0`,
		`sinker_partition_hole_records{partition="1",pipeline="shop",topic="orders"} 10`,
		`sinker_partition_waiting{partition="0",pipeline="shop",topic="orders"} 0`,
		`sinker_partition_waiting{partition="1",pipeline="shop",topic="orders"} 0`,
		`sinker_partition_waiting{partition="2",pipeline="shop",topic="orders"} 1`,
		`sinker_fenced_total{pipeline="shop",worker="0"} 3`,
		`sinker_rebalances_total{pipeline="shop",worker="0"} 5`,
		`sinker_replayed_records_skipped_total{pipeline="shop",worker="0"} 6`,
		`sinker_worker_ready{pipeline="shop",worker="0"} 1`,
		`sinker_build_info{pipeline="shop",version="1.2.3"} 1`,
		`go_goroutines `,
	} {
		if !strings.Contains(body, "\n"+line) {
			t.Errorf("/metrics has no line %s", line)
		}
	}
	if absent := `sinker_consumer_lag_records{partition="1"`; strings.Contains(body, absent) { // the end is not known
		t.Errorf("/metrics knows %s, which nobody can", absent)
	}
	if testing.Verbose() {
		t.Log(body)
	}
}

// BenchmarkObserve is what a batch of 16 partitions costs beside its transaction.
func BenchmarkObserve(b *testing.B) {
	m := NewMetrics("shop", "1.2.3")
	r := report(time.Now(), 50_000)
	for i := range int32(15) {
		rng := r.Ranges[0]
		rng.Partition = 10 + i
		r.Ranges = append(r.Ranges, rng)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Observe(r)
	}
}
