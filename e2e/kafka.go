package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const kafkaImage = "apache/kafka:4.1.0"

// Kafka is a broker in a container: one node, KRaft.
type Kafka struct {
	Container testcontainers.Container
	Addr      string // for this machine
	Inside    string // for containers of the same network
	Admin     *kadm.Client
	client    *kgo.Client
}

func startKafka(ctx context.Context, net string) (*Kafka, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	k := &Kafka{Addr: fmt.Sprintf("%s:%d", engineHost(), port), Inside: "kafka:19092"}
	env := map[string]string{
		"KAFKA_NODE_ID":                                          "1",
		"KAFKA_PROCESS_ROLES":                                    "broker,controller",
		"KAFKA_CONTROLLER_QUORUM_VOTERS":                         "1@localhost:9093",
		"KAFKA_CONTROLLER_LISTENER_NAMES":                        "CONTROLLER",
		"KAFKA_INTER_BROKER_LISTENER_NAME":                       "INSIDE",
		"KAFKA_LISTENERS":                                        "HOST://:9092,INSIDE://:19092,CONTROLLER://:9093",
		"KAFKA_ADVERTISED_LISTENERS":                             "HOST://" + k.Addr + ",INSIDE://" + k.Inside,
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":                   "HOST:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"KAFKA_LOG_DIRS":                                         "/var/lib/kafka/data",
		"KAFKA_HEAP_OPTS":                                        "-Xmx512m -Xms256m",
		"KAFKA_AUTO_CREATE_TOPICS_ENABLE":                        "false",
		"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":                 "0",
		"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS":                     "4",
		"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":                 "1",
		"KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS":             "4",
		"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR":         "1",
		"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":                    "1",
		"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR":            "1",
		"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
		"KAFKA_LOG_CLEANER_BACKOFF_MS":                           "500",
	}
	k.Container, err = testcontainers.Run(ctx, kafkaImage, testcontainers.WithEnv(env), publish("9092/tcp", port),
		network.WithNetworkName([]string{"kafka"}, net))
	if err != nil {
		return k, fmt.Errorf("starting %s: %w", kafkaImage, err)
	}
	k.client, err = kgo.NewClient(kgo.SeedBrokers(k.Addr), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		return k, err
	}
	k.Admin = kadm.NewClient(k.client)
	return k, k.wait(ctx)
}

// wait waits until the broker has started and registered.
func (k *Kafka) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err := Poll(ctx, func() error {
		ask, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		brokers, err := k.Admin.ListBrokers(ask)
		if err == nil && len(brokers) == 0 {
			err = errors.New("no broker has registered")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("Kafka at %s does not answer: %w", k.Addr, err)
	}
	return nil
}

// Restart ends the broker with a signal and starts it again with its data. SIGTERM: it shuts down in order; SIGKILL:
// it does not.
func (k *Kafka) Restart(ctx context.Context, signal string) error {
	if err := SignalContainer(ctx, k.Container, signal); err != nil {
		return err
	}
	if err := k.Container.Start(ctx); err != nil {
		return fmt.Errorf("starting Kafka again: %w", err)
	}
	return k.wait(ctx)
}

// CreateTopic makes a topic; settings are pairs of name and value.
func (k *Kafka) CreateTopic(ctx context.Context, topic string, partitions int32, settings ...string) error {
	configs := map[string]*string{}
	for i := 0; i < len(settings); i += 2 {
		configs[settings[i]] = &settings[i+1]
	}
	_, err := k.Admin.CreateTopic(ctx, partitions, 1, configs, topic)
	return err
}

// Alter changes settings of a topic, given as pairs of name and value.
func (k *Kafka) Alter(ctx context.Context, topic string, settings ...string) error {
	var changes []kadm.AlterConfig
	for i := 0; i < len(settings); i += 2 {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: settings[i], Value: &settings[i+1]})
	}
	answers, err := k.Admin.AlterTopicConfigs(ctx, changes, topic)
	for _, a := range answers {
		err = errors.Join(err, a.Err)
	}
	return err
}

// Ends returns where the partitions of a topic end: what a position must reach.
func (k *Kafka) Ends(ctx context.Context, topic string) (map[int32]int64, error) {
	listed, err := k.Admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("the ends of topic %s: %w", topic, err)
	}
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends, nil
}

func (k *Kafka) remove() {
	if k.client != nil {
		k.client.Close()
	}
	removeContainer(k.Container)
}

func removeContainer(c testcontainers.Container) {
	if err := testcontainers.TerminateContainer(c, testcontainers.StopTimeout(0)); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: a container was not removed:", err)
	}
}
