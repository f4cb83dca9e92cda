package image

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"sinker/e2e"
)

// `docker compose up` brings everything up and rows appear; `docker compose kill -s SIGKILL sinker && docker compose up
// -d`, again and again, loses and doubles nothing: every offset that the topic has, and each once.
func TestCompose(t *testing.T) {
	needImage(t)
	p := newProject(t)
	begin := time.Now()
	p.compose("up", "-d")
	p.until(time.Minute, "the first rows", func() error { return p.more(0) })
	t.Logf("rows %.1f s after `docker compose up`", time.Since(begin).Seconds())
	const kills = 4
	for range kills {
		before := p.number("SELECT count(*) FROM orders")
		p.compose("kill", "-s", "SIGKILL", "sinker")
		p.compose("up", "-d")
		p.until(time.Minute, "more rows", func() error { return p.more(before) })
	}
	p.compose("stop", "producer")
	p.until(time.Minute, "every position at the end of the topic", p.drained)
	p.compose("stop", "sinker")
	p.verify(kills)
}

// project is the project of docker-compose.yml under a name and on ports of its own.
type project struct {
	t   *testing.T
	env []string
}

func newProject(t *testing.T) *project {
	p := &project{t: t, env: append(os.Environ(), fmt.Sprintf("COMPOSE_PROJECT_NAME=sinker-e2e-%d", os.Getpid()), "ORDERS_PER_SECOND=2000", "SINKER_IMAGE="+tag)}
	for _, name := range []string{"KAFKA_PORT", "POSTGRES_PORT", "HTTP_PORT"} {
		port, err := e2e.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		p.env = append(p.env, name+"="+strconv.Itoa(port))
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := p.command(context.Background(), "logs", "--no-color", "--tail", "30").CombinedOutput()
			t.Logf("docker compose logs:\n%s", out)
		}
		if out, err := p.command(context.Background(), "down", "-v", "-t", "1").CombinedOutput(); err != nil {
			t.Errorf("docker compose down: %v\n%s", err, out)
		}
	})
	return p
}

func (p *project) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "docker", append([]string{"compose"}, args...)...)
	c.Dir, c.Env = root, p.env
	return c
}

func (p *project) compose(args ...string) {
	p.t.Helper()
	if out, err := p.command(p.t.Context(), args...).CombinedOutput(); err != nil {
		p.t.Fatalf("docker compose %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// query runs SQL with the psql of the postgres service, as the README says.
func (p *project) query(sql string) (string, error) {
	var errs bytes.Buffer
	c := p.command(p.t.Context(), "exec", "-T", "postgres", "psql", "-U", "postgres", "-d", "shop", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql)
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", sql, err, errs.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func (p *project) number(sql string) int64 {
	p.t.Helper()
	text, err := p.query(sql)
	if err != nil {
		p.t.Fatal(err)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		p.t.Fatalf("%s: %q", sql, text)
	}
	return n
}

func (p *project) more(than int64) error {
	text, err := p.query("SELECT count(*) FROM orders")
	if err != nil {
		return err
	}
	if n, err := strconv.ParseInt(text, 10, 64); err != nil || n <= than {
		return fmt.Errorf("%s rows, want more than %d", text, than)
	}
	return nil
}

func (p *project) until(within time.Duration, what string, holds func() error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), within)
	defer cancel()
	if err := e2e.Poll(ctx, holds); err != nil {
		p.t.Fatalf("%s, within %v: %v", what, within, err)
	}
}

// ends returns where the partitions of the topic end, as Kafka's own tool says, as SQL values.
func (p *project) ends() (string, error) {
	out, err := p.command(p.t.Context(), "exec", "-T", "kafka", "/opt/kafka/bin/kafka-get-offsets.sh", "--bootstrap-server", "localhost:9092", "--topic", "orders").Output()
	if err != nil {
		return "", fmt.Errorf("kafka-get-offsets: %w", err)
	}
	var values []string
	for _, line := range strings.Fields(string(out)) { // orders:0:1234
		f := strings.Split(line, ":")
		if len(f) != 3 {
			return "", fmt.Errorf("kafka-get-offsets printed %q", line)
		}
		values = append(values, fmt.Sprintf("(%s::int, %s::bigint)", f[1], f[2]))
	}
	if len(values) == 0 {
		return "", fmt.Errorf("kafka-get-offsets printed %q", out)
	}
	return strings.Join(values, ", "), nil
}

func (p *project) drained() error {
	ends, err := p.ends()
	if err != nil {
		return err
	}
	behind, err := p.query("SELECT coalesce(string_agg(format('partition %s is at %s of %s', e.p, o.next_offset, e.o), ', '), '') FROM (VALUES " + ends +
		") e(p, o) LEFT JOIN sinker.offsets o ON o.topic = 'orders' AND o.partition = e.p WHERE o.next_offset IS DISTINCT FROM e.o")
	if err == nil && behind != "" {
		err = fmt.Errorf("%s", behind)
	}
	return err
}

// verify proves by SQL, with the provenance columns, that the table holds each offset below the ends once: the producer
// uses no transactions, so every offset is a record.
func (p *project) verify(kills int) {
	p.t.Helper()
	ends, err := p.ends()
	if err != nil {
		p.t.Fatal(err)
	}
	total := p.number("SELECT sum(o) FROM (VALUES " + ends + ") e(p, o)")
	rows := p.number("SELECT count(*) FROM orders")
	distinct := p.number("SELECT count(DISTINCT (kafka_partition, kafka_offset)) FROM orders")
	orders := p.number("SELECT count(DISTINCT id) FROM orders")
	foreign := p.number("SELECT count(*) FROM orders r LEFT JOIN (VALUES " + ends + ") e(p, o) ON e.p = r.kafka_partition WHERE r.kafka_offset >= coalesce(e.o, 0)")
	consumed := p.number("SELECT sum(consumed) FROM sinker.offsets WHERE consumed = written AND stopped IS NULL")
	keys := p.number("SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass")
	p.t.Logf("%d kills; Kafka has %d orders, the table %d rows: %d lost, %d doubled, %d foreign", kills, total, rows, total-distinct, rows-distinct, foreign)
	if rows != total || distinct != total || orders != total || foreign != 0 || consumed != total {
		p.t.Errorf("want %d of each: %d rows, %d different places, %d different orders, %d consumed, and 0 foreign: %d", total, rows, distinct, orders, consumed, foreign)
	}
	if keys != 0 {
		p.t.Errorf("the table has %d indexes: a unique one would hide duplicates", keys)
	}
}
