package consume

import (
	"sync/atomic"
	"testing"
	"time"

	"sinker/internal/local/await"
	"sinker/internal/local/kafkaproxy"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestKafkaCuts breaks, holds and silences the connections to Kafka at each request that a worker makes. It must get over
// it by itself, and every record must be there once.
func TestKafkaCuts(t *testing.T) {
	if testing.Short() {
		t.Skip("a minute; left out with -short")
	}
	t.Parallel()
	for _, key := range []kmsg.Key{
		kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.FindCoordinator, kmsg.JoinGroup, kmsg.SyncGroup,
		kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.OffsetForLeaderEpoch, kmsg.ConsumerGroupHeartbeat,
	} {
		for name, fates := range map[string][]kafkaproxy.Fate{
			"Cut":       {kafkaproxy.CutBefore, kafkaproxy.CutAfter},
			"Hold":      {kafkaproxy.Hold, kafkaproxy.Hold},
			"BlackHole": {kafkaproxy.Hole, kafkaproxy.Hole},
		} {
			t.Run(key.Name()+"/"+name, func(t *testing.T) {
				t.Parallel()
				strikeAt(t, key, fates)
			})
		}
	}
}

// strikeAt loads, strikes at the first requests of a kind that the second and third service make, and loads more.
func strikeAt(t *testing.T, key kmsg.Key, fates []kafkaproxy.Fate) {
	proxy, err := kafkaproxy.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	b := newBench(t, "orders", 4, kfake.ListenFn(proxy.Behind))
	cfg := b.config("orders")
	cfg.RebalanceTimeout = 2 * time.Second
	cfg.Kafka = append(cfg.Kafka, kgo.ClientID("worker"), kgo.RequestTimeoutOverhead(time.Second))
	if key == kmsg.ConsumerGroupHeartbeat {
		cfg.Balancer = "server"
	}
	b.produce("orders", 4, 100)
	_, stop := b.run(cfg, 1, nil)
	b.caughtUp("orders")
	stop() // from now on positions have leader epochs to be asked for

	var struck atomic.Int64
	proxy.OnRequest(func(r kafkaproxy.Request) kafkaproxy.Fate {
		if r.ClientID != "worker" || r.Key != key.Int16() {
			return kafkaproxy.Pass
		}
		if n := struck.Add(1); n <= int64(len(fates)) {
			return fates[n-1]
		}
		return kafkaproxy.Pass
	})
	b.produce("orders", 4, 100)
	_, stop = b.run(cfg, 2, nil)
	b.caughtUp("orders")
	b.run(cfg, 1, nil)
	b.produce("orders", 4, 100)
	if err := stop(); err != nil {
		t.Error(err)
	}
	b.produce("orders", 4, 100)
	b.caughtUp("orders")
	await.Until(t, "the faults", func() bool { return struck.Load() >= int64(len(fates)) })
	b.produce("orders", 4, 100)
	b.caughtUp("orders")
	b.checkExactlyOnce()
}
