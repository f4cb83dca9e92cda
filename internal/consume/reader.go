package consume

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// reader is a client that fetches, with what bounds its memory: how much is asked for, and how much is unpacked.
type reader struct {
	*kgo.Client
	size   *fetchSize
	unpack *unpacker
}

// largestAnswer is how large a broker's answer may be beyond one batch, as it comes.
const largestAnswer = 64 << 20

// newReader makes a client that consumes nothing until partitions are added with their positions, and reads what is
// committed.
func newReader(c *Config, opts ...kgo.Opt) (*reader, error) {
	r := &reader{size: newFetchSize(c.FetchMemory)}
	r.unpack = newUnpacker(c.MaxBatch, newRoom(8*c.FetchMemory+2*c.Bytes))
	opts = slices.Concat([]kgo.Opt{
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeStartOffset(kgo.NoResetOffset()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMinBytes(1),
		kgo.BrokerMaxReadBytes(int32(min(c.MaxBatch+largestAnswer, math.MaxInt32))),
		kgo.WithDecompressor(r.unpack),
		kgo.WithHooks(r.size, r.unpack),
	}, opts, c.Kafka)
	var err error
	if r.Client, err = kgo.NewClient(opts...); err != nil {
		return nil, err
	}
	r.UpdateFetchMaxBytes(r.size.asked, r.size.ofPartition()) // as options, the first would cut the second down
	return r, nil
}

// poll waits for records and takes up to most of them, of the partitions that are read. holds says that the caller
// has others, which it will let go of without what comes now.
func (r *reader) poll(ctx context.Context, most int, holds bool, partitions int) kgo.Fetches {
	if !holds && r.BufferedFetchRecords() == 0 {
		r.unpack.room.is(loopWants)
	}
	fetches := r.PollRecords(ctx, most)
	r.unpack.room.is(loopHolds)
	if n, changed := r.size.next(partitions); changed {
		r.UpdateFetchMaxBytes(n, r.size.ofPartition())
	}
	return fetches
}

// change does what waits for the fetches to end.
func (r *reader) change(f func(*kgo.Client)) {
	r.unpack.room.is(loopChanges)
	f(r.Client)
	r.unpack.room.is(loopHolds)
}

// letGo notes that some of the records that were taken are not needed any more.
func (r *reader) letGo() { r.unpack.room.letGo() }

// explain returns the *BadBatch that a fetch's error is about, or the error itself.
func (r *reader) explain(err error) error {
	var bad *kgo.ErrDecompressTooLarge
	if errors.As(err, &bad) {
		return r.unpack.explain(bad)
	}
	return err
}

// Close ends the client.
func (r *reader) Close() { r.change((*kgo.Client).Close) }
