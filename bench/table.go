package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// copyFile returns the path of a binary COPY file with the rows that the first n records of a data set must become,
// in the records' order. Postgres itself makes it from the JSON, by the casts that anybody would write, so that it is
// also what sinker's tables are checked against. It is kept for later runs.
func (e *env) copyFile(ctx context.Context, d *dataset, n int64) (string, error) {
	path := filepath.Join(e.dir, fmt.Sprintf("%s-%d.copy", d.tag(), n))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	e.say("  making %s", path)
	if err := e.stage(ctx, d, n); err != nil {
		return "", err
	}
	_, err := e.pg.run(ctx, fmt.Sprintf(`\copy (SELECT %s FROM bench.json) TO '%s' (FORMAT binary)`, d.casts(),
		path+".part"))
	if err != nil {
		return "", err
	}
	if err := e.pg.exec(ctx, "DROP TABLE bench.json"); err != nil {
		return "", err
	}
	return path, os.Rename(path+".part", path)
}

// stage loads the JSON of records into table bench.json.
func (e *env) stage(ctx context.Context, d *dataset, n int64) error {
	for _, sql := range []string{"DROP TABLE IF EXISTS bench.json", "CREATE UNLOGGED TABLE bench.json (j jsonb)"} {
		if err := e.pg.exec(ctx, sql); err != nil {
			return err
		}
	}
	r, w := io.Pipe()
	go func() {
		var buf []byte
		for i := range n {
			buf = append(d.record(buf, i), '\n')
			if i%512 == 511 || i == n-1 {
				if _, err := w.Write(buf); err != nil {
					return // COPY has failed, and says why
				}
				buf = buf[:0]
			}
		}
		w.Close()
	}()
	// CSV with a quote and a delimiter that JSON cannot hold takes every line as it is.
	_, err := e.pg.conn.PgConn().CopyFrom(ctx, r, `COPY bench.json FROM STDIN (FORMAT csv, QUOTE E'\x01', DELIMITER
		E'\x02')`)
	r.CloseWithError(errors.New("COPY has ended"))
	if err != nil {
		return fmt.Errorf("cannot load the JSON of %s: %w", d.name, err)
	}
	return nil
}

// fresh makes an empty table, and leaves nothing of earlier work for the next measurement to pay: the dirty pages are
// written and the log starts a new checkpoint.
func (e *env) fresh(ctx context.Context, d *dataset, table string, extra ...string) error {
	for _, sql := range append([]string{"DROP TABLE IF EXISTS " + table, d.ddl(table, "TABLE")}, extra...) {
		if err := e.pg.exec(ctx, sql); err != nil {
			return err
		}
	}
	return e.pg.exec(ctx, "CHECKPOINT")
}

// content is what two tables with the same rows, in whatever order, agree in.
type content struct {
	Rows, Hash string
}

// read sums a table up.
func (e *env) read(ctx context.Context, table string) (content, error) {
	var c content
	sql := fmt.Sprintf("SELECT count(*)::text, coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM %s t", table)
	if err := e.pg.conn.QueryRow(ctx, sql).Scan(&c.Rows, &c.Hash); err != nil {
		return c, fmt.Errorf("cannot read %s: %w", table, err)
	}
	return c, nil
}

// commits are the transactions that wrote a table's rows, by Postgres' own commit timestamps.
type commits struct {
	n           int
	first, last time.Time
	firstRows   int64 // of the first transaction
}

// commits reads them from the rows; nothing when track_commit_timestamp is off.
func (e *env) commits(ctx context.Context, table string) (commits, error) {
	var c commits
	if e.pg.setting(ctx, "track_commit_timestamp") != "on" {
		return c, nil
	}
	sql := fmt.Sprintf(`SELECT count(*), min(at), max(at), (array_agg(n ORDER BY at))[1]
		FROM (SELECT pg_xact_commit_timestamp(xmin) AS at, count(*) AS n FROM %s GROUP BY 1) t`, table)
	if err := e.pg.conn.QueryRow(ctx, sql).Scan(&c.n, &c.first, &c.last, &c.firstRows); err != nil {
		return c, fmt.Errorf("cannot read the commit timestamps of %s: %w", table, err)
	}
	return c, nil
}

// set is the SET list of an update of all columns but the key, from the named row.
func (d *dataset) set(from string) string {
	var b strings.Builder
	for _, c := range d.columns {
		if c.name == d.key {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s = %s.%s", c.name, from, c.name)
	}
	return b.String()
}
