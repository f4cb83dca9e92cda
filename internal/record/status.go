package record

import "time"

// PartitionStatus is an offset row, for people to read.
type PartitionStatus struct {
	Topic         string     `json:"topic"`
	Partition     int32      `json:"partition"`
	StartOffset   int64      `json:"start_offset"`
	NextOffset    int64      `json:"next_offset"`
	LeaderEpoch   int32      `json:"leader_epoch"`
	Fence         int64      `json:"fence"`
	Owner         string     `json:"owner"`
	Consumed      int64      `json:"consumed"`
	Written       int64      `json:"written"`
	Filtered      int64      `json:"filtered"`
	Dead          int64      `json:"dead"`
	Suppressed    int64      `json:"suppressed"`     // rows that the tables' triggers or rules took away
	LastTimestamp *time.Time `json:"last_timestamp"` // of the last record; null before the first
	State         string     `json:"state"`          // Reading, Waiting or Stopped
	Reason        string     `json:"reason,omitempty"`
	Command       string     `json:"command,omitempty"` // that decides about a stopped one
	UpdatedAt     time.Time  `json:"updated_at"`
}
