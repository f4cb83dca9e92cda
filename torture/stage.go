package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"sinker/internal/local"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// stage is everything that runs: Kafka, Postgres, the sinkers, and the networks between them.
type stage struct {
	*options
	dir     string
	journal *journal
	binary  string

	kafka    *local.Kafka
	nodes    sync.Mutex // held while a broker is stopped: one at a time
	client   *kgo.Client
	admin    *kadm.Client
	db       *database
	bouncer  *bouncer // nil: there is none
	sinkers  []*sinker
	aside    *sinker // moves the small topics, which are deleted and damaged
	load     *load
	tally    tally
	marks    marks
	expected expectations

	orders   sync.Mutex // one operator at a time
	rewiring sync.Mutex
	guests   []*sinker // that only stay for a while
}

// guest lets a further sinker's wires follow the primary too.
func (st *stage) guest(s *sinker) (leave func()) {
	st.rewiring.Lock()
	st.guests = append(st.guests, s)
	st.rewiring.Unlock()
	st.rewire()
	return func() {
		st.rewiring.Lock()
		defer st.rewiring.Unlock()
		st.guests = slices.DeleteFunc(st.guests, func(g *sinker) bool { return g == s })
	}
}

// open starts everything but the load.
func (st *stage) open(ctx context.Context) error {
	var err error
	if st.binary, err = st.build(ctx); err != nil {
		return err
	}
	release, err := local.FindKafka()
	if err != nil {
		return err
	}
	if err := st.startBouncer(); err != nil {
		return err
	}
	if err := st.makeSinkers(); err != nil {
		return err
	}
	st.say("Kafka: %d broker(s) of %s", st.brokers, release.From)
	if err := st.startKafka(ctx, release); err != nil {
		return err
	}
	if st.db, err = openDatabase(ctx, st); err != nil {
		return err
	}
	st.say("Postgres: primary and standby of %s", st.db.primary().Bin())
	st.rewire()
	if err := st.makeTopics(ctx); err != nil {
		return err
	}
	if out, err := st.operator(ctx, st.sinkers[0].pipeline, "migrate", "up"); err != nil {
		return fmt.Errorf("sinker migrate up: %w\n%s", err, out)
	}
	return st.db.makeSchema(ctx)
}

// build is the binary under test: the given one, or a fresh build.
func (st *stage) build(ctx context.Context) (string, error) {
	if st.options.sinker != "" {
		return filepath.Abs(st.options.sinker)
	}
	out := filepath.Join(st.dir, "sinker")
	if here, err := os.Getwd(); err == nil {
		st.say("sinker: built from the module of %s", here)
	}
	args := []string{"build", "-o", out}
	if st.race {
		args = append(args, "-race")
	}
	if b, err := exec.CommandContext(ctx, "go", append(args, "sinker/cmd/sinker")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build sinker (run this from the project's directory, or give -sinker): %w\n%s", err, b)
	}
	return out, nil
}

func (st *stage) makeSinkers() error {
	for i := range st.options.sinkers {
		s, err := st.newSinker(fmt.Sprintf("sinker-%d", i), mainPipeline)
		if err != nil {
			return err
		}
		st.sinkers = append(st.sinkers, s)
		way := []string{"hosts", "address", "pooler"}[i]
		if way == "pooler" && st.bouncer == nil {
			way = "address"
		}
		if err := s.wirePostgres(way); err != nil {
			return err
		}
		if err := s.wireKafka(st.brokers); err != nil {
			return err
		}
	}
	st.sinkers[0].synchronous = "on"
	if len(st.sinkers) > 1 {
		st.sinkers[1].synchronous, st.sinkers[1].instance = "off", "off"
	}
	var err error
	if st.aside, err = st.newSinker("sinker-aside", asidePipeline); err != nil {
		return err
	}
	return st.aside.wirePostgres("address")
}

func (st *stage) startKafka(ctx context.Context, release *local.KafkaRelease) error {
	log, err := os.Create(filepath.Join(st.dir, "kafka.log"))
	if err != nil {
		return err
	}
	extra := make([][]string, st.brokers)
	for node := range extra {
		for _, s := range st.sinkers {
			extra[node] = append(extra[node], s.kafka[node].addr())
		}
	}
	st.kafka, err = local.StartKafka(ctx, local.KafkaOptions{Release: release, Nodes: st.brokers, Extra: extra, Log: log,
		Heap: "400m", Settings: map[string]string{
			"unclean.leader.election.enable": "false", "num.network.threads": "2", "num.io.threads": "4",
			"log.cleaner.backoff.ms":          "2000",
			"log.retention.check.interval.ms": "5000", "broker.session.timeout.ms": "6000",
			"transaction.max.timeout.ms":  "900000",
			"log.segment.delete.delay.ms": "1000", "delete.topic.enable": "true", "auto.create.topics.enable": "false",
		}})
	if err != nil {
		return err
	}
	for n, node := range st.kafka.Nodes {
		for i, s := range st.sinkers {
			s.kafka[n].connect(node.Listener(i))
		}
	}
	if st.client, err = kgo.NewClient(kgo.SeedBrokers(st.kafka.Brokers()...),
		kgo.MetadataMinAge(100*time.Millisecond)); err != nil {
		return err
	}
	st.admin = kadm.NewClient(st.client)
	return within(ctx, time.Minute, func(ctx context.Context) error {
		brokers, err := st.admin.ListBrokers(ctx)
		if err == nil && len(brokers) < st.brokers {
			err = fmt.Errorf("%d of %d brokers have registered", len(brokers), st.brokers)
		}
		return err
	})
}

// replicas is how many copies the big topics have.
func (st *stage) replicas() int16 { return int16(min(st.brokers, 3)) }

func (st *stage) makeTopics(ctx context.Context) error {
	for _, t := range tables {
		settings := map[string]string{"segment.bytes": "67108864"}
		if t.upsert {
			settings = map[string]string{"cleanup.policy": "compact", "segment.bytes": "4194304", "segment.ms": "20000",
				"min.cleanable.dirty.ratio": "0.1"}
		}
		if err := st.makeTopic(ctx, t.name, t.partitions, st.replicas(), settings); err != nil {
			return err
		}
	}
	for _, name := range asideTopics {
		if err := st.makeTopic(ctx, name, asidePartitions, 1, nil); err != nil {
			return err
		}
	}
	return nil
}

// makeTopic makes a topic and waits until every partition has a leader.
func (st *stage) makeTopic(ctx context.Context, name string, partitions int, replicas int16,
	settings map[string]string) error {
	configs := map[string]*string{}
	for k, v := range settings {
		configs[k] = &v
	}
	err := within(ctx, 30*time.Second, func(ctx context.Context) error {
		_, err := st.admin.CreateTopic(ctx, int32(partitions), replicas, configs, name)
		if err != nil && strings.Contains(err.Error(), "TOPIC_ALREADY_EXISTS") {
			if d, derr := st.admin.ListTopics(ctx, name); derr == nil && d.Has(name) && len(d[name].Partitions) == partitions {
				return nil
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create topic %s: %w", name, err)
	}
	return within(ctx, 30*time.Second, func(ctx context.Context) error {
		ends, err := st.ends(ctx, name)
		if err == nil && len(ends) != partitions {
			err = fmt.Errorf("topic %s has %d of %d partitions", name, len(ends), partitions)
		}
		return err
	})
}

// ends are the offsets at which a topic's partitions end for a reader of committed records, and logEnds those at which
// they end.
func (st *stage) ends(ctx context.Context, topic string) (map[int32]int64, error) {
	return listEnds(st.admin.ListCommittedOffsets(ctx, topic))
}

func (st *stage) logEnds(ctx context.Context, topic string) (map[int32]int64, error) {
	return listEnds(st.admin.ListEndOffsets(ctx, topic))
}

func listEnds(listed kadm.ListedOffsets, err error) (map[int32]int64, error) {
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("the end offsets of a topic: %w", err)
	}
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends, nil
}

// rewire leads every wire to whoever is there now.
func (st *stage) rewire() {
	st.rewiring.Lock()
	defer st.rewiring.Unlock()
	primary := address(st.db.primary())
	standby := ""
	if s := st.db.standby(); s != nil {
		standby = address(s)
	}
	for _, s := range append(append(st.sinkers[:len(st.sinkers):len(st.sinkers)], st.aside), st.guests...) {
		s.rewire(primary, standby)
	}
	if st.bouncer != nil {
		st.bouncer.wire.connect(primary)
	}
}

// close ends everything, whatever has been started.
func (st *stage) close() error {
	var all []error
	for _, s := range append(st.sinkers[:len(st.sinkers):len(st.sinkers)], st.aside) {
		if s != nil {
			s.close()
		}
	}
	if st.bouncer != nil {
		st.bouncer.close()
	}
	if st.client != nil {
		st.client.Close()
	}
	if st.kafka != nil {
		all = append(all, st.kafka.Close())
	}
	if st.db != nil {
		st.db.close()
	}
	return errors.Join(all...)
}

func (st *stage) say(format string, args ...any) { st.journal.say(format, args...) }
