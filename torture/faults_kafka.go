package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/twmb/franz-go/pkg/kerr"
)

var onKafka = []string{"kafka"}

var kafkaFaults = []*fault{
	{name: "kafka-restart", about: "a broker is stopped in order, and started", locks: onKafka,
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			return restartKafka(ctx, st, rng, "term")
		}},
	{name: "kafka-crash", about: "SIGKILL for a broker", locks: onKafka,
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			st.tally.killed()
			return restartKafka(ctx, st, rng, "kill")
		}},
	{name: "kafka-freeze", about: "SIGSTOP for a broker, up to longer than the session timeout, then SIGCONT",
		locks: onKafka, fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			node := st.kafka.Nodes[rng.IntN(len(st.kafka.Nodes))]
			if err := node.Signal(syscall.SIGSTOP); err != nil {
				return "", err
			}
			began := time.Now()
			wait(ctx, between(rng, 2*time.Second, 9*time.Second))
			return fmt.Sprintf("broker %d stood still for %.1f s", node.ID, time.Since(began).Seconds()),
				node.Signal(syscall.SIGCONT)
		}},
	{name: "kafka-partition", about: "nothing comes through between one sinker, or all, and Kafka: a zombie that " +
		"still reaches Postgres", fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
		who := st.some(rng)
		var wires []*wire
		for _, s := range who {
			wires = append(wires, s.kafka...)
		}
		return sever(ctx, rng, fmt.Sprintf("%d sinker(s) and Kafka", len(who)), wires)
	}},
	{name: "kafka-latency", about: "20 to 300 ms more on every packet between one sinker and Kafka",
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			s := st.one(rng)
			return slow(ctx, rng, s.name+" and Kafka", s.kafka)
		}},
	{name: "kafka-cut", about: "every connection between the sinkers and Kafka is broken, a few times per second",
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			cuts := 0
			for range 5 + rng.IntN(20) {
				for _, s := range st.sinkers {
					for _, w := range s.kafka {
						cuts += w.cut()
					}
				}
				if !wait(ctx, between(rng, 50*time.Millisecond, 700*time.Millisecond)) {
					break
				}
			}
			if cuts == 0 {
				return "", errors.New("there was no connection")
			}
			return fmt.Sprintf("%d connections", cuts), nil
		}},
	{name: "leader-move", about: "partitions get another leader", locks: onKafka, fire: moveLeaders,
		missing: func(st *stage) string {
			if st.brokers < 2 {
				return "it needs two brokers (-brokers 2 or 3)"
			}
			return ""
		}},
	{name: "partitions-added", about: "topic events gets one partition more, up to 24", fire: addPartition},
	{name: "group-offsets-by-others", about: "somebody commits wrong offsets for sinker's consumer group",
		fire: foreignOffsets},
	{name: "hanging-transaction", about: "a producer's transaction stays open for seconds, so that nothing behind it " +
		"can be read", fire: hangingTransaction},
}

func restartKafka(ctx context.Context, st *stage, rng *rand.Rand, how string) (string, error) {
	node := st.kafka.Nodes[rng.IntN(len(st.kafka.Nodes))]
	if err := node.Stop(how); err != nil {
		return "", err
	}
	began := time.Now()
	wait(ctx, between(rng, 0, 5*time.Second))
	ctx = context.WithoutCancel(ctx)
	if err := node.Start(ctx); err != nil {
		return "", err
	}
	err := within(ctx, time.Minute, func(ctx context.Context) error { return st.led(ctx) })
	return fmt.Sprintf("broker %d was away for %.1f s", node.ID, time.Since(began).Seconds()), err
}

// led says whether every partition has a leader.
func (st *stage) led(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	topics, err := st.admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	for _, t := range topics {
		for _, p := range t.Partitions {
			if p.Leader < 0 || p.Err != nil {
				return fmt.Errorf("%s/%d has no leader: %w", t.Topic, p.Partition, p.Err)
			}
		}
	}
	return nil
}

// moveLeaders turns the order of the replicas round and has the first of them elected.
func moveLeaders(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
	t := tables[rng.IntN(len(tables))]
	before, err := st.leaders(ctx, t.name)
	if err != nil {
		return "", err
	}
	topics, err := st.admin.ListTopics(ctx, t.name)
	if err != nil {
		return "", err
	}
	var want kadm.AlterPartitionAssignmentsReq
	elect := kadm.TopicsSet{}
	for _, p := range topics[t.name].Partitions {
		replicas := slices.Clone(p.Replicas)
		slices.Reverse(replicas)
		want.Assign(t.name, p.Partition, replicas)
		elect.Add(t.name, p.Partition)
	}
	if _, err := st.admin.AlterPartitionAssignments(ctx, want); err != nil {
		return "", err
	}
	moved := 0
	err = within(ctx, 15*time.Second, func(ctx context.Context) error {
		st.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, elect)
		after, err := st.leaders(ctx, t.name)
		moved = 0
		for p, leader := range after {
			if leader != before[p] {
				moved++
			}
		}
		if err == nil && moved == 0 {
			err = errors.New("every leader is where it was")
		}
		return err
	})
	return fmt.Sprintf("%d leaders of %s", moved, t.name), err
}

func (st *stage) leaders(ctx context.Context, topic string) (map[int32]int32, error) {
	topics, err := st.admin.ListTopics(ctx, topic)
	if err != nil {
		return nil, err
	}
	all := map[int32]int32{}
	for _, p := range topics[topic].Partitions {
		all[p.Partition] = p.Leader
	}
	return all, topics[topic].Err
}

func addPartition(ctx context.Context, st *stage, _ *rand.Rand) (string, error) {
	before, err := st.leaders(ctx, "events")
	if err != nil {
		return "", err
	}
	if len(before) >= 24 {
		return "", fmt.Errorf("it has %d already", len(before))
	}
	if _, err := st.admin.CreatePartitions(ctx, 1, "events"); err != nil {
		return "", err
	}
	after := before
	err = within(ctx, 10*time.Second, func(ctx context.Context) error {
		if after, err = st.leaders(ctx, "events"); err == nil && len(after) == len(before) {
			err = errors.New("there is no new partition")
		}
		return err
	})
	return fmt.Sprintf("%d, there were %d", len(after), len(before)), err
}

// foreignOffsets commits nonsense for the group. A group with members takes it only from a transaction.
func foreignOffsets(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(st.kafka.Brokers()...))
	if err != nil {
		return "", err
	}
	defer client.Close()
	id := fmt.Sprintf("torture-foreign-%d", rng.Uint32())
	init := kmsg.NewPtrInitProducerIDRequest()
	init.TransactionalID, init.TransactionTimeoutMillis = &id, 10_000
	producer, err := init.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(producer.ErrorCode)
	}
	if err != nil {
		return "", err
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = id, producer.ProducerID, producer.ProducerEpoch,
		mainPipeline
	if resp, err := add.RequestWith(ctx, client); err != nil || resp.ErrorCode != 0 {
		return "", errors.Join(err, kerr.ErrorForCode(resp.ErrorCode))
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch, commit.Group = id, producer.ProducerID,
		producer.ProducerEpoch, mainPipeline
	for _, t := range tables {
		topic := kmsg.NewTxnOffsetCommitRequestTopic()
		topic.Topic = t.name
		for p := range t.partitions {
			part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			part.Partition, part.Offset = int32(p), rng.Int64N(1_000_000_000)
			topic.Partitions = append(topic.Partitions, part)
		}
		commit.Topics = append(commit.Topics, topic)
	}
	resp, err := commit.RequestWith(ctx, client)
	if err != nil {
		return "", err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return "", err
			}
		}
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = id, producer.ProducerID, producer.ProducerEpoch,
		true
	done, err := end.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(done.ErrorCode)
	}
	return "wrong offsets were committed for every partition", err
}

func hangingTransaction(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
	client, err := st.load.client("payments", kgo.TransactionalID(fmt.Sprintf("torture-hanging-%d", rng.Uint32())),
		kgo.TransactionTimeout(30*time.Second))
	if err != nil {
		return "", err
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		return "", err
	}
	t := tables[1]
	var ids []int64
	var records []*kgo.Record
	for range 60 {
		r := st.load.next(t, 100_000)
		ids, records = append(ids, idOf(r)), append(records, r)
	}
	produce, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := client.ProduceSync(produce, records...).FirstErr(); err != nil {
		return "", err
	}
	wait(ctx, between(rng, 4*time.Second, 12*time.Second))
	behind, err := st.unstable(ctx, t.name)
	keep := rng.IntN(2) == 0
	ended := within(context.WithoutCancel(ctx), 40*time.Second, func(ctx context.Context) error { // a broker may be away
		return client.EndTransaction(ctx, kgo.TransactionEndTry(keep))
	})
	if err := errors.Join(ended, err); err != nil {
		st.load.unknown.Add(1)
		return "", err
	}
	st.load.ended(t, ids, keep)
	if behind == 0 {
		return "", errors.Join(err, errors.New("nothing was held back"))
	}
	return fmt.Sprintf("%d records were held back, then it was %s", behind,
		map[bool]string{true: "committed", false: "aborted"}[keep]), nil
}

// unstable is how many records lie behind an open transaction.
func (st *stage) unstable(ctx context.Context, topic string) (n int64, err error) {
	stable, err := st.ends(ctx, topic)
	if err != nil {
		return 0, err
	}
	ends, err := st.logEnds(ctx, topic)
	for p, end := range ends {
		n += max(end-stable[p], 0)
	}
	return n, err
}
