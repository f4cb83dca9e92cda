package e2e

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

// position is a partition's row in sinker.offsets, with what the table and the dead letters hold of it.
type position struct {
	partition                         int32
	start, next                       int64
	consumed, written, filtered, dead int64
	stopped                           *string
	rows, letters                     int64
}

func (c Check) positions(ctx context.Context, db *pgxpool.Pool) ([]position, error) {
	rows, err := db.Query(ctx, fmt.Sprintf(`
		SELECT o.partition, o.start_offset, o.next_offset, o.consumed, o.written, o.filtered, o.dead, o.stopped,
		       (SELECT count(*) FROM %s t WHERE t.kafka_partition = o.partition),
		       (SELECT count(*) FROM sinker.dead_letters d
		         WHERE d.pipeline = o.pipeline AND d.topic = o.topic AND d.partition = o.partition)
		  FROM sinker.offsets o WHERE o.pipeline = $1 AND o.topic = $2 ORDER BY 1`, c.Table), c.Pipeline, c.Topic)
	if err != nil {
		return nil, fmt.Errorf("sinker.offsets: %w", err)
	}
	defer rows.Close()
	var all []position
	for rows.Next() {
		var p position
		if err := rows.Scan(&p.partition, &p.start, &p.next, &p.consumed, &p.written, &p.filtered, &p.dead, &p.stopped,
			&p.rows, &p.letters); err != nil {
			return nil, fmt.Errorf("sinker.offsets: %w", err)
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

// totals holds sinker.offsets against Kafka, the table and the dead letters.
func (c Check) totals(r *Report, positions []position, truth []Record, ends map[int32]int64) {
	starts, records, known := map[int32]int64{}, map[int32]int64{}, map[int32]bool{}
	for _, p := range positions {
		starts[p.partition], known[p.partition] = p.start, true
	}
	for _, t := range truth {
		if t.Offset >= starts[t.Partition] {
			records[t.Partition]++
		}
	}
	for partition := range ends {
		if !known[partition] {
			r.problem("sinker.offsets has no row for partition %d", partition)
		}
	}
	for _, p := range positions {
		say := func(format string, args ...any) {
			r.problem("sinker.offsets, partition %d: %s", p.partition, fmt.Sprintf(format, args...))
		}
		if p.stopped != nil {
			say("stopped: %s", *p.stopped)
		}
		if p.next != ends[p.partition] {
			say("next_offset is %d, the log ends at %d", p.next, ends[p.partition])
		}
		if p.consumed != records[p.partition] {
			say("consumed is %d, Kafka has %d committed records", p.consumed, records[p.partition])
		}
		if p.consumed != p.written+p.filtered+p.dead {
			say("consumed %d is not written %d + filtered %d + dead %d", p.consumed, p.written, p.filtered, p.dead)
		}
		if p.dead != p.letters {
			say("dead is %d, there are %d dead letters", p.dead, p.letters)
		}
		if !c.Upsert && p.written != p.rows {
			say("written is %d, the table has %d rows of it", p.written, p.rows)
		}
	}
}

// ledger holds sinker.ledger against sinker.offsets: its ranges tile [start_offset, next_offset) and add up.
func (c Check) ledger(ctx context.Context, db *pgxpool.Pool, r *Report) error {
	rows, err := db.Query(ctx, `
		WITH b AS (SELECT partition, from_offset, to_offset, records,
		                  lag(to_offset) OVER (PARTITION BY partition ORDER BY from_offset) AS before
		             FROM sinker.ledger WHERE pipeline = $1 AND topic = $2),
		     l AS (SELECT partition, min(from_offset) AS first, max(to_offset) AS last, sum(records)::bigint AS records,
		                  count(*) FILTER (WHERE from_offset <> before) AS breaks
		             FROM b GROUP BY 1)
		SELECT o.partition, l.first, l.last, l.records, l.breaks, o.start_offset, o.next_offset, o.consumed
		  FROM sinker.offsets o JOIN l USING (partition)
		 WHERE o.pipeline = $1 AND o.topic = $2
		   AND (l.breaks > 0 OR l.first <> o.start_offset OR l.last <> o.next_offset
		   OR l.records <> o.consumed)`, c.Pipeline, c.Topic)
	if err != nil {
		return fmt.Errorf("sinker.ledger: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var partition int32
		var first, last, records, breaks, start, next, consumed int64
		if err := rows.Scan(&partition, &first, &last, &records, &breaks, &start, &next, &consumed); err != nil {
			return fmt.Errorf("sinker.ledger: %w", err)
		}
		r.problem("sinker.ledger, partition %d: [%d, %d) with %d records and %d gaps or overlaps, and sinker.offsets "+
			"says [%d, %d) with %d", partition, first, last, records, breaks, start, next, consumed)
	}
	return rows.Err()
}
