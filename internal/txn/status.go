package txn

import (
	"context"
	"time"

	"sinker/internal/record"

	"github.com/jackc/pgx/v5"
)

const readStatus = `
SELECT topic, partition, start_offset, next_offset, leader_epoch, fence, coalesce(owner, ''), consumed, written,
    filtered, dead, suppressed,
       last_timestamp, CASE WHEN stopped IS NULL THEN 'reading' WHEN waiting THEN 'waiting' ELSE 'stopped' END,
       coalesce(stopped, ''), coalesce(command, ''), updated_at
FROM sinker.offsets WHERE pipeline = $1`

// Status reads a pipeline's offset rows, whether sinker is running or not.
func Status(ctx context.Context, url, pipeline string) ([]PartitionStatus, error) {
	conn, err := ConnectToRead(ctx, url, "sinker status")
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return statusOf(ctx, conn, pipeline)
}

// statusOf prepares no statements, so that it works through any pooler.
func statusOf(ctx context.Context, conn *pgx.Conn, pipeline string) ([]PartitionStatus, error) {
	if err := needSchema(ctx, conn); err != nil {
		return nil, wrap(record.StepStatus, "", err)
	}
	rows, err := conn.Query(ctx, readStatus+` ORDER BY topic, partition`, pgx.QueryExecModeExec, pipeline)
	if err != nil {
		return nil, wrap(record.StepStatus, "", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[PartitionStatus])
	return out, wrap(record.StepStatus, "", err)
}

// Overview is everything that Postgres alone can tell of a pipeline.
type Overview struct {
	Now        time.Time // by the server's clock
	Partitions []PartitionStatus
	// Letters counts what is in sinker.dead_letters now; nil when this role may not read it. (Dead of a partition counts
	// all that were ever written.)
	Letters   map[TopicPartition]int64
	Pipelines []string // every pipeline that has offsets in this database
	Standby   bool     // the server is a standby, and may be behind its primary
}

// Look reads the overview of a pipeline, whether sinker is running or not.
func Look(ctx context.Context, url, pipeline string) (*Overview, error) {
	return look(ctx, url, pipeline, true)
}

// Glance is Look without the letters, which takes a moment only.
func Glance(ctx context.Context, url, pipeline string) (*Overview, error) {
	return look(ctx, url, pipeline, false)
}

func look(ctx context.Context, url, pipeline string, letters bool) (*Overview, error) {
	conn, err := ConnectToRead(ctx, url, "sinker status")
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var o Overview
	if o.Partitions, err = statusOf(ctx, conn, pipeline); err != nil {
		return nil, err
	}
	var mayRead bool
	err = conn.QueryRow(ctx, `SELECT now(), pg_is_in_recovery(), has_table_privilege('sinker.dead_letters', 'SELECT'),
		ARRAY(SELECT DISTINCT pipeline FROM sinker.offsets ORDER BY 1)`,
		pgx.QueryExecModeExec).Scan(&o.Now, &o.Standby, &mayRead, &o.Pipelines)
	if err != nil {
		return nil, wrap(record.StepStatus, "", err)
	}
	if mayRead && letters {
		o.Letters, err = countLettersOf(ctx, conn, pipeline)
	}
	return &o, wrap(record.StepStatus, "", err)
}

func countLettersOf(ctx context.Context, conn *pgx.Conn, pipeline string) (map[TopicPartition]int64, error) {
	rows, err := conn.Query(ctx, `SELECT topic, partition, count(*) FROM sinker.dead_letters WHERE pipeline = $1
		GROUP BY topic, partition`, pgx.QueryExecModeExec, pipeline)
	if err != nil {
		return nil, err
	}
	counts := map[TopicPartition]int64{}
	var tp TopicPartition
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&tp.Topic, &tp.Partition, &n}, func() error {
		counts[tp] = n
		return nil
	})
	return counts, err
}
