package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The small topics have a pipeline of their own, because in them records are really lost. Before each of these faults
// all their records are in the tables, so it is known what must be there afterwards.
const (
	recreated       = "phoenix" // deleted and made again
	cutOff          = "shaky"   // its log loses its tail, as by an unclean election
	pruned          = "brief"   // its log loses its head, as by retention
	asidePartitions = 2
)

var asideTopics = []string{recreated, cutOff, pruned}

var asideFaults = []*fault{
	{name: "topic-recreated", about: "a topic is deleted and made again, while sinker is up or down: it must stop, " +
		"and go on when an operator says how", locks: []string{"aside", "kafka", "postgres"}, fire: recreateTopic},
	{name: "log-truncated", about: "a broker comes back without the tail of a log, and the log grows past where it " +
		"was: sinker must stop, not skip", locks: []string{"aside", "kafka", "postgres"}, fire: truncateLog},
	{name: "records-deleted", about: "records are deleted before sinker has read them: it must stop and name the hole",
		locks: []string{"aside", "kafka", "postgres"}, fire: deleteRecords},
}

// expectations are the numbers that must be in the small tables, each once.
type expectations struct {
	mu  sync.Mutex
	ids map[string][]int64
}

func (e *expectations) add(topic string, ids ...int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ids == nil {
		e.ids = map[string][]int64{}
	}
	e.ids[topic] = append(e.ids[topic], ids...)
}

func (e *expectations) of(topic string) []int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]int64(nil), e.ids[topic]...)
}

// fill produces n records to each partition of a small topic, and returns them.
func (st *stage) fill(ctx context.Context, topic string, n int) ([]*kgo.Record, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(st.kafka.Brokers()...), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.UnknownTopicRetries(-1), kgo.MaxProduceRequestsInflightPerBroker(1), kgo.ProducerBatchMaxBytes(4096))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var records []*kgo.Record
	for range n {
		for p := range int32(asidePartitions) {
			id := st.load.ids.Add(1)
			records = append(records, &kgo.Record{Partition: p, Value: fmt.Appendf(nil, `{"id":%d}`, id),
				Context: context.WithValue(context.Background(), idKey{}, id)})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	return records, client.ProduceSync(ctx, records...).FirstErr()
}

// settled produces and waits until all that must be there is.
func (st *stage) settled(ctx context.Context, topic string, n int) error {
	records, err := st.fill(ctx, topic, n)
	if err != nil {
		return err
	}
	st.expect(topic, records)
	return st.awaitRows(ctx, topic)
}

func (st *stage) expect(topic string, records []*kgo.Record) {
	for _, r := range records {
		st.expected.add(topic, idOf(r))
	}
}

// awaitRows waits until the table has as many rows as it must have.
func (st *stage) awaitRows(ctx context.Context, topic string) error {
	want := int64(len(st.expected.of(topic)))
	return within(ctx, time.Minute, func(ctx context.Context) error {
		n, err := st.db.number(ctx, `SELECT count(*) FROM `+topic)
		if err == nil && n < want {
			err = fmt.Errorf("table %s has %d rows of %d", topic, n, want)
		}
		return err
	})
}

// awaitStops waits until partitions of a topic are stopped for a reason that names what happened.
func (st *stage) awaitStops(ctx context.Context, topic string, partitions []int32, reason string) error {
	return within(ctx, 90*time.Second, func(ctx context.Context) error {
		n, err := st.db.number(ctx, `SELECT count(*) FROM sinker.offsets WHERE pipeline = $1 AND topic = $2 AND
			partition = ANY ($3) AND stopped LIKE $4`, asidePipeline, topic, partitions, "%"+reason+"%")
		if err == nil && n < int64(len(partitions)) {
			err = fmt.Errorf("%d of %d partitions of %s are stopped (%s)", n, len(partitions), topic, reason)
		}
		return err
	})
}

// decide is the operator: a decision about each partition.
func (st *stage) decide(ctx context.Context, topic string, partitions []int32, args func(p int32) []string) error {
	for _, p := range partitions {
		err := within(ctx, 40*time.Second, func(ctx context.Context) error {
			out, err := st.operator(ctx, asidePipeline, append(args(p), "--topic", topic, "--partition", fmt.Sprint(p))...)
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("sinker offsets for %s/%d: %w", topic, p, err)
		}
	}
	return nil
}

// An aside fault that has begun must be finished, or nobody knows what must be in the table.
func finish(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 4*time.Minute)
}

// unsure forgets a small topic of which nobody knows any more what must be in its table; it is a problem of the run.
func (st *stage) unsure(topic string, err error) error {
	if err != nil {
		st.tally.problem("I8: topic %s: %v", topic, err)
	}
	return err
}

var both = []int32{0, 1}

func recreateTopic(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
	if err := st.settled(ctx, recreated, 30+rng.IntN(100)); err != nil {
		return "", err
	}
	ctx, cancel := finish(ctx)
	defer cancel()
	down := rng.IntN(2) == 0
	if down {
		if err := st.aside.hold(syscall.SIGKILL); err != nil {
			return "", err
		}
	}
	err := st.reborn(ctx, rng)
	if down {
		err = errors.Join(err, st.aside.run())
	}
	if err != nil {
		return "", st.unsure(recreated, err)
	}
	if err := st.awaitStops(ctx, recreated, both, "deleted and made again"); err != nil {
		return "", st.unsure(recreated, err)
	}
	err = st.decide(ctx, recreated, both, func(int32) []string { return []string{"offsets", "reset"} })
	if err == nil {
		err = st.awaitRows(ctx, recreated)
	}
	return fmt.Sprintf("stopped (sinker was %s), and went on after `sinker offsets reset`",
		map[bool]string{true: "down", false: "up"}[down]), st.unsure(recreated, err)
}

// reborn deletes the topic, makes it again, and fills it.
func (st *stage) reborn(ctx context.Context, rng *rand.Rand) error {
	if _, err := st.admin.DeleteTopics(ctx, recreated); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond) // the name is free a moment after the answer
	if err := st.makeTopic(ctx, recreated, asidePartitions, 1, nil); err != nil {
		return err
	}
	records, err := st.fill(ctx, recreated, 10+rng.IntN(200))
	if err == nil {
		st.expect(recreated, records)
	}
	return err
}

func truncateLog(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
	if err := st.settled(ctx, cutOff, 200+rng.IntN(200)); err != nil {
		return "", err
	}
	leaders, err := st.leaders(ctx, cutOff)
	if err != nil {
		return "", err
	}
	node := st.kafka.Nodes[leaders[0]]
	before, err := st.admin.ListEndOffsets(ctx, cutOff)
	if err != nil {
		return "", err
	}
	ctx, cancel := finish(ctx)
	defer cancel()
	st.tally.killed()
	if err := node.Stop("kill"); err != nil {
		return "", err
	}
	cut := cutLog(filepath.Join(node.Data(), cutOff+"-0"), 0.4+0.4*rng.Float64())
	if err := errors.Join(cut, node.Start(ctx)); err != nil {
		return "", st.unsure(cutOff, err)
	}
	if err := within(ctx, time.Minute, st.led); err != nil {
		return "", st.unsure(cutOff, err)
	}
	after, err := st.admin.ListEndOffsets(ctx, cutOff)
	if err != nil {
		return "", st.unsure(cutOff, err)
	}
	was, is := offsetOf(before, cutOff), offsetOf(after, cutOff)
	if is >= was {
		return "", fmt.Errorf("the log ended at %d and now at %d", was, is)
	}
	return st.growPast(ctx, was, is)
}

// growPast lets the log grow past where it was: whoever only compares offsets sees nothing.
func (st *stage) growPast(ctx context.Context, was, is int64) (string, error) {
	records, err := st.fill(ctx, cutOff, int(was-is)+50)
	if err != nil {
		return "", st.unsure(cutOff, err)
	}
	st.expect(cutOff, records)
	one := []int32{0}
	if err := st.awaitStops(ctx, cutOff, one, "cut off"); err != nil {
		return "", st.unsure(cutOff, err)
	}
	err = st.decide(ctx, cutOff, one, func(int32) []string {
		return []string{"offsets", "set", "--offset", fmt.Sprint(is), "--write-again"}
	})
	if err == nil {
		err = st.awaitRows(ctx, cutOff)
	}
	return fmt.Sprintf("%d records were cut off, sinker stopped, and went on after `sinker offsets set`", was-is),
		st.unsure(cutOff, err)
}

func offsetOf(l kadm.ListedOffsets, topic string) int64 {
	o, _ := l.Lookup(topic, 0)
	return o.Offset
}

// cutLog shortens a partition's newest segment. The broker was killed, so it looks at the segment before it uses it,
// and throws away the batch that is broken now.
func cutLog(dir string, part float64) error {
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(logs) == 0 {
		return fmt.Errorf("there is no log in %s: %w", dir, err)
	}
	newest := logs[len(logs)-1]
	info, err := os.Stat(newest)
	if err != nil {
		return err
	}
	return os.Truncate(newest, int64(float64(info.Size())*part))
}

func deleteRecords(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
	if err := st.settled(ctx, pruned, 20+rng.IntN(50)); err != nil {
		return "", err
	}
	ctx, cancel := finish(ctx)
	defer cancel()
	if err := st.aside.hold(syscall.SIGKILL); err != nil {
		return "", err
	}
	low, lost, err := st.prune(ctx, rng)
	if err := errors.Join(err, st.aside.run()); err != nil {
		return "", st.unsure(pruned, err)
	}
	if err := st.awaitStops(ctx, pruned, both, "["); err != nil {
		return "", st.unsure(pruned, err)
	}
	err = st.decide(ctx, pruned, both, func(p int32) []string {
		return []string{"offsets", "set", "--offset", fmt.Sprint(low[p]), "--skip-records"}
	})
	if err == nil {
		err = st.awaitRows(ctx, pruned)
	}
	return fmt.Sprintf("%d records were deleted unread, sinker stopped, and went on after `sinker offsets set`", lost),
		st.unsure(pruned, err)
}

// prune produces records that sinker does not read, and deletes the first of them in Kafka.
func (st *stage) prune(ctx context.Context, rng *rand.Rand) (low map[int32]int64, lost int, err error) {
	records, err := st.fill(ctx, pruned, 40+rng.IntN(100))
	if err != nil {
		return nil, 0, err
	}
	low = map[int32]int64{}
	var upTo kadm.Offsets
	for p := range int32(asidePartitions) {
		low[p] = records[int(p)].Offset + 1 + rng.Int64N(30)
		upTo.Add(kadm.Offset{Topic: pruned, Partition: p, At: low[p], LeaderEpoch: -1})
	}
	for _, r := range records {
		if r.Offset < low[r.Partition] {
			lost++
		} else {
			st.expected.add(pruned, idOf(r))
		}
	}
	deleted, err := st.admin.DeleteRecords(ctx, upTo)
	if err == nil {
		err = deleted.Error()
	}
	return low, lost, err
}

// checkAside holds the small tables against what must be in them.
func (st *stage) checkAside(ctx context.Context, conn *pgx.Conn) (d differences, records int64, err error) {
	for _, topic := range asideTopics {
		want := map[int64]int{}
		for _, id := range st.expected.of(topic) {
			want[id]++
			records++
		}
		rows, err := conn.Query(ctx,
			`SELECT id, count(*), min(kafka_partition), min(kafka_offset) FROM `+topic+` GROUP BY id`)
		if err != nil {
			return d, records, err
		}
		var id, n int64
		var at place
		_, err = pgx.ForEachRow(rows, []any{&id, &n, &at.partition, &at.offset}, func() error {
			switch {
			case want[id] == 0:
				d.Phantom += n
				d.example("table "+topic, fmt.Sprintf("record %d was never produced", id), at)
			case n > 1:
				d.Duplicated += n - 1
				d.example("table "+topic, fmt.Sprintf("record %d is there %d times", id, n), at)
			}
			delete(want, id)
			return nil
		})
		if err != nil {
			return d, records, fmt.Errorf("table %s: %w", topic, err)
		}
		for id := range want {
			d.Lost++
			d.example("table "+topic, fmt.Sprintf("record %d is lost", id), place{})
		}
	}
	return d, records, nil
}

// exitCode is a command's, -1 when it did not run to its end.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// asideSchema makes the small tables.
func asideSchema() (sql []string) {
	for _, topic := range asideTopics {
		sql = append(sql,
			`CREATE TABLE `+topic+` (id bigint NOT NULL, kafka_partition integer NOT NULL, kafka_offset bigint NOT NULL)`)
	}
	return sql
}
