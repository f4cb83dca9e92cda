package consume

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sinker/internal/local/await"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// feed produces a record each millisecond until the test's end, or until stopped.
func (b *bench) feed(topic string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for tick := time.NewTicker(time.Millisecond); ctx.Err() == nil; {
			<-tick.C
			for _, r := range b.client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("x")}) {
				if r.Err == nil {
					b.made[fmt.Sprintf("%s/%d@%d", r.Record.Topic, r.Record.Partition, r.Record.Offset)] = true
				}
			}
		}
	})
	stop = func() { cancel(); wg.Wait() }
	b.t.Cleanup(stop)
	return stop
}

// While records trickle in, commits are at least batch.every apart, and each costs a few fetches, however many records
// arrive meanwhile.
func TestTrickle(t *testing.T) {
	b := newBench(t, "orders", 1)
	cfg := b.config("orders")
	cfg.Every = 40 * time.Millisecond
	var fetches atomic.Int64
	b.cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		fetches.Add(1)
		return nil, nil, false
	})
	var mu sync.Mutex
	var at []time.Time
	var records int
	cfg.Observe = func(r Report) {
		mu.Lock()
		defer mu.Unlock()
		at, records = append(at, r.At), records+r.Records
	}
	b.run(cfg, 1, nil)
	commits := func() int { mu.Lock(); defer mu.Unlock(); return len(at) }
	b.produce("orders", 1, 1)
	b.caughtUp("orders")
	stop := b.feed("orders")
	before := fetches.Load()
	await.Until(t, "thirty commits", func() bool { return commits() >= 30 })
	asked := fetches.Load() - before
	stop()
	b.caughtUp("orders")
	b.checkExactlyOnce()
	mu.Lock()
	defer mu.Unlock()
	for i := 1; i < 30; i++ {
		if gap := at[i].Sub(at[i-1]); gap < cfg.Every {
			t.Errorf("commit %d came %v after the one before, sooner than %v", i, gap, cfg.Every)
		}
	}
	if records < 60 {
		t.Fatalf("only %d records in %d commits: this proves nothing", records, len(at))
	}
	if asked > 8*30 {
		t.Errorf("%d fetches for 30 commits", asked)
	}
}

// A record that comes when all is quiet is committed at once.
func TestFirstRecordDoesNotWait(t *testing.T) {
	b := newBench(t, "orders", 1)
	cfg := b.config("orders")
	cfg.Every = 3 * time.Second
	var last atomic.Int64
	cfg.Observe = func(r Report) { last.Store(r.At.UnixNano()) }
	b.run(cfg, 1, nil)
	b.produce("orders", 1, 1)
	b.caughtUp("orders")
	await.Until(t, "batch.every to pass", func() bool { return time.Since(time.Unix(0, last.Load())) > cfg.Every })
	sent := time.Now()
	b.produce("orders", 1, 1)
	b.caughtUp("orders")
	if took := time.Unix(0, last.Load()).Sub(sent); took > cfg.Every*2/3 {
		t.Errorf("it was committed %v after it was sent", took)
	}
}

// Much at once does not wait for batch.every, and no more than a full batch ever does.
func TestLargeBatchesDoNotWait(t *testing.T) {
	for _, c := range []struct {
		every time.Duration
		rows  int
		size  int64
		want  bool
	}{
		{0, 1, 10, true},
		{15 * time.Millisecond, 1, 10, false},
		{15 * time.Millisecond, 959, 1000, false},
		{15 * time.Millisecond, 960, 1000, true},
		{15 * time.Millisecond, 4, 240 << 10, true},
		{15 * time.Millisecond, 4, 240<<10 - 1, false},
		{time.Second, 960, 240 << 10, false},
		{time.Second, 64_000, 1000, true},
		{time.Hour, 99_999, 32<<20 - 1, false},
		{time.Hour, 100_000, 1000, true},
		{time.Hour, 1, 32 << 20, true},
	} {
		w := &Worker{cfg: Config{Every: c.every}}
		w.cfg.defaults()
		w.rows = w.cfg.Rows
		if got := w.large(c.rows, c.size); got != c.want {
			t.Errorf("every %v: large(%d, %d) = %v", c.every, c.rows, c.size, got)
		}
	}
}
