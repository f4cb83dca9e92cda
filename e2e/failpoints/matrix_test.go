// Package failpoints kills, freezes and fails sinker at every step of an assignment, a batch and a shutdown, with one
// and with three members, and holds what is in Postgres afterwards against what was produced. It needs no Docker: the
// Kafka is in the process, the Postgres is a temporary one, the program is the real one with the failpoints compiled in.
package failpoints

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sinker/internal/failpoint"
	"sinker/internal/local/await"
	"sinker/internal/local/localtest"
	"sinker/internal/txn"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	partitions = 6
	perRound   = 400 // records a partition, before and after the fault
)

var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sinker-failpoints-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "sinker")
	return path, localtest.Go("build", "-tags", "failpoints", "-o", path, "sinker/cmd/sinker")
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// TestMatrix is every place × {kill, stop, error} × {1, 3 members}.
func TestMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("some minutes; left out with -short")
	}
	for _, members := range []int{1, 3} {
		for _, place := range failpoint.All {
			for _, action := range []string{"kill", "stop", "error"} {
				t.Run(fmt.Sprintf("%s/%s/%d", place, action, members), func(t *testing.T) {
					t.Parallel()
					s := newScene(t)
					s.play(place, action, members)
				})
			}
		}
	}
}

// scene is one run's Kafka, database and processes.
type scene struct {
	t        *testing.T
	path     string
	kafka    *kfake.Cluster
	client   *kgo.Client
	url      string
	conn     *pgx.Conn
	config   string
	produced int
}

func newScene(t *testing.T) *scene {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	s := &scene{t: t, path: path, url: localtest.Database(t)}
	s.kafka = localtest.Kafka(t, kfake.SeedTopics(partitions, "orders"), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if _, _, err := txn.Migrate(ctx, s.url, nil); err != nil {
		t.Fatal(err)
	}
	if s.conn, err = pgx.Connect(ctx, s.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close(ctx) })
	if s.client, err = kgo.NewClient(kgo.SeedBrokers(s.kafka.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	s.exec(`CREATE TABLE orders (id bigint, kafka_partition int, kafka_offset bigint)`) // no unique key: it would hide duplicates
	s.exec(`CREATE TABLE sums (p int, parity int, n bigint, ids bigint, PRIMARY KEY (p, parity))`)
	s.config = filepath.Join(t.TempDir(), "sinker.yaml")
	text := fmt.Sprintf("kafka: { brokers: '%s', session_timeout: 1s, instance: off }\npostgres: { url: '%s', statement_timeout: 2s }\nhttp: off\nworkers: 1\nbatch: { rows: 50 }\n"+
		"sinks:\n- { topic: orders, table: orders, columns: { id: id }, meta: [partition, offset] }\n"+
		"- { topic: orders, table: sums, group: { p: $partition, parity: parity }, add: { n: 1, ids: id } }\n", s.kafka.ListenAddrs()[0], s.url)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scene) exec(sql string) {
	s.t.Helper()
	if _, err := s.conn.Exec(context.Background(), sql); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s *scene) count(sql string) (n int) {
	s.t.Helper()
	if err := s.conn.QueryRow(context.Background(), sql).Scan(&n); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// produce adds a round of records. Every tenth cannot become a row: dead letters must keep the promise too.
func (s *scene) produce() {
	s.t.Helper()
	var records []*kgo.Record
	for p := range int32(partitions) {
		for i := range perRound {
			value := fmt.Sprintf(`{"id":%d,"parity":%d}`, i, i%2)
			if i%10 == 3 {
				value = "nonsense"
			}
			records = append(records, &kgo.Record{Topic: "orders", Partition: p, Value: []byte(value)})
		}
	}
	if err := s.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
	s.produced += len(records)
}

// process is a sinker.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func (p *process) owns() bool { return strings.Contains(p.text(), "took partition") }

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// start starts a sinker, armed or not.
func (s *scene) start(armed string) *process {
	s.t.Helper()
	p := &process{cmd: exec.Command(s.path, "run", "-c", s.config, "--migrate=false"), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "SINKER_FAILPOINT="+armed)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { p.cmd.Wait(); close(p.done) }()
	s.t.Cleanup(func() {
		p.cmd.Process.Signal(syscall.SIGCONT)
		p.cmd.Process.Kill()
		<-p.done
		if s.t.Failed() {
			s.t.Logf("a sinker (%q) said:\n%s", armed, p.text())
		}
	})
	return p
}

// passage says at which passage of the place the fault strikes: in the middle of the load where a place is passed often.
func passage(place string) int {
	switch place {
	case failpoint.Polled, failpoint.Compared, failpoint.MidCopy, failpoint.Written, failpoint.BeforeCommit, failpoint.Committed, failpoint.Advanced:
		return 3
	}
	return 1
}

// play runs the story: load, the fault, whatever it takes to go on, more records, and the reckoning.
func (s *scene) play(place, action string, members int) {
	s.produce()
	victim := s.start(fmt.Sprintf("%s=%s@%d", place, action, passage(place)))
	revoke := place == failpoint.Revoking || place == failpoint.LetGo
	if revoke { // it must have something to give up, and somebody to give it to
		s.eventually("the victim to own partitions", victim.owns)
	}
	var others []*process
	for range members - 1 {
		others = append(others, s.start(""))
	}
	switch {
	case revoke && members == 1:
		others = append(others, s.start(""))
	case place == failpoint.Leaving:
		s.eventually("the victim to own partitions", victim.owns)
		victim.cmd.Process.Signal(syscall.SIGTERM)
	}
	s.eventually("the fault", func() bool {
		if strings.Contains(victim.text(), "failpoint "+place+": "+action) {
			return true
		}
		if s.behind() == 0 { // the others were faster: more for the victim
			s.produce()
		}
		return false
	})
	switch action {
	case "kill":
		<-victim.done
		others = append(others, s.start(""))
	case "stop":
		others = append(others, s.start(""))
		s.caughtUp() // by the others, past whatever the frozen one holds
		victim.cmd.Process.Signal(syscall.SIGCONT)
	case "error":
		if place == failpoint.Leaving {
			<-victim.done
			others = append(others, s.start(""))
		}
	}
	s.produce()
	s.caughtUp()
	s.stop(append(others, victim))
	s.reckon()
}

// caughtUp waits until every record has been dealt with.
func (s *scene) caughtUp() {
	s.t.Helper()
	s.eventually("all positions at the end", func() bool { return s.behind() == 0 })
}

// behind is how many records have not been dealt with.
func (s *scene) behind() int {
	s.t.Helper()
	return s.produced - s.count(`SELECT coalesce(sum(next_offset), 0)::int FROM sinker.offsets`)
}

// stop ends the processes as an operator would.
func (s *scene) stop(all []*process) {
	s.t.Helper()
	for _, p := range all {
		if p.ended() {
			continue
		}
		p.cmd.Process.Signal(syscall.SIGTERM)
		s.eventually("a process to end", p.ended)
		if code := p.cmd.ProcessState.ExitCode(); code != 0 && p.text() != "" { // before main begins nobody listens for signals
			s.t.Errorf("exit code %d after SIGTERM", code)
		}
	}
}

// reckon holds tables, offsets and ledger against what was produced.
func (s *scene) reckon() {
	s.t.Helper()
	dead := s.produced / 10
	for sql, want := range map[string]int{
		`SELECT count(*)::int FROM orders`:                                        s.produced - dead,
		`SELECT count(DISTINCT (kafka_partition, kafka_offset))::int FROM orders`: s.produced - dead,
		`SELECT sum(n)::int FROM sums`:                                            s.produced - dead,
		`SELECT count(*)::int FROM (SELECT kafka_partition, id % 2, count(*), sum(id) FROM orders GROUP BY 1, 2 EXCEPT SELECT * FROM sums) t`: 0,
		`SELECT count(*)::int FROM sinker.dead_letters`:                                                                                         2 * dead, // one a table
		`SELECT count(DISTINCT (partition, record_offset))::int FROM sinker.dead_letters`:                                                       dead,
		`SELECT count(*)::int FROM orders o JOIN sinker.dead_letters d ON (o.kafka_partition, o.kafka_offset) = (d.partition, d.record_offset)`: 0,
		`SELECT sum(written)::int FROM sinker.offsets`:                                                                                          s.produced - dead,
		`SELECT sum(dead)::int FROM sinker.offsets`:                                                                                             dead,
		`SELECT sum(records)::int FROM sinker.ledger`:                                                                                           s.produced,
		`SELECT count(*)::int FROM (SELECT from_offset, coalesce(lag(to_offset) OVER (PARTITION BY partition ORDER BY from_offset), 0) AS want FROM sinker.ledger) t WHERE from_offset <> want`: 0,
	} {
		if got := s.count(sql); got != want {
			s.t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
}

func (s *scene) eventually(what string, ok func() bool) {
	s.t.Helper()
	await.Within(s.t, 90*time.Second, what, ok)
}
