// Package elections lets the brokers of a real Kafka elect a leader that lags behind, which loses records that sinker has
// loaded already. It needs no Docker: the Kafka and the Postgres are temporary ones, the program is the real one.
package elections

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sinker/e2e"
	"sinker/internal/local"
	"sinker/internal/local/await"
	"sinker/internal/local/localtest"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestMain(m *testing.M) {
	code := m.Run()
	e2e.RemoveBinary()
	os.Exit(code)
}

// Who holds the partitions of topic orders: broker 2 leads the first one and broker 1 follows; the second one has a leader that
// stays. (All partitions must have as many replicas.)
const follower, leader = 1, 2

var replicas = [][]int32{{leader, follower}, {0, follower}}

// TestUncleanElection: the follower of a partition stands still while the leader takes records, which sinker loads. Then
// the leader dies, and the follower, which wakes up without those records, is elected, because the topic allows that. New
// records take the offsets of the lost ones, and go beyond sinker's position: nothing but the leader epoch tells them
// apart. sinker must stop that partition, not skip, and go on with the other one.
func TestUncleanElection(t *testing.T) {
	if testing.Short() {
		t.Skip("three brokers, half a minute; left out with -short")
	}
	s := newScene(t)
	s.produce(0, 0, 100)
	s.produce(1, 0, 100)
	s.eventually("both partitions to be loaded", func() bool { return s.position(0) == 100 && s.position(1) == 100 })

	s.must(s.kafka.Nodes[follower].Signal(syscall.SIGSTOP))
	s.eventually("the follower to be out of the in-sync replicas", func() bool { return slices.Equal(s.partition(0).ISR, []int32{leader}) })
	s.produce(0, 100, 100)
	s.eventually("what only the leader has to be loaded", func() bool { return s.position(0) == 200 })

	s.must(s.kafka.Nodes[leader].Stop("kill"))
	s.must(s.kafka.Nodes[follower].Signal(syscall.SIGCONT))
	s.eventually("the follower to be elected", func() bool { return s.partition(0).Leader == follower })
	if end := s.end(0); end != 100 {
		t.Fatalf("the log ends at %d, want 100: no record was lost, the test proves nothing", end)
	}
	s.produce(0, 1000, 150)
	s.produce(1, 100, 100)

	s.eventually("the partition to be stopped", func() bool { return strings.Contains(s.sinker.Log(), "partition stopped") })
	for _, want := range []string{"cut off at offset 100", "[100, 200)", "--partition 0 --offset 100 --write-again"} {
		if !strings.Contains(s.sinker.Log(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	s.eventually("the other partition to go on", func() bool { return s.position(1) == 200 })
	if at := s.position(0); at != 200 {
		t.Errorf("the stopped partition moved to %d", at)
	}
	s.want(`SELECT count(*) FROM orders WHERE kafka_partition = 0 AND id >= 1000`, 0)

	out, err := exec.Command(e2e.Binary(t), "offsets", "set", "-c", s.config, "--topic", "orders", "--partition", "0", "--offset", "100", "--write-again").CombinedOutput()
	if err != nil {
		t.Fatalf("sinker offsets set: %v\n%s", err, out)
	}
	s.eventually("the new log to be loaded", func() bool { return s.position(0) == 250 })
	s.want(`SELECT count(*) FROM orders WHERE kafka_partition = 0 AND id < 1000`, 200) // what Kafka lost stays
	s.want(`SELECT count(DISTINCT id) FROM orders WHERE kafka_partition = 0 AND id >= 1000`, 150)
	s.want(`SELECT count(*) FROM orders`, 200+150+200)
}

type scene struct {
	t      *testing.T
	kafka  *local.Kafka
	client *kgo.Client
	admin  *kadm.Client
	conn   *pgx.Conn
	config string
	sinker *e2e.Process
}

func newScene(t *testing.T) *scene {
	t.Helper()
	ctx := context.Background()
	url := localtest.Database(t)
	s := &scene{t: t, kafka: localtest.RealKafka(t, local.KafkaOptions{Nodes: 3, Heap: "256m", Settings: map[string]string{
		"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500", "replica.lag.time.max.ms": "3000",
	}})}
	var err error
	s.client, err = kgo.NewClient(kgo.SeedBrokers(s.kafka.Brokers()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.DefaultProduceTopic("orders"))
	s.must(err)
	t.Cleanup(s.client.Close)
	s.admin = kadm.NewClient(s.client)
	s.createTopic(ctx)
	s.conn, err = pgx.Connect(ctx, url)
	s.must(err)
	t.Cleanup(func() { s.conn.Close(ctx) })
	_, err = s.conn.Exec(ctx, `CREATE TABLE orders (id bigint, kafka_partition int, kafka_offset bigint)`) // no unique key: it would hide duplicates
	s.must(err)
	s.config = e2e.Config(t, fmt.Sprintf("kafka: { brokers: '%s', instance: off }\npostgres: '%s'\nworkers: 1\nhttp: off\n"+
		"sinks: [{ topic: orders, table: orders, columns: { id: id }, meta: [partition, offset] }]\n", strings.Join(s.kafka.Brokers(), ","), url))
	s.sinker = e2e.Start(t, "sinker", s.config)
	return s
}

// createTopic says itself which broker holds which partition, which kadm cannot.
func (s *scene) createTopic(ctx context.Context) {
	s.t.Helper()
	allowed := "true"
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "orders", -1, -1
	for p, brokers := range replicas {
		topic.ReplicaAssignment = append(topic.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(p), Replicas: brokers})
	}
	topic.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "unclean.leader.election.enable", Value: &allowed}}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics, req.TimeoutMillis = []kmsg.CreateTopicsRequestTopic{topic}, 10_000
	resp, err := req.RequestWith(ctx, s.client)
	s.must(err)
	s.must(kerr.ErrorForCode(resp.Topics[0].ErrorCode))
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) eventually(what string, ok func() bool) {
	s.t.Helper()
	await.Within(s.t, 90*time.Second, what, ok)
}

// produce adds records with the ids from an id on.
func (s *scene) produce(partition int32, from, n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Partition: partition, Value: fmt.Appendf(nil, `{"id":%d}`, from+i)})
	}
	s.must(s.client.ProduceSync(ctx, records...).FirstErr())
}

// partition is what the brokers say of a partition; nothing while they do not answer.
func (s *scene) partition(p int32) kadm.PartitionDetail {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	topics, err := s.admin.ListTopics(ctx, "orders")
	if err != nil {
		return kadm.PartitionDetail{Leader: -1}
	}
	return topics["orders"].Partitions[p]
}

func (s *scene) end(p int32) int64 {
	s.t.Helper()
	var at int64
	s.eventually("the end of the log", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		ends, err := s.admin.ListEndOffsets(ctx, "orders")
		o, ok := ends.Lookup("orders", p)
		at = o.Offset
		return err == nil && ok && o.Err == nil
	})
	return at
}

// position is where a partition stands; -1 before it was taken.
func (s *scene) position(p int32) (at int64) {
	if err := s.conn.QueryRow(context.Background(), `SELECT next_offset FROM sinker.offsets WHERE partition = $1`, p).Scan(&at); err != nil {
		return -1
	}
	return at
}

func (s *scene) want(sql string, want int64) {
	s.t.Helper()
	var got int64
	s.must(s.conn.QueryRow(context.Background(), sql).Scan(&got))
	if got != want {
		s.t.Errorf("%s: %d, want %d", sql, got, want)
	}
}
