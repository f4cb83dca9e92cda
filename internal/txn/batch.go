package txn

import (
	"cmp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TopicPartition names one partition of a topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Compare orders by topic and partition.
func (tp TopicPartition) Compare(other TopicPartition) int {
	return cmp.Or(cmp.Compare(tp.Topic, other.Topic), cmp.Compare(tp.Partition, other.Partition))
}

// LogID says which log a partition's offsets belong to: a topic of the same name on another cluster, or one that was
// deleted and made again, is another log and its offsets mean other records.
type LogID struct {
	ClusterID string
	TopicID   [16]byte
}

// Claim asks for a partition. Seed is the position of a partition that has no offset row yet.
type Claim struct {
	TopicPartition
	Log  LogID
	Seed int64
}

// Position is an owned partition: where to read next, and the fence that a write must show.
type Position struct {
	TopicPartition
	Log         LogID
	NextOffset  int64
	LeaderEpoch int32 // of the record before NextOffset; -1 when not known
	Fence       int64
	First       bool // the offset row was made by this Take
	Foreign     bool // the row is as Take found it and left it, whoever owns it: it belongs to another log

	LastTimestamp time.Time // of the last record before NextOffset, as Kafka has it; zero when not known
}

// Range is what a batch does to one partition: its records and the move of the position from From to To.
// Records are in offset order, all within [From, To); there may be fewer than To-From of them (compaction, aborted
// transactions, control records) or none.
type Range struct {
	TopicPartition
	Log         LogID
	Fence       int64
	From, To    int64
	LeaderEpoch int32     // of the last record; -1 when not known
	Timestamp   time.Time // of the last record; zero when there is none
	Records     []*kgo.Record
	// Streamed counts the records before Records: More took them away once they were encoded, so the range can be
	// committed by the transaction that has them and by no other.
	Streamed int
}

// Empty says that the range does not move the position: it is compared, and then may get records by More, or not.
func (r *Range) Empty() bool { return r.To == r.From }

// records is how many the range moves the position over, the streamed ones included.
func (r *Range) records() int { return r.Streamed + len(r.Records) }

// Batch is the ranges of one transaction, at most one a partition, sorted by topic and partition: that is the order
// in which the offset rows are locked, the same in every worker, so that two workers can not deadlock on them.
type Batch []Range

// Sort brings the batch into its order.
func (b Batch) Sort() {
	slices.SortFunc(b, func(x, y Range) int { return x.TopicPartition.Compare(y.TopicPartition) })
}

// Streamed says whether some records of the batch are not there any more.
func (b Batch) Streamed() bool {
	return slices.ContainsFunc(b, func(r Range) bool { return r.Streamed > 0 })
}

// moves is how many positions the batch moves.
func (b Batch) moves() (n int) {
	for i := range b {
		if !b[i].Empty() {
			n++
		}
	}
	return n
}

// More lets a batch go on while it is being written. Of the ranges that may (by their index) it takes the records away,
// since they are encoded, and puts those that follow in their place, moving To, LeaderEpoch, Timestamp and Streamed. It
// returns false, with nothing changed, when there are none or the batch is large enough. It is called while Commit runs,
// maybe on another goroutine.
type More func(b Batch, may func(rng int) bool) bool

// Result is what a committed batch did.
type Result struct {
	Tables   []TableResult
	Consumed int64 // records; = Written + Filtered + Dead
	Written  int64 // records that became at least one row
	Filtered int64 // records that no sink wanted
	Dead     int64 // records of which at least one dead letter was written
	// Suppressed is the sum of the tables'. Of a topic with one table these records count as filtered, not as written.
	Suppressed int64
	Letters    []LetterCount
	Unasked    []UnaskedField // fields that no column takes
	Phases     Phases
	// Resolved says that this commit was found done by an earlier attempt whose reply was lost.
	Resolved bool
}

// TableResult counts the rows of one table.
type TableResult struct {
	Table   string
	Rows    int64 // rows appended or upserted; of an aggregate, records merged into its groups
	Deleted int64 // keys deleted
	// Suppressed is how many of the rows (of an aggregate, the groups) that were sent Postgres did not count as written: a trigger
	// returned NULL for them, or a rule did something else.
	Suppressed int64
}

// LetterCount counts the dead letters of one topic by their code.
type LetterCount struct {
	Topic, Code string
	Count       int64
}

// Phases is the time spent in the steps of a transaction.
type Phases struct {
	Begin  time.Duration // BEGIN and the compare under the row locks
	Write  time.Duration // encoding and COPY, which overlap, and the merge of upserts
	Dead   time.Duration
	Commit time.Duration // the move of the offset rows and COMMIT
}
