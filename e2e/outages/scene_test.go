// Package outages takes Postgres away in every way it goes: stopped for minutes, crashed in a COMMIT, failed over to a
// standby that lagged behind, too slow to follow. It needs no Docker: the Kafka is in the process, the Postgres are temporary ones, the
// program is the real one.
package outages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sinker/e2e"
	"sinker/internal/local"
	"sinker/internal/local/await"
	"sinker/internal/local/localtest"
	"sinker/internal/txn"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const partitions = 4

func TestMain(m *testing.M) {
	code := m.Run()
	e2e.RemoveBinary()
	os.Exit(code)
}

// scene is one test's Kafka and Postgres.
type scene struct {
	t      *testing.T
	pg     *local.Postgres
	broker string
	client *kgo.Client

	mu       sync.Mutex
	produced int64
}

// newScene starts the servers, and a producer with the given options. durable is for tests that hold up or break COMMITs: without it none waits for the disk.
func newScene(t *testing.T, durable bool, producer ...kgo.Opt) *scene {
	t.Helper()
	if testing.Short() {
		t.Skip("some minutes; left out with -short")
	}
	t.Parallel()
	ctx := context.Background()
	pg, err := local.StartPostgres(ctx, local.PostgresOptions{Fsync: durable})
	if errors.Is(err, local.ErrNoPostgres) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pg.Close() })
	kafka := localtest.Kafka(t, kfake.SeedTopics(partitions, "orders"), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "104857600"}))
	s := &scene{t: t, pg: pg, broker: kafka.ListenAddrs()[0]}
	opts := append([]kgo.Opt{kgo.SeedBrokers(s.broker), kgo.DefaultProduceTopic("orders"), kgo.RecordPartitioner(kgo.ManualPartitioner())}, producer...)
	if s.client, err = kgo.NewClient(opts...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	if _, _, err := txn.Migrate(ctx, s.url(pg), nil); err != nil {
		t.Fatal(err)
	}
	s.exec(pg, `CREATE TABLE orders (id bigint, kafka_partition int, kafka_offset bigint)`) // no unique key: it would hide duplicates
	return s
}

func (s *scene) url(pg *local.Postgres) string { return pg.URL("postgres") }

// config is a pipeline's file. url may name several servers.
func (s *scene) config(url string) string {
	return e2e.Config(s.t, fmt.Sprintf("kafka: { brokers: '%s', instance: off }\npostgres: { url: '%s' }\nworkers: 1\nbatch: { rows: 500 }\n"+
		"sinks: [{ topic: orders, table: orders, columns: { id: id }, meta: [partition, offset] }]\n", s.broker, url))
}

// produce adds records to every partition.
func (s *scene) produce(each int) {
	s.t.Helper()
	if err := s.send(each); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) send(each int) error {
	var records []*kgo.Record
	for i := range each {
		for p := range int32(partitions) {
			records = append(records, &kgo.Record{Partition: p, Value: fmt.Appendf(nil, `{"id":%d}`, i)})
		}
	}
	if err := s.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		return err
	}
	s.mu.Lock()
	s.produced += int64(len(records))
	s.mu.Unlock()
	return nil
}

// load produces until stopped.
func (s *scene) load() (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if err := s.send(20); err != nil {
				s.t.Error(err)
				return
			}
			<-tick.C
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	s.t.Cleanup(stop)
	return stop
}

func (s *scene) connect(pg *local.Postgres) (*pgx.Conn, error) {
	return pgx.Connect(context.Background(), s.url(pg))
}

func (s *scene) exec(pg *local.Postgres, sql string) {
	s.t.Helper()
	conn, err := s.connect(pg)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s *scene) count(pg *local.Postgres, sql string) (n int64) {
	s.t.Helper()
	n, err := s.ask(pg, sql)
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func (s *scene) ask(pg *local.Postgres, sql string) (n int64, err error) {
	conn, err := s.connect(pg)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.Background())
	err = conn.QueryRow(context.Background(), sql).Scan(&n)
	return n, err
}

// position is how many records are behind, as committed.
func (s *scene) position(pg *local.Postgres) int64 {
	s.t.Helper()
	return s.count(pg, `SELECT coalesce(sum(next_offset), 0)::bigint FROM sinker.offsets`)
}

// moves waits until more has been committed.
func (s *scene) moves(pg *local.Postgres) {
	s.t.Helper()
	before := s.position(pg)
	s.eventually("the position to move", func() bool { return s.position(pg) > before })
}

// reckon waits until all is loaded, and holds table, offsets and ledger against what was produced.
func (s *scene) reckon(pg *local.Postgres) {
	s.t.Helper()
	s.eventually("all positions at the end", func() bool { return s.position(pg) == s.produced })
	for sql, want := range map[string]int64{
		`SELECT count(*) FROM orders`:                                        s.produced,
		`SELECT count(DISTINCT (kafka_partition, kafka_offset)) FROM orders`: s.produced,
		`SELECT sum(written)::bigint FROM sinker.offsets`:                    s.produced,
		`SELECT sum(records)::bigint FROM sinker.ledger`:                     s.produced,
		`SELECT count(*) FROM sinker.dead_letters`:                           0,
		`SELECT count(DISTINCT next_offset) FROM sinker.offsets`:             1,
	} {
		if got := s.count(pg, sql); got != want {
			s.t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
}

// said waits until a process has printed a text.
func (s *scene) said(p *e2e.Process, text string) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%s to say %q", p.Name, text), func() bool { return strings.Contains(p.Log(), text) })
}

func (s *scene) eventually(what string, ok func() bool) {
	s.t.Helper()
	await.Within(s.t, 90*time.Second, what, ok)
}
