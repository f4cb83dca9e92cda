package txn

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkSmall commits small batches one after the other, 10 records of each of 4 partitions, and reports per transaction
// the time, and the CPU of this process and of the server's process. Run with -benchtime 2000x.
func BenchmarkSmall(b *testing.B) {
	const table = `CREATE TABLE orders (id bigint, customer bigint, total numeric(12,2), note text, at timestamptz)`
	key := strings.Replace(table, "id bigint", "id bigint PRIMARY KEY", 1)
	for _, c := range []struct {
		name, ddl string
		change    func(*Sink)
		id        func(n int) int
	}{
		{"append", table, func(*Sink) {}, func(n int) int { return n }},
		{"upsert-new", key, keyed, func(n int) int { return n }},
		{"upsert-existing", key, keyed, func(n int) int { return n % 500 }},
	} {
		b.Run(c.name, func(b *testing.B) {
			db := newDatabase(b)
			db.exec(c.ddl)
			w := &busy{database: db, store: db.store("a", orders(c.change))}
			for i := range 4 {
				w.positions = append(w.positions, db.take(w.store, claim(TopicPartition{Topic: "orders", Partition: int32(i)}, 0))[0])
			}
			n := 0
			next := func() (batch Batch) {
				for i := range w.positions {
					var values []string
					for range 10 {
						n++
						values = append(values, fmt.Sprintf(`{"id":%d,"customer":%d,"total":12.50,"note":"leave at the door","at":"2026-11-22T12:34:56Z"}`, c.id(n), n*7))
					}
					r := rangeOf(w.positions[i], values...)
					batch = append(batch, r)
					w.positions[i].NextOffset = r.To
				}
				return batch
			}
			commit := func(batch Batch) {
				if _, err := commitBatch(context.Background(), w.store, batch, nil); err != nil {
					b.Fatal(err)
				}
			}
			for range 100 {
				commit(next())
			}
			pid := w.store.conn.PgConn().PID()
			batches := make([]Batch, b.N)
			for i := range batches {
				batches[i] = next()
			}
			own, server := ownCPU(), cpuOf(b, pid)
			b.ResetTimer()
			for _, batch := range batches {
				commit(batch)
			}
			b.StopTimer()
			b.ReportMetric(float64((ownCPU()-own).Microseconds())/float64(b.N), "own-µs/op")
			b.ReportMetric(float64((cpuOf(b, pid)-server).Microseconds())/float64(b.N), "server-µs/op")
		})
	}
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuOf is what a process has used, to 10 ms.
func cpuOf(tb testing.TB, pid uint32) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		tb.Skip("only where there is /proc")
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
