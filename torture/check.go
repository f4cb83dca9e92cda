package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// differences are how a table differs from what it must hold.
type differences struct {
	Lost       int64 `json:"lost"`
	Duplicated int64 `json:"duplicated"`
	Phantom    int64 `json:"phantom"` // rows of no committed record: aborted, of a bad one, or never there
	Changed    int64 `json:"changed"` // rows in a record's place that hold something else
	examples   []string
}

func (d *differences) add(e differences) {
	d.Lost += e.Lost
	d.Duplicated += e.Duplicated
	d.Phantom += e.Phantom
	d.Changed += e.Changed
	d.examples = append(d.examples, e.examples...)
}

func (d *differences) total() int64 { return d.Lost + d.Duplicated + d.Phantom + d.Changed }

// example names one of the first.
func (d *differences) example(where, what string, p place) {
	d.note("%s: %s: partition %d offset %d", where, what, p.partition, p.offset)
}

func (d *differences) note(format string, args ...any) {
	if len(d.examples) < 10 {
		d.examples = append(d.examples, fmt.Sprintf(format, args...))
	}
}

func comparePlaces(a, b place) int {
	return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset))
}

// compare walks what must be there and what is there at once; both are in order of partition and offset.
func compare(where string, want, have iter.Seq2[place, error]) (d differences, rows int64, err error) {
	next, stop := iter.Pull2(want)
	defer stop()
	w, werr, more := next()
	var before *place
	for h, err := range have {
		if err = errors.Join(err, werr); err != nil {
			return d, rows, err
		}
		rows++
		for more && comparePlaces(w, h) < 0 {
			d.Lost++
			d.example(where, "lost", w)
			if w, werr, more = next(); werr != nil {
				return d, rows, werr
			}
		}
		switch {
		case more && comparePlaces(w, h) == 0:
			if w.hash != h.hash {
				d.Changed++
				d.example(where, "holds something else", h)
			}
			w, werr, more = next()
		case before != nil && comparePlaces(*before, h) == 0:
			d.Duplicated++
			d.example(where, "there more than once", h)
		default:
			d.Phantom++
			d.example(where, "of no committed record", h)
		}
		before = &h
	}
	for ; more && werr == nil; w, werr, more = next() {
		d.Lost++
		d.example(where, "lost", w)
	}
	return d, rows, werr
}

// all are a topic's records of these fates, in order of partition and offset.
func (tr *truth) all(fates ...byte) iter.Seq2[place, error] {
	return func(yield func(place, error) bool) {
		var partitions []int32
		for p := range tr.parts {
			partitions = append(partitions, p)
		}
		slices.Sort(partitions)
		for _, p := range partitions {
			for at, err := range tr.each(p, fates...) {
				if !slices.Contains(fates, isRow) { // letters: only where counts
					at.hash = 0
				}
				if !yield(at, err) || err != nil {
					return
				}
			}
		}
	}
}

// latest are the rows that the upserted table must hold.
func (tr *truth) latest() iter.Seq2[place, error] {
	var rows []place
	for _, p := range tr.last {
		if p.hash != 0 {
			rows = append(rows, p)
		}
	}
	slices.SortFunc(rows, comparePlaces)
	return func(yield func(place, error) bool) {
		for _, p := range rows {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// streamRows is COPY of a query whose first two columns are partition and offset and whose others are hashed as
// printed.
func streamRows(ctx context.Context, conn *pgx.Conn, query string) iter.Seq2[place, error] {
	return func(yield func(place, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		r, w := io.Pipe()
		defer r.Close()
		copied := make(chan struct{})
		go func() {
			defer close(copied)
			_, err := conn.PgConn().CopyTo(ctx, w, "COPY ("+query+") TO STDOUT")
			w.CloseWithError(err)
		}()
		defer func() { r.Close(); <-copied }()
		lines := bufio.NewReaderSize(r, 1<<20)
		for {
			line, err := lines.ReadSlice('\n')
			if errors.Is(err, io.EOF) {
				return
			}
			var p place
			if err == nil {
				p, err = parseRow(line[:len(line)-1])
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

func parseRow(line []byte) (p place, err error) {
	partition, rest, _ := bytes.Cut(line, []byte("\t"))
	offset, row, more := bytes.Cut(rest, []byte("\t"))
	n, err1 := strconv.ParseInt(string(partition), 10, 32)
	o, err2 := strconv.ParseInt(string(offset), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return p, fmt.Errorf("COPY printed %q: %w", line, err)
	}
	p = place{partition: int32(n), offset: o}
	if more {
		p.hash = hashRow(row)
	}
	return p, nil
}

// checkTable holds a table and its dead letters against the truth.
func checkTable(ctx context.Context, conn *pgx.Conn, t *table, tr *truth) (d differences, rows, letters int64,
	err error) {
	if _, err := conn.Exec(ctx, `SET work_mem = '256MB'`); err != nil {
		return d, 0, 0, err
	}
	want := tr.all(isRow)
	if t.upsert {
		want = tr.latest()
	}
	have := streamRows(ctx, conn,
		`SELECT kafka_partition, kafka_offset, id, k, n, amount, sum FROM `+t.name+` ORDER BY 1, 2`)
	if d, rows, err = compare("table "+t.name, want, have); err != nil {
		return d, rows, 0, fmt.Errorf("table %s: %w", t.name, err)
	}
	e, letters, err := checkLetters(ctx, conn, t, t.name, tr.all(isDead, isDeadBut))
	if err != nil {
		return d, rows, letters, err
	}
	d.add(e)
	return d, rows, letters, nil
}

// checkLetters holds the dead letters of one of a topic's tables against the truth. Each table has its own.
func checkLetters(ctx context.Context, conn *pgx.Conn, t *table, name string,
	want iter.Seq2[place, error]) (differences, int64, error) {
	have := streamRows(ctx, conn, fmt.Sprintf(`SELECT partition, record_offset FROM sinker.dead_letters
		WHERE pipeline = '%s' AND topic = '%s'
		AND replace(table_name, '"', '') IN ('%[3]s', 'public.%[3]s') ORDER BY 1, 2`, mainPipeline, t.name, name))
	d, letters, err := compare("dead letters of "+name, want, have)
	if err != nil {
		err = fmt.Errorf("dead letters of %s: %w", name, err)
	}
	return d, letters, err
}

// books are questions about what was written down in the database itself; each must have no answer.
var books = []struct{ invariant, problem, sql string }{
	{"I4", "a position did not move on from where it was", `
		SELECT format('%s/%s: move %s goes from %s (fence %s) to %s (fence %s), '
		|| 'the one before ended at %s (fence %s); owner %s, %s', topic, partition, id,
			old_next, old_fence, new_next, new_fence, before, fenced, owner, application) FROM (
			SELECT *, lag(new_next) OVER w AS before, lag(new_fence) OVER w AS fenced FROM torture.moves
			WINDOW w AS (PARTITION BY pipeline, topic, partition ORDER BY id)) m
		WHERE before IS NOT NULL AND (old_next IS DISTINCT FROM before OR old_fence IS DISTINCT FROM fenced
		OR new_fence < old_fence
			OR new_next < old_next AND application <> 'sinker offsets')`},
	{"I4", "the position is not where the last move left it", `
		SELECT format('%s/%s is at %s, its last move went to %s', o.topic, o.partition, o.next_offset, m.new_next)
		FROM sinker.offsets o
		LEFT JOIN LATERAL (SELECT new_next FROM torture.moves m
		WHERE (m.pipeline, m.topic, m.partition) = (o.pipeline, o.topic, o.partition) ORDER BY id DESC LIMIT 1) m ON true
		WHERE m.new_next IS DISTINCT FROM o.next_offset`},
	{"I6", "an upsert went back in the log", `SELECT d::text FROM torture.disorder d`},
	{"I8", "a partition is stopped", `SELECT format('%s/%s: %s', topic, partition, stopped) FROM sinker.offsets WHERE
		stopped IS NOT NULL`},
	{"I8", "the totals of a partition do not add up", `
		SELECT format('%s/%s: consumed %s, written %s, filtered %s, dead %s',
			topic, partition, consumed, written, filtered, dead)
		FROM sinker.offsets
		WHERE consumed <> written + filtered + dead`},
	{"I8", "the ledger does not tile what was committed", `
		SELECT format('%s/%s: [%s, %s) follows %s', topic, partition, from_offset, to_offset, before) FROM (
			SELECT *, lag(to_offset) OVER (PARTITION BY pipeline, topic, partition
			ORDER BY from_offset, to_offset) AS before FROM sinker.ledger WHERE pipeline = '` + mainPipeline + `') b
		WHERE before IS NOT NULL AND before <> from_offset`},
	{"I7", "a session of sinker's still holds a transaction open", `
		SELECT format('%s since %s: %s', application_name, xact_start, query) FROM pg_stat_activity
		WHERE application_name LIKE 'sinker%' AND xact_start < now() - interval '30 seconds'`},
}

// checkBooks asks all of them.
func checkBooks(ctx context.Context, conn *pgx.Conn) (problems []string, err error) {
	for _, b := range books {
		rows, err := conn.Query(ctx, b.sql+` LIMIT 10`)
		if err != nil {
			return problems, fmt.Errorf("%s, %s: %w", b.invariant, b.problem, err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return problems, fmt.Errorf("%s, %s: %w", b.invariant, b.problem, err)
		}
		for _, f := range found {
			problems = append(problems, fmt.Sprintf("%s: %s: %s", b.invariant, b.problem, f))
		}
	}
	return problems, nil
}
