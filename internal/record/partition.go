package record

import (
	"cmp"
	"time"
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

// LogID says which log a partition's offsets belong to. A topic of the same name on another cluster, or one that was
// deleted and made again, is another log, and its offsets mean other records.
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

// Taken is the outcome of a Take: the partitions that are ours now, and those that must not be read because their
// offset row belongs to another log.
type Taken struct {
	Positions []Position
	Misses    []Miss
}
