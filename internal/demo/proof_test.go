package demo

import (
	"context"
	"io"
	"testing"
	"time"

	"sinker/internal/local/localtest"
	"sinker/internal/orderdata"

	"github.com/jackc/pgx/v5"
)

// finishedDemo is a demonstration whose loading is done: n orders lie in the table as they should.
func finishedDemo(t *testing.T, n int64) *demo {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, localtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	d := &demo{opts: &Options{Rows: n}, out: io.Discard, start: time.Now(), conn: conn, records: orderSource(n)}
	d.feed, d.load.loading = newFeed(d.records), time.Second
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(ctx, sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE orders (id bigint, customer_id int, country text, status text, total numeric(12,2), items int, express bool, note text,
		created_at timestamptz, ref uuid, kafka_partition int, kafka_offset bigint)`)
	exec(`CREATE SCHEMA sinker CREATE TABLE dead_letters (partition int, record_offset bigint)`)
	for i := range n {
		d.feed.acked[i%partitions]++
		exec(`INSERT INTO orders SELECT (j->>'id')::bigint, (j#>>'{customer,id}')::int, j#>>'{customer,country}', j->>'status', (j->>'total')::numeric,
			(j->>'items')::int, (j->>'express')::bool, j->>'note', (j->>'created_at')::timestamptz, (j->>'ref')::uuid, $2, $3 FROM (SELECT $1::text::jsonb AS j) x`,
			string(orderdata.Order(nil, i)), i%partitions, i/partitions)
	}
	return d
}

// The proof must notice what it is there to notice.
func TestDemoProofFails(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		damage string
		want   Result
	}{
		"None":       {`SELECT`, Result{}},
		"Lost":       {`DELETE FROM orders WHERE id = 7`, Result{Lost: 1}},
		"Duplicated": {`INSERT INTO orders SELECT * FROM orders WHERE id = 7`, Result{Duplicated: 1}},
		"Changed":    {`UPDATE orders SET total = total + 0.01 WHERE id = 7`, Result{Changed: 1}},
		"Elsewhere":  {`UPDATE orders SET kafka_offset = 1000 WHERE id = 7`, Result{Lost: 1, Changed: 1}},
		"Letter":     {`INSERT INTO sinker.dead_letters SELECT kafka_partition, kafka_offset FROM orders WHERE id = 7`, Result{Duplicated: 1, DeadLetters: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			d := finishedDemo(t, 30)
			if _, err := d.conn.Exec(ctx, c.damage); err != nil {
				t.Fatal(err)
			}
			p, err := d.prove(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if p.Lost != c.want.Lost || p.Duplicated != c.want.Duplicated || p.Changed != c.want.Changed || p.DeadLetters != c.want.DeadLetters {
				t.Errorf("found %+v, want %+v", p, c.want)
			}
			if err := p.verdict(d.opts); (err != nil) != (name != "None") {
				t.Errorf("verdict: %v", err)
			}
		})
	}
}
