package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"sinker/internal/table"

	"github.com/dustin/go-humanize"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Result is the outcome, and the JSON of --json.
type Result struct {
	Rows           int64     `json:"rows"`
	Produced       int64     `json:"produced"`
	Lost           int64     `json:"lost"`
	Duplicated     int64     `json:"duplicated"`
	Changed        int64     `json:"changed"`
	DeadLetters    int64     `json:"dead_letters"`
	Kills          int       `json:"kills"`
	RowsPerSecond  int64     `json:"rows_per_second"`
	LoadingSeconds float64   `json:"loading_seconds"`
	FirstRow       float64   `json:"first_row_seconds"`
	Resumes        []float64 `json:"resume_seconds"`
	Seconds        float64   `json:"seconds"`
	Seed           uint64    `json:"seed"`
}

// verdict is nil if the proof holds.
func (p Result) verdict(o *Options) error {
	var wrong []string
	add := func(n int64, what string) {
		if n > 0 {
			wrong = append(wrong, humanize.Comma(n)+" "+what)
		}
	}
	add(p.Lost, "lost")
	add(p.Duplicated, "duplicated")
	add(p.Changed, "changed")
	add(int64(o.Kills-p.Kills), "kills not made")
	if o.In == "" {
		add(p.DeadLetters, "orders in sinker.dead_letters")
	}
	if wrong == nil {
		return nil
	}
	return errors.New("the proof failed: " + strings.Join(wrong, ", "))
}

// prove holds the table against what was produced: each place that Kafka acknowledged must be there once, as a row or
// as a dead letter, and each row must say what the record at its place says.
func (d *demo) prove(ctx context.Context) (p Result, err error) {
	d.say("proof", "every row's place and values, against what was produced")
	p = Result{Kills: d.load.kills, Seed: d.opts.Seed, Resumes: []float64{}}
	if err := d.countPlaces(ctx, &p); err != nil {
		return p, err
	}
	if p.Changed, err = d.compareRows(ctx); err != nil {
		return p, fmt.Errorf("read the table back: %w", err)
	}
	for _, r := range d.load.resumes {
		p.Resumes = append(p.Resumes, seconds(r))
	}
	p.FirstRow, p.LoadingSeconds, p.Seconds = seconds(d.load.firstRow), seconds(d.load.loading),
		seconds(time.Since(d.start))
	p.RowsPerSecond = int64(float64(p.Rows) / d.load.loading.Seconds())
	return p, nil
}

func seconds(t time.Duration) float64 { return t.Round(time.Millisecond).Seconds() }

// countPlaces counts rows, and the places of Kafka that are missing or there more than once.
func (d *demo) countPlaces(ctx context.Context, p *Result) error {
	produced, all := d.feed.produced()
	p.Produced = all
	if _, err := d.conn.Exec(ctx, `SET work_mem = '256MB'`); err != nil {
		return err
	}
	const sql = `
WITH found AS (
    SELECT p, o, sum(n) AS n FROM (
        SELECT kafka_partition AS p, kafka_offset AS o, count(*) AS n FROM orders GROUP BY 1, 2
        UNION ALL
        SELECT partition, record_offset, count(*) FROM sinker.dead_letters GROUP BY 1, 2
    ) x GROUP BY 1, 2
), expected AS (
    SELECT partition - 1 AS p, records FROM unnest($1::bigint[]) WITH ORDINALITY AS x (records, partition)
)
SELECT (SELECT count(*) FROM orders),
       (SELECT count(*) FROM sinker.dead_letters),
       coalesce(sum(n - 1), 0)::bigint,
       count(*) FILTER (WHERE o >= 0 AND o < records)
FROM found LEFT JOIN expected USING (p)`
	var present int64
	if err := d.conn.QueryRow(ctx, sql, produced[:]).Scan(&p.Rows, &p.DeadLetters, &p.Duplicated, &present); err != nil {
		return fmt.Errorf("count the rows: %w", err)
	}
	p.Lost = p.Produced - present
	return nil
}

// show prints the proof and ten of the rows.
func (d *demo) show(ctx context.Context, p Result) {
	fmt.Fprintln(d.out)
	t := table.New(d.out)
	t.Row("  ", "rows", humanize.Comma(p.Rows), "of "+humanize.Comma(p.Produced)+" records produced")
	t.Row("  ", "lost", p.Lost)
	t.Row("  ", "duplicated", p.Duplicated)
	t.Row("  ", "changed", p.Changed, "every value of every row was compared")
	t.Row("  ", "kills", p.Kills, "each in the middle of a transaction")
	t.Row("  ", "speed", humanize.Comma(p.RowsPerSecond), "rows/s from the loader's first start to the last "+
		"commit,\nall its deaths included")
	t.Row("  ", "time", fmt.Sprintf("%.1f s", p.Seconds), fmt.Sprintf("of which %.1f s loading (seed %d)",
		p.LoadingSeconds, p.Seed))
	t.Flush()
	fmt.Fprintln(d.out)
	if p.DeadLetters > 0 {
		fmt.Fprintf(d.out, "    %s records could not become rows; they are in sinker.dead_letters\n\n",
			humanize.Comma(p.DeadLetters))
	}
	if err := printTable(ctx, d.out, d.conn,
		"SELECT * FROM orders ORDER BY kafka_offset, kafka_partition LIMIT 10"); err != nil {
		fmt.Fprintln(d.out, err)
	}
}

var numberTypes = []uint32{pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.NumericOID, pgtype.Float4OID,
	pgtype.Float8OID}

// printTable prints the rows of a query.
func printTable(ctx context.Context, w io.Writer, conn *pgx.Conn, sql string) error {
	rows, err := conn.Query(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	defer rows.Close()
	var names []string
	var numbers []bool
	for _, f := range rows.FieldDescriptions() {
		names = append(names, f.Name)
		numbers = append(numbers, slices.Contains(numberTypes, f.DataTypeOID))
	}
	g := table.NewGrid(names, numbers)
	for rows.Next() {
		var cells []string
		for _, v := range rows.RawValues() {
			cells = append(cells, string(v))
		}
		g.Row(cells)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	g.Print(w)
	return nil
}
