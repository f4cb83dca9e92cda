package consume

import (
	"context"
	"fmt"
	"time"

	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// LogBounds is what Kafka says of one partition now.
type LogBounds struct {
	Log        record.LogID
	Start, End int64
}

// LookAtTopic asks for a topic's identity and the bounds of its partitions' logs.
func LookAtTopic(ctx context.Context, c Config, topic string) (map[int32]LogBounds, error) {
	cl, err := kgo.NewClient(c.Kafka...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	admin := kadm.NewClient(cl)
	meta, err := admin.Metadata(ctx, topic)
	if err != nil {
		return nil, err
	}
	t, ok := meta.Topics[topic]
	if !ok || t.Err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic, t.Err)
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	bounds := map[int32]LogBounds{}
	starts.Each(func(s kadm.ListedOffset) {
		end, _ := ends.Lookup(topic, s.Partition)
		bounds[s.Partition] = LogBounds{Log: record.LogID{ClusterID: meta.Cluster, TopicID: [16]byte(t.ID)},
			Start: s.Offset, End: end.Offset}
	})
	return bounds, starts.Error()
}
