package consume

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sinker/internal/local/await"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Two pipelines of one name on one Kafka, each with its own database, must not share a topic's partitions between them.
func TestOtherDatabasesAreKeptOut(t *testing.T) {
	for _, balancer := range []string{"cooperative-sticky", "range"} {
		t.Run(balancer, func(t *testing.T) {
			b := newBench(t, "orders", 4)
			b.produce("orders", 4, 100)
			cfg := b.config("orders")
			cfg.Database, cfg.Balancer = "a", balancer
			_, stop := b.run(cfg, 2, nil)
			b.caughtUp("orders")

			var log lockedLog
			other := cfg
			other.Database, other.Log = "b", slog.New(slog.NewTextHandler(&log, nil))
			here := b.db
			b.db = newMemory()
			svc, _ := b.run(other, 1, nil)
			there := b.db
			b.db = here
			await.Until(t, "a word about the other database", func() bool { return strings.Contains(log.String(), "write to another database") })
			b.produce("orders", 4, 100)
			b.caughtUp("orders") // undisturbed
			if svc.States()[0].Joined || there.position(tp("orders", 0)) > 0 {
				t.Error("the other database's worker has joined the group")
			}

			if err := stop(); err != nil {
				t.Fatal(err)
			}
			b.checkExactlyOnce()
			b.db = there // it was waiting for this
			b.caughtUp("orders")
			b.checkExactlyOnce()
		})
	}
}

func TestKeptOutIsSaidOnce(t *testing.T) {
	b := newBench(t, "orders", 1)
	cfg := b.config("orders")
	cfg.Database = "a"
	svc, _ := b.run(cfg, 1, nil)
	await.Until(t, "the first to join", func() bool { return svc.States()[0].Joined })

	var attempts atomic.Int64
	b.cluster.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		attempts.Add(1)
		return nil, nil, false
	})
	var log lockedLog
	cfg.Database, cfg.Log = "b", slog.New(slog.NewTextHandler(&log, nil))
	began := time.Now()
	b.run(cfg, 1, nil)
	await.Until(t, "several attempts", func() bool { return attempts.Load() > 3 })
	if n := strings.Count(log.String(), "write to another database"); n != 1 && time.Since(began) < 30*time.Second {
		t.Errorf("it was said %d times", n)
	}
}
