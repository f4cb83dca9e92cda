package consume

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

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
		kgo.AdjustFetchOffsetsFn(func(context.Context, map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset,
			error) {
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
	balancers, err := balancerOpts(c.Balancer, c.Database)
	if err != nil {
		return nil, err
	}
	for _, b := range balancers {
		opts = append(opts, b)
	}
	return kgo.NewClient(opts...)
}

// balancers are those of the classic protocol, the default first.
var balancers = []struct {
	name string
	make func() kgo.GroupBalancer
}{
	{"cooperative-sticky", kgo.CooperativeStickyBalancer},
	{"range", kgo.RangeBalancer},
	{"roundrobin", kgo.RoundRobinBalancer},
	{"sticky", kgo.StickyBalancer},
}

// serverSide is the name of KIP-848, where the brokers assign.
const serverSide = "server"

// balancerOpts offers the group the wanted balancer first, and every other one after it: Kafka takes one that all
// members offer, so that members with an old and a new setting get along while a change is rolled out. Where brokers
// have no KIP-848, the group is a classic one.
func balancerOpts(name, database string) ([]kgo.GroupOpt, error) {
	offered, known := []kgo.GroupBalancer{}, name == "" || name == serverSide
	for _, b := range balancers {
		balancer := b.make()
		if database != "" {
			balancer = ofDatabase{balancer, database}
		}
		if b.name == name {
			offered, known = slices.Insert(offered, 0, balancer), true
		} else {
			offered = append(offered, balancer)
		}
	}
	if !known {
		return nil, fmt.Errorf("unknown balancer %q: use cooperative-sticky, range, roundrobin, sticky or server", name)
	}
	if name == serverSide { // franz-go tells by the first one's type what to ask the brokers for
		return []kgo.GroupOpt{kgo.Balancers(slices.Insert(offered, 0, balancers[0].make())...), kgo.ServerSideBalancer()}, nil
	}
	return []kgo.GroupOpt{kgo.Balancers(offered...)}, nil
}

// ofDatabase is a balancer of the members that write to one database. Its name says which, so Kafka keeps members out
// that write to another one, by a wrong URL or the default name in two places: a group would share out its partitions
// over both databases, and each would have a part of the records, without an error.
type ofDatabase struct {
	kgo.GroupBalancer
	database string
}

// ProtocolName is what members must have in common (KIP-429 and before).
func (b ofDatabase) ProtocolName() string { return b.GroupBalancer.ProtocolName() + "@" + b.database }

// readerOpts are those of the client with which a worker fetches. Control records are kept: they are what lets a
// position move past a tail of aborted transactions.
func readerOpts(c *Config, hooks []kgo.Hook) []kgo.Opt {
	return []kgo.Opt{
		kgo.KeepControlRecords(),
		kgo.KeepRetryableFetchErrors(),
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.MetadataMaxAge(30 * time.Second),
		kgo.WithPools(newRecordPool(c.FetchMemory)),
		kgo.WithHooks(hooks...),
	}
}
