package record

import "fmt"

// Unready is a record that cannot be read now, for a reason that lies outside of it: its schema cannot be had. It says
// nothing about the record, which is no dead letter.
type Unready struct {
	TopicPartition
	Offset  int64  // of the first such record of its partition
	Reason  string // what is missing, where from, and why
	Command string // the command that helps, as it is typed; empty: there is none
}

// UnreadyError says that records cannot be read now, of each partition the first. Nothing of the batch was written.
// What lies before them can be written by a shorter batch; they themselves may be read later.
type UnreadyError struct{ Records []Unready }

func (e *UnreadyError) Error() string {
	u := e.Records[0]
	s := fmt.Sprintf("%s/%d cannot be read at offset %d for now: %s", u.Topic, u.Partition, u.Offset, u.Reason)
	if n := len(e.Records) - 1; n > 0 {
		s += fmt.Sprintf(" (more such partitions: %d)", n)
	}
	return s
}
