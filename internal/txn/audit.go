package txn

import (
	"context"
	"fmt"
	"strings"

	"sinker/internal/record"

	"github.com/jackc/pgx/v5"
)

// Jump is a change of a position by hand.
type Jump struct{ From, To int64 }

const readJumps = `
SELECT coalesce(from_offset, 0), to_offset FROM sinker.audit
WHERE pipeline = $1 AND topic = $2 AND partition = $3 ORDER BY id`

func jumpsOf(ctx context.Context, tx pgx.Tx, pipeline string, tp TopicPartition) ([]Jump, error) {
	rows, err := tx.Query(ctx, readJumps, pipeline, tp.Topic, tp.Partition)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Jump])
}

// RowCount is what a table with provenance columns holds of one partition.
type RowCount struct {
	Rows, Offsets int64 // rows, and how many different offsets they came from
	Beyond        int64 // rows from offsets at or above the position
	Absent        bool  // there is no table: `create: yes` has not made it yet, or somebody has dropped it
}

// CountRows counts a table's rows of one partition below a position. It makes no table. why says why the rows cannot be
// counted, as the end of a sentence about the table, and is "" when n holds them: the mode keeps no row per record, the
// table has no provenance columns, or its rows come from several topics without saying which.
func (s *Store) CountRows(ctx context.Context, sink int, tp TopicPartition, position int64) (n RowCount, why string,
	err error) {
	conn, err := s.session(ctx)
	if err != nil {
		return n, "", err
	}
	t := s.targets[sink]
	if t.plan == nil && t.sink.Create {
		oid, err := lookup(ctx, conn, t.sink.Schema, t.sink.Table)
		if err != nil || oid == 0 {
			return RowCount{Absent: true}, "", wrap(record.StepCount, t.sink.Name(), err)
		}
	}
	if err := t.prepare(ctx, s, conn, nil); err != nil {
		return n, "", wrap(record.StepCount, t.sink.Name(), err)
	}
	if why := t.mode.traits().uncounted; why != "" {
		return n, why, nil
	}
	if t.plan.Several() {
		return n, "can have several rows per record: they cannot be counted back", nil
	}
	where, ok := t.provenance(tp)
	if !ok {
		return n, "cannot tell which rows came from where (meta: [partition, offset] would)", nil
	}
	sql := fmt.Sprintf(`SELECT count(*), count(DISTINCT kafka_offset), count(*) FILTER (WHERE kafka_offset >= $1)
		FROM %s WHERE %s`, t.sink.Name(), where)
	args := []any{position, tp.Partition}
	if strings.Contains(where, "$3") {
		args = append(args, tp.Topic)
	}
	err = conn.QueryRow(ctx, sql, args...).Scan(&n.Rows, &n.Offsets, &n.Beyond)
	return n, "", wrap(record.StepCount, t.sink.Name(), err)
}

// provenance is the condition that picks a partition's rows, if the table's columns can.
func (t *target) provenance(tp TopicPartition) (where string, ok bool) {
	has := map[string]bool{}
	for _, c := range t.plan.Columns() {
		has[c.Name] = true
	}
	if !has["kafka_partition"] || !has["kafka_offset"] {
		return "", false
	}
	if has["kafka_topic"] {
		return "kafka_partition = $2 AND kafka_topic = $3", true
	}
	return "kafka_partition = $2", t.sink.Regexp == nil && len(t.sink.Topics) == 1
}

// SinksOf returns the indexes of the tables that a topic's records may go to.
func (s *Store) SinksOf(topic string) []int { return s.of(topic).tables }

// SinkName returns the name of a table.
func (s *Store) SinkName(sink int) string { return s.targets[sink].sink.Name() }
