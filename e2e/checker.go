package e2e

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Check holds a pipeline's table, its dead letters, its ledger and its row in sinker.offsets against what Kafka holds.
type Check struct {
	Pipeline, Topic, Table string
	// Upsert says that the table holds the last record of each key instead of every record.
	Upsert bool
}

// Report is what a check found. There is no difference only when Problems is empty.
type Report struct {
	Records int64 // committed records that the pipeline had to write
	Rows    int64
	Dead    int64
	Differences
	Problems []string // each a sentence for a person
}

// Differences counts how the table differs from Kafka.
type Differences struct {
	Missing int64 // records that have no row
	Doubled int64 // rows beyond the first of a record
	Foreign int64 // rows of no committed record: aborted, or never there
	Changed int64 // rows in a record's place that hold something else
	Example string
}

// Place is where a row came from, and what it says.
type Place struct {
	Partition int32
	Offset    int64
	ID        int64
}

func (p Place) compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Partition, q.Partition), cmp.Compare(p.Offset, q.Offset))
}

// Run compares. truth is every committed record of the topic, in offset order within a partition, read by somebody else
// than sinker; ends are the offsets at which the partitions end. An error means that it could not look.
func (c Check) Run(ctx context.Context, db *pgxpool.Pool, truth []Record, ends map[int32]int64) (*Report, error) {
	positions, err := c.positions(ctx, db)
	if err != nil {
		return nil, err
	}
	starts := map[int32]int64{}
	for _, p := range positions {
		starts[p.partition] = p.start
	}
	rows, dead := expected(truth, starts, c.Upsert)
	r := &Report{Records: int64(len(rows) + len(dead))}
	have := places(ctx, db, fmt.Sprintf("SELECT kafka_partition, kafka_offset, id FROM %s ORDER BY 1, 2", c.Table))
	if r.Differences, r.Rows, err = compare(rows, have); err != nil {
		return nil, fmt.Errorf("table %s: %w", c.Table, err)
	}
	r.note("table "+c.Table, r.Differences)
	letters := places(ctx, db, `SELECT partition, record_offset, 0 FROM sinker.dead_letters WHERE pipeline = $1 AND
		topic = $2 ORDER BY 1, 2`, c.Pipeline, c.Topic)
	d, n, err := compare(dead, letters)
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	r.Dead = n
	r.note("the dead letters", d)
	c.totals(r, positions, truth, ends)
	if err := c.ledger(ctx, db, r); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Report) note(where string, d Differences) {
	for _, x := range []struct {
		n    int64
		what string
	}{{d.Missing, "missing"}, {d.Doubled, "there more than once"}, {d.Foreign, "of no committed record"},
		{d.Changed, "not what the record says"}} {
		if x.n > 0 {
			r.problem("%s: %d rows %s (%s)", where, x.n, x.what, d.Example)
		}
	}
}

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// expected says which records must have a row and which a dead letter: a record without a value cannot become a row of
// an append, and in an upsert it deletes its key's row.
func expected(truth []Record, starts map[int32]int64, upsert bool) (rows, dead []Place) {
	last := map[string]Place{}
	for _, t := range truth {
		start, taken := starts[t.Partition]
		if taken && t.Offset < start {
			continue
		}
		at := Place{t.Partition, t.Offset, t.ID}
		switch {
		case upsert && t.Tombstone:
			delete(last, t.Key)
		case upsert:
			last[t.Key] = at
		case t.Tombstone:
			dead = append(dead, at)
		default:
			rows = append(rows, at)
		}
	}
	for _, at := range last {
		rows = append(rows, at)
	}
	slices.SortFunc(rows, Place.compare)
	slices.SortFunc(dead, Place.compare)
	return rows, dead
}

// compare walks both sides at once; both must be in order of partition and offset. It also returns how many rows there
// are.
func compare(want []Place, have iter.Seq2[Place, error]) (d Differences, rows int64, err error) {
	example := func(format string, args ...any) {
		if d.Example == "" {
			d.Example = "the first: " + fmt.Sprintf(format, args...)
		}
	}
	i := 0
	var before *Place
	for row, err := range have {
		if err != nil {
			return d, rows, err
		}
		rows++
		for i < len(want) && want[i].compare(row) < 0 {
			d.Missing++
			example("nothing for partition %d offset %d, id %d", want[i].Partition, want[i].Offset, want[i].ID)
			i++
		}
		switch {
		case i < len(want) && want[i].compare(row) == 0:
			if want[i].ID != row.ID {
				d.Changed++
				example("partition %d offset %d is id %d, and the row says %d", row.Partition, row.Offset, want[i].ID, row.ID)
			}
			i++
		case before != nil && before.compare(row) == 0:
			d.Doubled++
			example("twice partition %d offset %d, id %d", row.Partition, row.Offset, row.ID)
		default:
			d.Foreign++
			example("partition %d offset %d, id %d", row.Partition, row.Offset, row.ID)
		}
		before = &row
	}
	for ; i < len(want); i++ {
		d.Missing++
		example("nothing for partition %d offset %d, id %d", want[i].Partition, want[i].Offset, want[i].ID)
	}
	return d, rows, nil
}

// places streams rows of three columns, so that a million of them need no memory.
func places(ctx context.Context, db *pgxpool.Pool, sql string, args ...any) iter.Seq2[Place, error] {
	return func(yield func(Place, error) bool) {
		rows, err := db.Query(ctx, sql, args...)
		if err != nil {
			yield(Place{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var p Place
			err := rows.Scan(&p.Partition, &p.Offset, &p.ID)
			if !yield(p, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Place{}, err)
		}
	}
}
