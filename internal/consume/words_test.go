package consume

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"sinker/internal/local/await"
	"sinker/internal/record"
)

// What happens to many partitions at once is one line of the log.
func TestOneLineForManyPartitions(t *testing.T) {
	const many = 800
	b := newBench(t, "orders", many)
	var log lockedLog
	cfg := b.config("orders")
	cfg.Log, cfg.parkFor = slog.New(slog.NewTextHandler(&log, nil)), 50*time.Millisecond
	lines := func(text string) int { return strings.Count(log.String(), text) }
	total := func() int { return strings.Count(log.String(), "\n") }

	_, stop := b.run(cfg, 1, nil)
	await.Until(t, "800 partitions to be taken", func() bool { return lines(`msg="took partitions" worker=0 partitions=800 topics="orders 800"`) == 1 })
	if n := total(); n > 3 {
		t.Errorf("%d lines for a start:\n%s", n, log.String())
	}
	missing := failure(record.Schema, record.StepPrepare, "prepare orders: the table does not exist")
	b.db.mu.Lock()
	b.db.refuse = func(record.Ranges) error { return missing }
	b.db.mu.Unlock()
	before := total()
	b.produce("orders", many, 1)
	await.Until(t, "all to wait", func() bool { return b.stopsWritten() == many })
	b.db.mu.Lock()
	b.db.refuse = nil
	b.db.mu.Unlock()
	b.caughtUp("orders")
	await.Until(t, "all to read again", func() bool { return strings.Contains(log.String(), "reading again") })
	// Records come in several answers of Kafka's, so the partitions come to wait in several groups: dozens, never hundreds.
	if n := total() - before; n > 80 || lines("waiting") == 0 {
		t.Errorf("%d lines for 800 partitions that waited and read again:\n%s", n, log.String())
	}
	b.checkExactlyOnce()
	stop()
}

// stopsWritten counts the partitions for which a reason was ever written down.
func (b *bench) stopsWritten() int {
	b.db.mu.Lock()
	defer b.db.mu.Unlock()
	n := 0
	for _, r := range b.db.rows {
		if r.marks > 0 {
			n++
		}
	}
	return n
}
