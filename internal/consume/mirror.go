package consume

import (
	"context"
	"time"

	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// mirror copies positions to Kafka's consumer group, so that lag exporters, consoles and autoscalers see them. It is
// advice for others: best effort, after the Postgres commit, and never read back.
type mirror struct {
	moves map[record.TopicPartition]kgo.EpochOffset
	last  time.Time
}

func (m *mirror) moved(p *part) {
	if m.moves == nil {
		m.moves = map[record.TopicPartition]kgo.EpochOffset{}
	}
	m.moves[p.TopicPartition] = kgo.EpochOffset{Epoch: p.LeaderEpoch, Offset: p.NextOffset}
}

// flushMirror sends the moves, at most once a second, without waiting for the answer; at the end it waits a little.
func (w *Worker) flushMirror(last bool) {
	if len(w.mirror.moves) == 0 || !last && time.Since(w.mirror.last) < mirrorGap {
		return
	}
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for tp, o := range w.mirror.moves {
		if w.parts[tp] == nil {
			continue // not ours any more: the next owner tells
		}
		if offsets[tp.Topic] == nil {
			offsets[tp.Topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[tp.Topic][tp.Partition] = o
	}
	w.mirror.moves, w.mirror.last = nil, time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	done := func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
		cancel()
		if err != nil {
			w.cfg.Log.Debug("could not copy the positions to the consumer group; nothing depends on it", "worker", w.id, "err",
				err)
		}
	}
	if last {
		w.member.CommitOffsetsSync(ctx, offsets, done)
		return
	}
	go w.member.CommitOffsets(ctx, offsets, done)
}
