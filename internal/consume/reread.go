package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kgo"
)

// quiet is for how long a log may have nothing more to give before reading it again counts as done: its last offsets
// may have been compacted away.
const quiet = 3 * time.Second

// Reread reads the records of [from, to) of one partition again, as a read_committed reader sees them now, and calls f
// with each in offset order. It is no member of any group and leaves no trace.
func Reread(ctx context.Context, c Config, tp record.TopicPartition, from, to int64, f func(*record.Record)) error {
	c.defaults()
	cl, err := newReader(&c, kgo.KeepControlRecords(), kgo.FetchMaxWait(250*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{tp.Topic: {tp.Partition: kgo.NoResetOffset().At(from)}}))
	if err != nil {
		return err
	}
	defer cl.Close()
	v := view{record: record.Record{TopicPartition: tp}}
	for next := from; next < to; {
		poll, cancel := context.WithTimeout(ctx, quiet)
		fetches := cl.poll(poll, -1, false, 1)
		idle := poll.Err() != nil
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			if e.Topic != "" && !errors.Is(e.Err, errNoRoom) {
				return fmt.Errorf("read %s/%d at offset %d again: %w", tp.Topic, tp.Partition, next, cl.explain(e.Err))
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset < to && !r.Attrs.IsControl() {
				f(v.of(r))
			}
			next = r.Offset + 1
		})
		cl.letGo()
		if idle && fetches.Empty() {
			return nil
		}
	}
	return nil
}
