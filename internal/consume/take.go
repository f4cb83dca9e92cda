package consume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sinker/internal/failpoint"
	"sinker/internal/record"

	"github.com/dustin/go-humanize/english"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// takePending takes, in Postgres, the partitions that the group has given us, and starts reading them where Postgres
// says. Trouble with either side is waited out: the partitions stay ours as far as the group is concerned.
func (w *Worker) takePending(ctx context.Context) error {
	now := time.Now()
	var due []record.TopicPartition
	for tp, at := range w.pending {
		if !at.After(now) {
			due = append(due, tp)
		}
	}
	if len(due) == 0 {
		return nil
	}
	if err := w.take(ctx, due); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		w.trouble.met(w, err)
		for _, tp := range due {
			w.pending[tp] = now.Add(w.trouble.backoff.next())
		}
		return nil
	}
	w.trouble.over(w)
	w.publish()
	w.tails.lookSoon() // for the lag, also of what is stopped
	return nil
}

func (w *Worker) take(ctx context.Context, due []record.TopicPartition) error {
	if err := failpoint.Hit(failpoint.Joined); err != nil {
		return err
	}
	log, err := w.lookAtLog(ctx, due)
	if err != nil {
		return err
	}
	if err := w.seedNewTopics(ctx, log); err != nil {
		return err
	}
	var claims []record.Claim
	for _, tp := range due {
		if id, ok := log.ids[tp.Topic]; ok {
			claims = append(claims, record.Claim{TopicPartition: tp, Log: id}) // a partition added later starts at 0
			continue
		}
		w.parkUnknown(tp, notThere(tp.Topic, log.errs[tp.Topic]))
	}
	if len(claims) == 0 {
		return nil
	}
	taken, err := w.store.Take(ctx, claims)
	if err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.Taken); err != nil {
		return err
	}
	return w.enter(ctx, taken, log)
}

// enter checks the taken positions against the log, and starts reading those that hold.
func (w *Worker) enter(ctx context.Context, taken record.Taken, log *logView) error {
	if err := log.lookAtOffsets(ctx, w, taken.Positions); err != nil {
		return err
	}
	for _, m := range taken.Misses {
		p := w.newPart(record.Position{TopicPartition: m.TopicPartition, Log: log.ids[m.Topic], NextOffset: m.Stored,
			Fence: m.Fence, Foreign: true})
		w.stop(p, otherLog(m, p.Log))
	}
	var read []record.TopicPartition
	for _, pos := range taken.Positions {
		p := w.newPart(pos)
		if stood, ok := w.stood[p.TopicPartition]; ok && p.NextOffset < stood {
			w.wentBack(p.TopicPartition, stood, p.NextOffset)
		}
		delete(w.stood, p.TopicPartition)
		if err := log.bad[pos.TopicPartition]; err != nil {
			w.parkFor(p, record.Stop{Reason: fmt.Sprintf("Kafka cannot tell where its log begins and ends: %v", err)}, turn)
			continue
		}
		if why, bad := log.check(pos); bad {
			w.doubt(p, why)
			continue
		}
		delete(w.doubted, p.TopicPartition)
		w.cfg.Log.Debug("took partition", "worker", w.id, "topic", p.Topic, "partition", p.Partition, "position",
			p.NextOffset, "fence", p.Fence)
		w.ends.Moved(p.TopicPartition, p.NextOffset)
		end, _ := log.ends.Lookup(p.Topic, p.Partition)
		p.top = end.Offset
		w.startReading(p)
		if w.waits[p.TopicPartition] == nil {
			read = append(read, p.TopicPartition)
		}
	}
	if len(read) > 0 {
		w.cfg.Log.Info("took partitions", "worker", w.id, "partitions", len(read), "topics", countTopics(read))
	}
	return nil
}

// countTopics says of which topics partitions are, and how many of each: "orders 12, items 3". Of many topics the
// first ten.
func countTopics(parts []record.TopicPartition) string {
	count := map[string]int{}
	for _, tp := range parts {
		count[tp.Topic]++
	}
	var b strings.Builder
	for i, topic := range slices.Sorted(maps.Keys(count)) {
		if i == 10 {
			fmt.Fprintf(&b, " and %s", english.Plural(len(count)-i, "more topic", ""))
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %d", topic, count[topic])
	}
	return b.String()
}

// notThere is why a topic that Kafka does not tell of cannot be read.
func notThere(topic string, err error) string {
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return fmt.Sprintf("Kafka does not let this user see topic %s (%v): allow it to describe and to read the topic",
			topic, err)
	case err == nil, errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Sprintf("topic %s is not there: %v. Create it, or correct the topic's name; if it was deleted for "+
			"good, remove it from the configuration", topic, err)
	}
	return fmt.Sprintf("Kafka cannot tell where topic %s begins: %v", topic, err)
}

// doubt stops a partition for what the log shows, when it shows it at a second look too. The looks at a topic's
// identity, at its leaders' epochs and at its offsets are not one, and brokers hear of changes one after the other:
// in between, a topic that was made again looks like one that has lost its records, and a new leader's epoch like one
// from nowhere.
func (w *Worker) doubt(p *part, why record.Stop) {
	if w.doubted[p.TopicPartition] {
		delete(w.doubted, p.TopicPartition)
		w.stop(p, why)
		return
	}
	w.discard(p.TopicPartition)
	w.doubted[p.TopicPartition] = true
	w.pending[p.TopicPartition] = time.Now().Add(turn)
}

func (w *Worker) newPart(pos record.Position) *part {
	p, before := &part{}, w.parts[pos.TopicPartition]
	p.start(pos)
	if before != nil && before.NextOffset == pos.NextOffset {
		p.oldest, p.atEnd, p.taken = before.oldest, before.atEnd, before.taken
	}
	w.parts[pos.TopicPartition] = p
	delete(w.pending, pos.TopicPartition)
	return p
}

// parkUnknown notes a partition that cannot even be taken.
func (w *Worker) parkUnknown(tp record.TopicPartition, reason string) {
	p := w.newPart(record.Position{TopicPartition: tp})
	w.park(p, record.Stop{Reason: reason})
}

// logView is what Kafka says about the topics at the moment of a take.
type logView struct {
	ids        map[string]record.LogID
	partitions map[string][]int32
	errs       map[string]error
	starts     kadm.ListedOffsets
	ends       kadm.ListedOffsets
	cut        map[record.TopicPartition]int64 // where the log of the position's leader epoch ends, if below the position
	epochs     map[record.TopicPartition]int32 // the leader epoch now
	bad        map[record.TopicPartition]error // what Kafka does not tell of single partitions, for now: the others go on
}

// lookAtLog asks for cluster id, topic ids and partitions.
func (w *Worker) lookAtLog(ctx context.Context, due []record.TopicPartition) (*logView, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	topics := map[string]bool{}
	for _, tp := range due {
		topics[tp.Topic] = true
	}
	// Without the authorized operations kadm answers from a cache that may be seconds old.
	meta, err := w.admin.Metadata(kadm.WithAuthorizedOps(ctx), keys(topics)...)
	if err != nil {
		return nil, fmt.Errorf("ask Kafka for the topics' identity: %w", err)
	}
	v := &logView{ids: map[string]record.LogID{}, partitions: map[string][]int32{}, errs: map[string]error{},
		epochs: map[record.TopicPartition]int32{}, bad: map[record.TopicPartition]error{}}
	for _, t := range meta.Topics {
		if t.Err != nil {
			v.errs[t.Topic] = t.Err
			if kerr.IsRetriable(t.Err) && !errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
				return nil, fmt.Errorf("ask Kafka for topic %s: %w", t.Topic, t.Err)
			}
			continue
		}
		v.ids[t.Topic] = record.LogID{ClusterID: meta.Cluster, TopicID: [16]byte(t.ID)}
		for _, p := range t.Partitions.Sorted() {
			v.partitions[t.Topic] = append(v.partitions[t.Topic], p.Partition)
			v.epochs[record.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = p.LeaderEpoch
		}
	}
	return v, nil
}

func keys[K comparable, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}

// seedNewTopics makes the offset rows of topics that this pipeline meets for the first time, all partitions at once,
// where `start:` says. After that, a partition without a row is one that was added.
func (w *Worker) seedNewTopics(ctx context.Context, v *logView) error {
	known, err := w.store.Known(ctx, keys(v.ids))
	if err != nil {
		return err
	}
	var claims []record.Claim
	for topic, id := range v.ids {
		if known[topic] {
			continue
		}
		offsets, err := listStart(ctx, w.admin, w.cfg.Start, topic)
		if allFailed(err) {
			return fmt.Errorf("ask Kafka where topic %s starts: %w", topic, err)
		}
		var seeds []record.Claim
		for _, p := range v.partitions[topic] {
			o, ok := offsets.Lookup(topic, p)
			if !ok || o.Err != nil || o.Offset < 0 {
				v.errs[topic] = fmt.Errorf("partition %d: %w", p, cmp.Or(o.Err, err, errNoAnswer))
				delete(v.ids, topic) // all of a topic or none: the others go on
				break
			}
			seeds = append(seeds, record.Claim{TopicPartition: record.TopicPartition{Topic: topic, Partition: p}, Log: id,
				Seed: o.Offset})
		}
		if v.errs[topic] == nil {
			claims = append(claims, seeds...)
		}
	}
	if len(claims) == 0 {
		return nil
	}
	return w.store.Seed(ctx, claims)
}

func listStart(ctx context.Context, admin *kadm.Client, s Start, topic string) (kadm.ListedOffsets, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	switch {
	case !s.At.IsZero():
		return admin.ListOffsetsAfterMilli(ctx, s.At.UnixMilli(), topic)
	case s.Latest:
		return admin.ListCommittedOffsets(ctx, topic)
	}
	return admin.ListStartOffsets(ctx, topic)
}

// lookAtOffsets asks for the log's bounds, and for where the epochs of the positions end.
func (v *logView) lookAtOffsets(ctx context.Context, w *Worker, positions []record.Position) (err error) {
	if len(positions) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if v.starts, err = w.admin.ListStartOffsets(ctx, keys(v.ids)...); allFailed(err) {
		return fmt.Errorf("ask Kafka for the start of the log: %w", err)
	}
	someErr := err
	if v.ends, err = w.admin.ListEndOffsets(ctx, keys(v.ids)...); allFailed(err) {
		return fmt.Errorf("ask Kafka for the end of the log: %w", err)
	}
	var good []record.Position
	for _, p := range positions {
		for _, listed := range []kadm.ListedOffsets{v.starts, v.ends} {
			if o, ok := listed.Lookup(p.Topic, p.Partition); !ok || o.Err != nil {
				v.bad[p.TopicPartition] = cmp.Or(o.Err, err, someErr, errNoAnswer)
			}
		}
		if v.bad[p.TopicPartition] == nil {
			good = append(good, p)
		}
	}
	return v.lookAtEpochs(ctx, w, good)
}

var errNoAnswer = errors.New("it does not answer for this partition")

// allFailed says whether a request to several brokers brought nothing. When some of them answered, what they said is
// there.
func allFailed(err error) bool {
	var some *kadm.ShardErrors
	return err != nil && (!errors.As(err, &some) || some.AllFailed)
}

// lookAtEpochs asks, for each position, where the log of its leader epoch ends. franz-go asks too when it starts to
// fetch, but where the broker knows no such epoch it goes on without a word (faults: UNDEFINED_EPOCH_OFFSET).
func (v *logView) lookAtEpochs(ctx context.Context, w *Worker, positions []record.Position) error {
	v.cut = map[record.TopicPartition]int64{}
	var req kadm.OffsetForLeaderEpochRequest
	for _, p := range positions {
		if p.LeaderEpoch >= 0 {
			req.Add(p.Topic, p.Partition, p.LeaderEpoch)
		}
	}
	if len(req) == 0 {
		return nil
	}
	resp, err := w.admin.OffsetForLeaderEpoch(ctx, req)
	if allFailed(err) {
		return fmt.Errorf("ask Kafka where leader epochs end: %w", err)
	}
	for _, p := range positions {
		r, ok := resp[p.Topic][p.Partition]
		if p.LeaderEpoch < 0 {
			continue
		}
		if !ok && err == nil {
			continue
		}
		if !ok || r.Err != nil {
			v.bad[p.TopicPartition] = cmp.Or(r.Err, err)
			continue
		}
		if r.EndOffset >= 0 && r.EndOffset < p.NextOffset {
			v.cut[p.TopicPartition] = r.EndOffset
		}
	}
	return nil
}

// check says whether a position cannot be read from, and why.
func (v *logView) check(p record.Position) (why record.Stop, bad bool) {
	start, _ := v.starts.Lookup(p.Topic, p.Partition)
	end, _ := v.ends.Lookup(p.Topic, p.Partition)
	stop := func(hole record.Hole, goOn int64, flag, format string, args ...any) (record.Stop, bool) {
		return record.Stop{Reason: fmt.Sprintf(format, args...), Hole: hole, Command: decide(p.TopicPartition, goOn, flag)},
			true
	}
	switch {
	case p.NextOffset < start.Offset:
		hole := record.Hole{From: p.NextOffset, To: start.Offset}
		return stop(hole, hole.To, skipRecords,
			"Kafka has deleted offsets %s before they were read (retention?): up to %s lost",
			hole, english.Plural(int(hole.To-hole.From), "record is", "records are"))
	case p.NextOffset > end.Offset:
		hole := record.Hole{From: end.Offset, To: p.NextOffset}
		return stop(hole, hole.From, writeAgain,
			"the position %d lies beyond the end of the log, %d: Kafka has lost %s, or this is a restored or another cluster",
			hole.To, hole.From, hole)
	}
	if cut, ok := v.cut[p.TopicPartition]; ok {
		hole := record.Hole{From: cut, To: p.NextOffset}
		return stop(hole, cut, writeAgain, "Kafka's log was cut off at offset %d and written again (an unclean leader "+
			"election?): "+
			"what this sink wrote of %s is not in Kafka any more, other records may stand there", cut, hole)
	}
	if now := v.epochs[p.TopicPartition]; p.LeaderEpoch > now && now >= 0 {
		return stop(record.Hole{}, start.Offset, writeAgain,
			"the position's leader epoch %d is above the log's own, %d: this is an older or another copy of the log",
			p.LeaderEpoch, now)
	}
	return why, false
}
