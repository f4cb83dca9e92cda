package consume

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sinker/internal/local/await"
	"sinker/internal/local/pgproxy"
	"sinker/internal/transform"
	"sinker/internal/txn"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestCommitCuts runs the loop on a real Postgres and breaks, holds and silences its connections at hundreds of COMMITs:
// before the server has it, after, after the answer, and while the answer is held back. Half way a service goes and
// another one comes, so that partitions are taken with commits in doubt. Every record must be there once.
func TestCommitCuts(t *testing.T) {
	if testing.Short() {
		t.Skip("a minute; left out with -short")
	}
	t.Parallel()
	plan := newPlan(map[pgproxy.Fate]int{
		pgproxy.CutBefore: 80, pgproxy.CutAfter: 80, pgproxy.CutReply: 80,
		pgproxy.HoldCut: 60, pgproxy.Hold: 30, pgproxy.HoleBefore: 10, pgproxy.HoleAfter: 10,
	})
	b := newCutBench(t, 8)
	b.proxy.HoldFor = 1500 * time.Millisecond
	b.proxy.OnCommit(plan.next)

	var resolved atomic.Int64
	cfg := b.config("orders")
	cfg.Observe = func(r Report) {
		if r.Result.Resolved {
			resolved.Add(1)
		}
	}
	b.run(cfg, 4, nil)
	_, leave := b.run(cfg, 4, nil)
	stop := b.load()
	await.Within(t, 2*time.Minute, "half of the cuts", func() bool { return plan.left() < plan.total/2 })
	if err := leave(); err != nil {
		t.Error(err)
	}
	b.run(cfg, 4, nil)
	await.Within(t, 2*time.Minute, "all cuts", func() bool { return plan.left() == 0 })
	stop()
	b.reckon()

	cuts := 0
	for fate, n := range b.proxy.Fates() {
		if fate.Cuts() {
			cuts += n
		}
		if n < plan.wanted[fate] {
			t.Errorf("%s: %d COMMITs, want %d", fate, n, plan.wanted[fate])
		}
	}
	t.Logf("%d COMMITs cut, %d of them found done by the next attempt: %v", cuts, resolved.Load(), b.proxy.Fates())
	if cuts < 300 {
		t.Errorf("%d COMMITs were cut, want 300", cuts)
	}
	if n := resolved.Load(); n < int64(cuts)*3/10 {
		t.Errorf("%d of %d cut COMMITs were committed without anybody being told, want 30 %%: the test proves too little", n, cuts)
	}
}

// plan deals fates out to every second COMMIT until each has come as often as wanted.
type plan struct {
	wanted map[pgproxy.Fate]int
	total  int

	mu   sync.Mutex
	rest map[pgproxy.Fate]int
}

func newPlan(wanted map[pgproxy.Fate]int) *plan {
	p := &plan{wanted: wanted, rest: maps.Clone(wanted)}
	p.total = p.left()
	return p
}

// next gives the fate of which the largest share is left.
func (p *plan) next(n int) (fate pgproxy.Fate) {
	if n%2 == 0 {
		return pgproxy.Pass
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	share := 0.0
	for f, left := range p.rest {
		if s := float64(left) / float64(p.wanted[f]); s > share {
			fate, share = f, s
		}
	}
	if fate != pgproxy.Pass {
		p.rest[fate]--
	}
	return fate
}

func (p *plan) left() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, left := range p.rest {
		n += left
	}
	return n
}

// cutBench is a bench on a real Postgres behind a proxy.
type cutBench struct {
	*bench
	proxy      *pgproxy.Proxy
	conn       *pgx.Conn // past the proxy
	partitions int32
	produced   atomic.Int64
}

func newCutBench(t *testing.T, partitions int32) *cutBench {
	t.Helper()
	ctx := context.Background()
	url := migrated(t)
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	if _, err := conn.Exec(ctx, `CREATE TABLE orders (id bigint, kafka_partition int, kafka_offset bigint)`); err != nil { // no unique key: it would hide duplicates
		t.Fatal(err)
	}
	proxy, through, err := pgproxy.Before(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	b := &cutBench{bench: newBench(t, "orders", partitions), proxy: proxy, conn: conn, partitions: partitions}
	sink := txn.Sink{Topics: []string{"orders"}, Schema: "public", Table: "orders", Rule: transform.Rule{Columns: []transform.Column{{Name: "id"}}, Meta: []string{"partition", "offset"}}}
	b.open = func() Store {
		return postgres{txn.New(txn.Config{URL: through, Pipeline: "p", Owner: b.owner(), Sinks: []txn.Sink{sink}, StatementTimeout: 2 * time.Second})}
	}
	return b
}

// load produces a little all the time, until stopped. Every tenth record cannot become a row.
func (b *cutBench) load() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			value := fmt.Sprintf(`{"id":%d}`, i)
			if i%10 == 0 {
				value = "nonsense"
			}
			var records []*kgo.Record
			for p := range b.partitions {
				records = append(records, &kgo.Record{Topic: "orders", Partition: p, Value: []byte(value)})
			}
			if err := b.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
				b.t.Error(err)
				return
			}
			b.produced.Add(int64(len(records)))
			<-tick.C
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	b.t.Cleanup(stop)
	return stop
}

func (b *cutBench) count(sql string) (n int64) {
	b.t.Helper()
	if err := b.conn.QueryRow(context.Background(), sql).Scan(&n); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// reckon waits until all is loaded, and holds table, dead letters, offsets and ledger against what was produced.
func (b *cutBench) reckon() {
	b.t.Helper()
	want := b.produced.Load()
	await.Within(b.t, time.Minute, "all positions at the end", func() bool {
		return b.count(`SELECT coalesce(sum(next_offset), 0)::bigint FROM sinker.offsets`) == want
	})
	each := want / int64(b.partitions)
	dead := (each + 9) / 10 * int64(b.partitions)
	for sql, want := range map[string]int64{
		`SELECT count(*) FROM orders`:                                                want - dead,
		`SELECT count(DISTINCT (kafka_partition, kafka_offset)) FROM orders`:         want - dead,
		`SELECT count(*) FROM sinker.dead_letters`:                                   dead,
		`SELECT count(DISTINCT (partition, record_offset)) FROM sinker.dead_letters`: dead,
		`SELECT sum(written)::bigint FROM sinker.offsets`:                            want - dead,
		`SELECT sum(dead)::bigint FROM sinker.offsets`:                               dead,
		`SELECT sum(records)::bigint FROM sinker.ledger`:                             want,
		`SELECT sum(to_offset - from_offset)::bigint FROM sinker.ledger`:             want,
		`SELECT count(DISTINCT next_offset) FROM sinker.offsets`:                     1,
	} {
		if got := b.count(sql); got != want {
			b.t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
}
