package txn

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"sinker/internal/format"
	"sinker/internal/record"
)

// fetchFor is how long one Resolve waits in all. It runs on the worker's loop, and what is longer away than that is
// waited for by its partitions alone, which are tried again after a while.
const fetchFor = 2 * time.Second

// Resolve gets what the formats of the batch's tables lack for reading its records, such as a schema that a registry
// has. It is to be called before the batch's transaction begins: inside of one no other server is waited for.
//
// Its only error is a *record.UnreadyError. Whatever it returns, nothing was written.
func (s *Store) Resolve(ctx context.Context, b Batch) error {
	ctx, cancel := context.WithTimeout(ctx, fetchFor)
	defer cancel()
	var all []record.Unready
	for ti, t := range s.targets {
		src, isSource := t.format.(format.Source)
		if !isSource {
			continue
		}
		for i := range b {
			if !s.takes(b[i].Topic, ti) {
				continue
			}
			if offset, err := t.fetchShare(ctx, src, b[i].Walk); err != nil {
				all = addUnready(all, b[i].TopicPartition, offset, err)
			}
		}
	}
	return unreadyError(all)
}

// fetchShare is fetchAll within half of the time that is left, so that a source that does not answer for one partition
// leaves some for the next.
func (t *target) fetchShare(ctx context.Context, src format.Source, records iter.Seq[*record.Record]) (int64, error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	return t.fetchAll(ctx, src, records)
}

// fetchAll gets what the values of records lack. It returns the offset of the first that cannot be read now, and why.
func (t *target) fetchAll(ctx context.Context, src format.Source, records iter.Seq[*record.Record]) (offset int64,
	err error) {
	for r := range t.sink.Rule.Unwrap(t.name, records) {
		if r.Value == nil || !src.Lacks(r.Value) {
			continue
		}
		if err := src.Fetch(ctx, r.Value); err != nil {
			return r.Offset, err
		}
	}
	return 0, nil
}

// addUnready notes a record that cannot be read now, if it is the first of its partition.
func addUnready(all []record.Unready, tp TopicPartition, offset int64, err error) []record.Unready {
	u := record.Unready{TopicPartition: tp, Offset: offset, Reason: err.Error()}
	var away *format.Away
	if errors.As(err, &away) {
		u.Command = away.Command
	}
	i := slices.IndexFunc(all, func(have record.Unready) bool { return have.TopicPartition == tp })
	if i < 0 {
		return append(all, u)
	}
	if offset < all[i].Offset {
		all[i] = u
	}
	return all
}

func unreadyError(all []record.Unready) error {
	if len(all) == 0 {
		return nil
	}
	return &record.UnreadyError{Records: slices.Clone(all)}
}

// fetchSample is Resolve of a sample of records.
func (t *target) fetchSample(records iter.Seq[*record.Record]) error {
	src, isSource := t.format.(format.Source)
	if !isSource {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchFor)
	defer cancel()
	_, err := t.fetchAll(ctx, src, records)
	return err
}
