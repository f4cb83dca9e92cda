package txn

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

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
	LastTimestamp *time.Time `json:"last_timestamp"`
	Stopped       string     `json:"stopped,omitempty"`
	UpdatedAt     time.Time  `json:"updated_at"`
}

const readStatus = `
SELECT topic, partition, start_offset, next_offset, leader_epoch, fence, coalesce(owner, ''), consumed, written, filtered, dead,
       last_timestamp, coalesce(stopped, ''), updated_at
FROM sinker.offsets WHERE pipeline = $1 ORDER BY topic, partition`

// Status reads a pipeline's offset rows, whether sinker is running or not.
func Status(ctx context.Context, url, pipeline string) ([]PartitionStatus, error) {
	conn, err := Connect(ctx, url, "sinker status")
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	if err := needSchema(ctx, conn); err != nil {
		return nil, wrap("status", "", err)
	}
	rows, err := conn.Query(ctx, readStatus, pipeline)
	if err != nil {
		return nil, wrap("status", "", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[PartitionStatus])
	return out, wrap("status", "", err)
}
