package consume

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"sinker/internal/mutant"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A worker has two Kafka clients. The member holds the place in the consumer group and never fetches: its
// AdjustFetchOffsetsFn gives no partition a position. The reader fetches, from positions that come from the Store and
// from nowhere else. So a Postgres outage never fails the group's session (an error in AdjustFetchOffsetsFn would, and
// would become a rebalance storm), and no offset that Kafka keeps is ever read.

// newMember joins the group; on is told of assignments. When ctx ends, its requests in flight fail.
func newMember(ctx context.Context, c *Config, on *assignment) (*kgo.Client, error) {
	opts := append([]kgo.Opt{
		kgo.WithContext(ctx),
		kgo.ConsumerGroup(c.Group),
		kgo.DisableAutoCommit(),
		kgo.AdjustFetchOffsetsFn(func(context.Context, map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			return map[string]map[int32]kgo.Offset{}, nil
		}),
		kgo.OnPartitionsAssigned(on.assigned),
		kgo.OnPartitionsRevoked(on.revoked),
		kgo.OnPartitionsLost(on.lost),
		kgo.SessionTimeout(c.SessionTimeout),
		kgo.HeartbeatInterval(c.HeartbeatInterval),
		kgo.RebalanceTimeout(c.RebalanceTimeout),
		kgo.MetadataMaxAge(30 * time.Second), // how late a new partition may be seen
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
	}, c.Kafka...)
	if len(c.Regexps) > 0 {
		var topics []string
		for _, r := range c.Regexps {
			topics = append(topics, r.String())
		}
		for _, t := range c.Topics {
			topics = append(topics, "^"+regexp.QuoteMeta(t)+"$")
		}
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(topics...))
	} else {
		opts = append(opts, kgo.ConsumeTopics(c.Topics...))
	}
	if c.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(c.InstanceID))
	}
	balancer, err := balancerOpt(c.Balancer)
	if err != nil {
		return nil, err
	}
	return kgo.NewClient(append(opts, balancer)...)
}

func balancerOpt(name string) (kgo.Opt, error) {
	switch name {
	case "", "cooperative-sticky":
		return kgo.Balancers(kgo.CooperativeStickyBalancer()), nil
	case "range":
		return kgo.Balancers(kgo.RangeBalancer()), nil
	case "roundrobin":
		return kgo.Balancers(kgo.RoundRobinBalancer()), nil
	case "sticky":
		return kgo.Balancers(kgo.StickyBalancer()), nil
	case "server":
		return kgo.ServerSideBalancer(), nil
	}
	return nil, fmt.Errorf("unknown balancer %q: use cooperative-sticky, range, roundrobin, sticky or server", name)
}

// newReader makes the client that fetches. It consumes nothing until partitions are added with their positions.
// Control records are kept: they are what lets a position move past a tail of aborted transactions.
func newReader(c *Config, size *fetchSize, hooks []kgo.Hook) (*kgo.Client, error) {
	opts := append([]kgo.Opt{
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.ConsumeStartOffset(kgo.NoResetOffset()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.KeepRetryableFetchErrors(),
		kgo.FetchMaxBytes(size.asked),
		kgo.FetchMaxPartitionBytes(size.asked),
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.FetchMinBytes(1),
		kgo.BrokerMaxReadBytes(256 << 20),
		kgo.MaxDecompressBatchBytes(128 << 20),
		kgo.MetadataMaxAge(30 * time.Second),
	}, c.Kafka...)
	if mutant.On(mutant.AbortedToo) {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadUncommitted()))
	}
	return kgo.NewClient(append(opts, kgo.WithHooks(append(hooks[:len(hooks):len(hooks)], size)...))...)
}
