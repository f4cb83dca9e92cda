package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"sinker/internal/local"
	"sinker/internal/local/localtest"

	"github.com/jackc/pgx/v5"
)

// The demonstration starts this program as its loader, and in a test that is the test's binary.
func TestMain(m *testing.M) {
	if os.Getenv("SINKER_TEST_IS_SINKER") != "" {
		main()
	}
	os.Exit(m.Run())
}

// demoResult runs the demonstration and reads its last line.
func demoResult(t *testing.T, args ...string) (p proof, code int, said string) {
	t.Helper()
	t.Setenv("SINKER_TEST_IS_SINKER", "1")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var stdout, stderr lockedBuffer
	code = run(ctx, append([]string{"demo", "--json", "--postgres", localtest.Database(t)}, args...), &stdout, &stderr)
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	if last := lines[len(lines)-1]; code == exitOK || strings.HasPrefix(last, "{") {
		if err := json.Unmarshal([]byte(last), &p); err != nil {
			t.Fatalf("the last line of stdout is not the result: %v\n%s", err, stdout.String())
		}
	}
	return p, code, stderr.String()
}

func TestDemo(t *testing.T) {
	t.Run("Orders", func(t *testing.T) {
		p, code, said := demoResult(t, "--rows", "60000", "--kills", "3")
		if code != exitOK || p.Rows != 60000 || p.Kills != 3 || p.Lost+p.Duplicated+p.Changed+p.DeadLetters != 0 {
			t.Errorf("exit code %d, %+v\n%s", code, p, said)
		}
	})

	t.Run("Lines", func(t *testing.T) {
		file := t.TempDir() + "/in.jsonl"
		text := bytes.Repeat([]byte("{\"id\":1,\"name\":\"é\"}\nnot json\n{\"id\":2}\n"), 2000)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		p, code, said := demoResult(t, "--in", file, "--kills", "1")
		if code != exitOK || p.Produced != 6000 || p.Rows != 4000 || p.DeadLetters != 2000 || p.Kills != 1 {
			t.Errorf("exit code %d, %+v\n%s", code, p, said)
		}
	})

	t.Run("NoServer", func(t *testing.T) {
		var stdout, stderr lockedBuffer
		code := run(context.Background(), []string{"demo", "--postgres", "postgres://nobody@" + deadPort(t) + "/x"}, &stdout, &stderr)
		if code != exitUnavailable {
			t.Errorf("exit code %d, want %d\n%s", code, exitUnavailable, stderr.String())
		}
	})
}

// finishedDemo is a demonstration whose loading is done: n orders lie in the table as they should.
func finishedDemo(t *testing.T, n int64) *demo {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, localtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	d := &demo{flags: &demoFlags{rows: n}, out: io.Discard, start: time.Now(), conn: conn, records: orderSource(n)}
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
		d.feed.acked[i%demoPartitions]++
		exec(`INSERT INTO orders SELECT (j->>'id')::bigint, (j#>>'{customer,id}')::int, j#>>'{customer,country}', j->>'status', (j->>'total')::numeric,
			(j->>'items')::int, (j->>'express')::bool, j->>'note', (j->>'created_at')::timestamptz, (j->>'ref')::uuid, $2, $3 FROM (SELECT $1::text::jsonb AS j) x`,
			string(local.Order(nil, i)), i%demoPartitions, i/demoPartitions)
	}
	return d
}

// The proof must notice what it is there to notice.
func TestDemoProofFails(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		damage string
		want   proof
	}{
		"None":       {`SELECT`, proof{}},
		"Lost":       {`DELETE FROM orders WHERE id = 7`, proof{Lost: 1}},
		"Duplicated": {`INSERT INTO orders SELECT * FROM orders WHERE id = 7`, proof{Duplicated: 1}},
		"Changed":    {`UPDATE orders SET total = total + 0.01 WHERE id = 7`, proof{Changed: 1}},
		"Elsewhere":  {`UPDATE orders SET kafka_offset = 1000 WHERE id = 7`, proof{Lost: 1, Changed: 1}},
		"Letter":     {`INSERT INTO sinker.dead_letters SELECT kafka_partition, kafka_offset FROM orders WHERE id = 7`, proof{Duplicated: 1, DeadLetters: 1}},
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
			if err := p.verdict(d.flags); (err != nil) != (name != "None") {
				t.Errorf("verdict: %v", err)
			}
		})
	}
}
