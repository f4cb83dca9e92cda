package consume

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"sinker/internal/failpoint"
	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	turn      = time.Second     // a turn of the loop waits at most so long for records
	lookGap   = 2 * time.Second // between two looks at the rows of quiet partitions
	mirrorGap = time.Second     // between two copies of the positions to Kafka

	sayAgain = 30 * time.Second // what lasts is said once more after

	largeRows   = 64                    // records per millisecond of batch.every: a batch of this size does not wait …
	largeBytes  = 16 << 10              // … nor does one of this many bytes
	lastLook    = 3 * time.Millisecond  // before a small batch is due, to fetch once more
	longestRest = 50 * time.Millisecond // a longer batch.every wants more than two fetches

	publishGap = 100 * time.Millisecond // between two snapshots of the state: with thousands of partitions they cost
)

// Worker is one group member: two Kafka clients, one store, one loop. Workers of one process and of several are the
// same thing to Kafka and to Postgres.
type Worker struct {
	cfg    Config
	id     int
	store  Store
	assign *assignment
	member *kgo.Client
	reader *reader
	admin  *kadm.Client

	parts   map[record.TopicPartition]*part
	pending map[record.TopicPartition]time.Time // ours by the group, to be taken at the earliest then
	waits   map[record.TopicPartition]*wait     // why partitions wait that are taken again and again
	again   []record.TopicPartition             // what waited and reads again, to be logged
	// where a partition was whose row was found changed, until it is taken again
	stood   map[record.TopicPartition]int64
	doubted map[record.TopicPartition]bool // the log gave a reason to stop at one look; the next decides
	reads   map[string][16]byte            // the topics that the reader knows, by the id it knows them by
	tails   tails                          // where the logs end
	// batches that do not go on while they are written, since one that did failed
	whole int
	// the present bound on a batch: halved when Postgres needs too long for one
	rows        int
	looked      time.Time // last look at the rows of quiet partitions
	flushed     time.Time // last commit
	trickle     bool      // it was a small one
	lookedAgain bool      // a table was looked at again after an error, without success yet
	trouble     trouble
	mirror      mirror
	ends        *Ends
	hooks       []kgo.Hook

	bad          map[record.TopicPartition]*BadBatch // where partitions stop once what is held is committed
	saidTooLarge time.Time                           // when it was said that an answer cannot be read

	counters Counters
	state    atomic.Pointer[WorkerState]
}

// Counters only ever grow. They are read while the worker runs.
type Counters struct {
	Fenced    atomic.Int64 // partitions lost to another owner while a batch was held
	Rewound   atomic.Int64 // positions that went back with the database
	Retries   atomic.Int64 // attempts at a transaction that failed and were made again
	Resolved  atomic.Int64 // commits whose reply was lost and that were found done
	Discarded atomic.Int64 // records read and dropped before they were committed: what exactly-once saved from doubling
}

// NewWorker makes a worker. Nothing starts before Run.
func NewWorker(id int, cfg Config, store Store, ends *Ends) *Worker {
	cfg.defaults()
	w := &Worker{
		cfg: cfg, id: id, store: store, ends: ends, rows: cfg.Rows,
		assign: newAssignment(min(cfg.RebalanceTimeout/2, 20*time.Second)),
		parts:  map[record.TopicPartition]*part{}, pending: map[record.TopicPartition]time.Time{},
		stood:   map[record.TopicPartition]int64{},
		waits:   map[record.TopicPartition]*wait{},
		doubted: map[record.TopicPartition]bool{}, reads: map[string][16]byte{}, bad: map[record.TopicPartition]*BadBatch{},
		tails: tails{look: make(chan struct{}, 1), at: map[record.TopicPartition]logTail{}},
	}
	w.publish()
	return w
}

// Run works until ctx ends or an error that waiting does not change. When ctx ends the current batch is finished or
// rolled back, and the group is left; that is no error.
func (w *Worker) Run(ctx context.Context) (err error) {
	if w.reader, err = newReader(&w.cfg, readerOpts(&w.cfg, w.hooks)...); err != nil {
		return fmt.Errorf("make the reading client: %w", err)
	}
	defer w.reader.Close()
	w.admin = kadm.NewClient(w.reader.Client)
	memberCtx, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	if w.member, err = newMember(memberCtx, &w.cfg, w.assign); err != nil {
		return fmt.Errorf("make the group client: %w", err)
	}
	failed := make(chan error, 1)
	stopWatch := w.watchMember(failed)
	defer w.leave(stopWatch, hangUp)
	defer w.watchTails()()
	for ctx.Err() == nil && !w.ends.over() {
		select {
		case err := <-failed:
			return err
		default:
		}
		if err := w.turn(ctx); err != nil {
			return err
		}
	}
	w.flushMirror(true)
	return nil
}

// turn is one round of the loop.
func (w *Worker) turn(ctx context.Context) error {
	w.decide()
	w.applyChanges()
	if err := w.takePending(ctx); err != nil {
		return err
	}
	w.lookAtRows(ctx)
	w.poll(ctx)
	w.decide()
	if w.due() {
		w.commitHeld(ctx)
		w.reader.letGo()
	}
	w.endWaits()
	w.stopAtBadBatches()
	w.flushMirror(false)
	if time.Since(w.state.Load().At) > publishGap {
		w.publish()
	}
	return nil
}

// applyChanges lets go of what was revoked and notes what was assigned.
func (w *Worker) applyChanges() {
	gained, dropped, letGo := w.assign.changes()
	if len(dropped) > 0 {
		_ = failpoint.Hit(failpoint.Revoking)
	}
	for tp := range dropped {
		w.discard(tp)
		delete(w.waits, tp)
	}
	if len(dropped) > 0 {
		w.publish()
		w.tails.lookSoon() // they are lost also when Kafka has gone away
		w.cfg.Log.Info("let go of partitions", "worker", w.id, "partitions", len(dropped), "topics",
			countTopics(keys(dropped)))
	}
	letGo()
	if len(dropped) > 0 {
		_ = failpoint.Hit(failpoint.LetGo)
	}
	for tp := range gained {
		w.discard(tp)
		delete(w.doubted, tp)
		w.pending[tp] = time.Time{}
	}
}

// discard drops a partition and its records held; nothing of them was written.
func (w *Worker) discard(tp record.TopicPartition) {
	delete(w.pending, tp)
	if p := w.parts[tp]; p != nil {
		w.counters.Discarded.Add(int64(p.held()))
		w.stopReading(tp)
		delete(w.parts, tp)
	}
}

func (w *Worker) stopReading(tp record.TopicPartition) {
	delete(w.bad, tp)
	w.reader.change(func(cl *kgo.Client) {
		cl.RemoveConsumePartitions(map[string][]int32{tp.Topic: {tp.Partition}})
	})
}

func (w *Worker) startReading(p *part) {
	if id, known := w.reads[p.Topic]; known && id != p.Log.TopicID {
		w.forgetTopic(p.Topic)
	}
	w.reads[p.Topic] = p.Log.TopicID
	at := kgo.NoResetOffset().At(p.NextOffset).WithEpoch(p.LeaderEpoch)
	w.reader.change(func(cl *kgo.Client) {
		cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{p.Topic: {p.Partition: at}})
	})
}

// forgetTopic makes the reader learn a topic's id again: franz-go keeps the first one it saw for as long as it knows
// the topic, and a topic that was made again is refused without end. What is read of the topic under the old id is
// taken again.
func (w *Worker) forgetTopic(topic string) {
	for tp, p := range w.parts {
		if tp.Topic == topic && p.active() && p.Log.TopicID == w.reads[topic] {
			w.discard(tp)
			w.pending[tp] = time.Time{}
		}
	}
	w.reader.change(func(cl *kgo.Client) { cl.PurgeTopicsFromClient(topic) })
}

// poll collects what is ready. It waits for records only when there is nothing to commit.
func (w *Worker) poll(ctx context.Context) {
	rows, size := w.held()
	if rows >= w.rows || size >= w.cfg.Bytes {
		return
	}
	w.rest(ctx)
	wait := w.untilPending()
	if rows > 0 {
		wait = min(wait, max(time.Until(w.flushed.Add(w.cfg.Every)), 0))
	}
	ctx, cancel := w.assign.pollContext(ctx, wait)
	defer cancel()
	w.receive(w.reader.poll(ctx, w.rows-rows, rows > 0, len(w.parts)), nil)
}

// untilPending is how long the loop may wait for records before a partition is due to be taken.
func (w *Worker) untilPending() time.Duration {
	wait := turn
	for _, at := range w.pending {
		wait = min(wait, max(time.Until(at), 0))
	}
	return wait
}

// held counts what is held.
func (w *Worker) held() (rows int, size int64) {
	for _, p := range w.parts {
		rows, size = rows+p.records, size+p.size
	}
	return rows, size
}

// receive collects what was fetched, and tells got of each partition that it added records to. What calls for a
// decision about a partition is noted with it (part.verdict): a transaction may be open, and the store busy with it.
func (w *Worker) receive(fetches kgo.Fetches, got func(*part, *kgo.FetchPartition)) {
	fetches.EachTopic(func(t kgo.FetchTopic) {
		for i := range t.Partitions {
			f := &t.Partitions[i]
			tp := record.TopicPartition{Topic: t.Topic, Partition: f.Partition}
			if p := w.parts[tp]; w.collect(tp, p, t.TopicID, f) && got != nil {
				got(p, f)
			}
		}
	})
}

// collect takes one partition's part of a fetch, and says whether it added its records to those held.
func (w *Worker) collect(tp record.TopicPartition, p *part, id [16]byte, f *kgo.FetchPartition) bool {
	if f.Err != nil {
		w.fetchFailed(tp, p, f.Err)
		return false
	}
	if p == nil || !p.active() || p.verdict != nil {
		return false // fetched before it was let go, or is to be
	}
	if otherTopic(p, id) {
		// The topic was made again between our look at it and the client's: these records are another log's.
		p.verdict = func() { w.takeAgain(p, time.Time{}) }
		return false
	}
	p.heard(f)
	below, ok := p.add(f.Records)
	if !ok {
		p.verdict = func() {
			w.stop(p, record.Stop{
				Reason: fmt.Sprintf("Kafka sent offset %d, below the position %d: the log was cut off and written again (an "+
					"unclean leader election?)", below, p.read),
				Hole: record.Hole{From: below, To: p.NextOffset}, Command: decide(tp, below, writeAgain),
			})
		}
	}
	return ok
}

// decide does what was noted about partitions while records came in.
func (w *Worker) decide() {
	for _, p := range w.parts {
		if verdict := p.verdict; verdict != nil {
			p.verdict = nil
			verdict()
		}
	}
}

// takeAgain drops a partition and what is held of it, and takes it again at the earliest then.
func (w *Worker) takeAgain(p *part, at time.Time) {
	w.discard(p.TopicPartition)
	w.pending[p.TopicPartition] = at
}

// otherTopic says whether records are of another topic than the one that the position belongs to, of the same name.
func otherTopic(p *part, id [16]byte) bool {
	none := [16]byte{}
	return id != none && p.Log.TopicID != none && id != p.Log.TopicID
}

// due says whether to commit now: a small batch waits until the last commit is long enough ago.
func (w *Worker) due() bool {
	if !w.anyReady() {
		return false
	}
	if time.Since(w.flushed) >= w.cfg.Every {
		return true
	}
	return w.large(w.held())
}

// large says whether a batch is worth a transaction at once: it is full, or more than a trickle brings in batch.every.
func (w *Worker) large(rows int, size int64) bool {
	ms := w.cfg.Every.Milliseconds()
	return int64(rows) >= min(int64(w.rows), ms*largeRows) || size >= min(w.cfg.Bytes, ms*largeBytes)
}

// rest waits after a small batch, without looking at what comes, until shortly before the next one is due. Whoever
// looks at each arrival pays for a fetch and a turn of the loop each time, which is more than the transaction costs.
func (w *Worker) rest(ctx context.Context) {
	if wait := time.Until(w.flushed.Add(w.cfg.Every - lastLook)); w.trickle && wait > 0 && w.cfg.Every <= longestRest {
		w.pause(ctx, min(wait, w.untilPending()))
	}
}

func (w *Worker) anyReady() bool {
	for _, p := range w.parts {
		if p.ready() {
			return true
		}
	}
	return false
}

// cutBatch makes the next batch of what is held, within the bounds, in the order of the offset rows.
func (w *Worker) cutBatch() (b record.Ranges) {
	rows, size := w.rows, w.cfg.Bytes
	for _, p := range w.sorted((*part).ready) {
		if (rows <= 0 || size <= 0) && p.records > 0 {
			continue
		}
		r, n := p.cut(rows, size)
		b = append(b, r)
		rows, size = rows-r.Held(), size-n
	}
	if rows > 0 && size > 0 {
		b = w.makeRoom(b)
	}
	return b
}

// sorted returns the partitions that pass, in the order of the offset rows.
func (w *Worker) sorted(pass func(*part) bool) []*part {
	var parts []*part
	for _, p := range w.parts {
		if pass(p) {
			parts = append(parts, p)
		}
	}
	slices.SortFunc(parts, func(a, b *part) int { return a.TopicPartition.Compare(b.TopicPartition) })
	return parts
}

// watchMember reads what the group client has to say: it never fetches, so only errors of the group session come.
func (w *Worker) watchMember(failed chan<- error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			fetches := w.member.PollFetches(ctx)
			if ctx.Err() != nil || fetches.IsClientClosed() {
				return
			}
			fetches.EachError(func(topic string, _ int32, err error) {
				w.memberFailed(topic, err, failed)
			})
		}
	}()
	return func() { cancel(); <-done }
}
