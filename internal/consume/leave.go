package consume

import (
	"context"
	"errors"
	"time"

	"sinker/internal/failpoint"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const leaveWithin = 5 * time.Second // so long may leaving the group take

// leave ends the membership and the store. What was held and not committed is dropped: the next owner reads it
// again.
//
// It takes a few seconds at most. The member's Close waits for the answer to a JoinGroup in flight, which Kafka keeps
// back while it waits for the other members, a RebalanceTimeout long; hangUp makes it not wait any more.
func (w *Worker) leave(stopWatch func(), hangUp context.CancelFunc) {
	for tp := range w.parts {
		w.discard(tp)
	}
	_ = failpoint.Hit(failpoint.Leaving)
	w.assign.close() // revocations that leaving brings have nothing to wait for
	stopWatch()
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	memberID, _ := w.member.GroupMetadata()
	if w.leaveGroup(ctx) {
		hangUp()
	}
	defer context.AfterFunc(ctx, hangUp)()
	w.member.Close()
	w.leaveServerSide(ctx, memberID)
	w.store.Close()
	w.state.Store(&WorkerState{Worker: w.id})
}

// leaveGroup leaves also as a static member, which franz-go's Close does not: a service that was told to stop should
// not keep its partitions for a session timeout. It reports whether Kafka knows of it.
func (w *Worker) leaveGroup(ctx context.Context) (left bool) {
	if w.cfg.InstanceID == "" {
		return false // Close leaves
	}
	_, err := w.admin.LeaveGroup(ctx, kadm.LeaveGroup(w.cfg.Group).InstanceIDs(w.cfg.InstanceID).Reason("sinker stops"))
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		w.cfg.Log.Debug("could not leave the group; the session timeout will do", "worker", w.id, "err", err)
	}
	return err == nil
}

// leaveServerSide leaves a KIP-848 group for good as a static member. franz-go's Close only says that the member will
// be back, and the brokers' session timeout would be waited for (group.consumer.session.timeout.ms, 45 s); LeaveGroup
// is for classic members. It comes after Close, so that no heartbeat finds the member gone and joins again.
func (w *Worker) leaveServerSide(ctx context.Context, memberID string) {
	if w.cfg.Balancer != serverSide || w.cfg.InstanceID == "" || memberID == "" {
		return
	}
	leave := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	leave.Group, leave.MemberID, leave.MemberEpoch, leave.InstanceID = w.cfg.Group, memberID, -1, &w.cfg.InstanceID
	resp, err := leave.RequestWith(ctx, w.reader.Client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		w.cfg.Log.Debug("could not leave the group; the brokers' session timeout will do", "worker", w.id, "err", err)
	}
}
