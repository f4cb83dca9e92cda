package consume

import (
	"context"
	"testing"
	"time"

	"sinker/internal/local/await"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A worker that is told to stop while the group waits for a member that does not answer must not wait with it: the
// answer to its own JoinGroup comes only when the rebalance timeout, a minute here, is over.
func TestLeaveWhileTheGroupWaits(t *testing.T) {
	for name, instance := range map[string]string{"StaticMember": "worker-0", "DynamicMember": ""} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "orders", 2)
			b.joinAndGoSilent(t, "test", "orders")
			cfg := b.config("orders")
			cfg.RebalanceTimeout, cfg.InstanceID = time.Minute, instance
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- NewWorker(0, cfg, b.db.store("worker"), nil).Run(ctx) }()
			await.Until(t, "the worker's JoinGroup", func() bool {
				g := b.cluster.GroupInfo("test")
				return g != nil && len(g.Members) == 2
			})
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(leaveWithin + 5*time.Second):
				t.Errorf("still there %s after it was told to stop", leaveWithin+5*time.Second)
			}
		})
	}
}

// joinAndGoSilent makes a member of the group that is in it for a minute and never says anything again.
func (b *bench) joinAndGoSilent(t *testing.T, group, topic string) {
	t.Helper()
	ctx := context.Background()
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = []string{topic}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = group, "consumer", 60_000, 60_000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "cooperative-sticky", Metadata: meta.AppendTo(nil)}}
	joined, err := join.RequestWith(ctx, b.client)
	if err == nil && joined.ErrorCode == 79 { // MEMBER_ID_REQUIRED
		join.MemberID = joined.MemberID
		joined, err = join.RequestWith(ctx, b.client)
	}
	if err != nil || joined.ErrorCode != 0 {
		t.Fatalf("join: %v, %+v", err, joined)
	}
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation = group, joined.MemberID, joined.Generation
	if synced, err := sync.RequestWith(ctx, b.client); err != nil || synced.ErrorCode != 0 {
		t.Fatalf("sync: %v, %+v", err, synced)
	}
}
