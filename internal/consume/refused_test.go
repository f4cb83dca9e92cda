package consume

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"sinker/internal/local/await"
	"sinker/internal/record"
	"sinker/internal/txn"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// refusing is a bench whose stores are real ones, on a table whose trigger raises, or sleeps, as a record's note says.
type refusing struct {
	*bench
	conn *pgx.Conn
}

const refusingTable = `CREATE TABLE orders (id bigint PRIMARY KEY, note text);
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		CASE WHEN NEW.note = 'good' THEN WHEN NEW.note = 'slow' THEN PERFORM pg_sleep(30); ELSE RAISE EXCEPTION 'no' USING ERRCODE = NEW.note; END CASE;
		RETURN NEW; END $$;`

func newRefusing(t *testing.T, trigger string, change func(*txn.Config)) *refusing {
	b := newBench(t, "orders", 2)
	url, ctx := migrated(t), context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	b.open = func() Store {
		cfg := txn.Config{URL: url, Pipeline: "p", Owner: b.owner(), StatementTimeout: 300 * time.Millisecond, LockTimeout: 100 * time.Millisecond,
			Sinks: []txn.Sink{{Topics: []string{"orders"}, Schema: "public", Table: "orders"}}}
		if change != nil {
			change(&cfg)
		}
		s := txn.New(cfg)
		t.Cleanup(s.Close)
		return postgres{s}
	}
	r := &refusing{b, conn}
	r.exec(refusingTable + trigger)
	return r
}

const beforeRow = `CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse()`

func (r *refusing) exec(sql string) {
	r.t.Helper()
	if _, err := r.conn.Exec(context.Background(), sql); err != nil {
		r.t.Fatal(err)
	}
}

func (r *refusing) one(sql string) (v string) {
	r.t.Helper()
	if err := r.conn.QueryRow(context.Background(), sql).Scan(&v); err != nil {
		r.t.Fatal(err)
	}
	return v
}

// fill produces 20 records into each partition; those of partition 0 that bad says have another note.
func (r *refusing) fill(first int, bad map[int]string) {
	r.t.Helper()
	var records []*kgo.Record
	for i := range 20 {
		note := "good"
		if n, ok := bad[i]; ok {
			note = n
		}
		records = append(records, &kgo.Record{Topic: "orders", Partition: 0, Value: fmt.Appendf(nil, `{"id":%d,"note":%q}`, first+i, note)},
			&kgo.Record{Topic: "orders", Partition: 1, Value: fmt.Appendf(nil, `{"id":%d,"note":"good"}`, first+1000+i)})
	}
	if err := r.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *refusing) loaded(rows, letters int) {
	r.t.Helper()
	want := fmt.Sprint(rows, letters)
	await.Within(r.t, time.Minute, "all rows and dead letters", func() bool {
		return r.one(`SELECT (SELECT count(*) FROM orders WHERE note = 'good') || ' ' || (SELECT count(*) FROM sinker.dead_letters)`) == fmt.Sprint(rows, " ", letters)
	})
	if got := r.one(`SELECT (SELECT count(*) FROM orders) || ' ' || sum(dead) || ' ' || sum(next_offset) FROM sinker.offsets`); got != fmt.Sprintf("%d %d %d", rows, letters, rows+letters) {
		r.t.Errorf("%s, want %s", got, want)
	}
}

// TestRefusedRecords drives refusals through the whole loop: the record alone is a dead letter, within a bounded time.
func TestRefusedRecords(t *testing.T) {
	for _, code := range []string{"57014", "57P01", "40001", "40P01", "53100", "55P03", "25006", "08006", "XX000", "42501", "28000", "42P01", "0A000", "21000", "55000", "U0001", "45000"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			r := newRefusing(t, beforeRow, nil)
			r.fill(0, map[int]string{7: code})
			r.run(r.config("orders"), 1, nil)
			r.loaded(39, 1)
			r.fill(20, map[int]string{0: code, 19: code})
			r.loaded(77, 3)
			if got := r.one(`SELECT string_agg(record_offset || ' ' || code, ', ' ORDER BY record_offset) FROM sinker.dead_letters`); got != fmt.Sprintf("7 %s, 20 %s, 39 %s", code, code, code) {
				t.Error(got)
			}
		})
	}
}

// TestSlowRecord: a row that alone takes longer than statement_timeout holds its partition up for a bounded time.
func TestSlowRecord(t *testing.T) {
	for name, trigger := range map[string]string{
		"Before":   beforeRow,
		"Deferred": `CREATE CONSTRAINT TRIGGER t AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRefusing(t, trigger, nil)
			r.fill(0, map[int]string{7: "slow"})
			r.run(r.config("orders"), 1, nil)
			r.loaded(39, 1)
			if got := r.one(`SELECT string_agg(record_offset || ' ' || code, ', ') FROM sinker.dead_letters`); got != "7 57014" {
				t.Error(got)
			}
		})
	}
}

// TestRefusedAndStopped: with do: stop the partition stops at the record, with the reason and the command; the other goes on.
func TestRefusedAndStopped(t *testing.T) {
	for _, note := range []string{"slow", "57014", "40001", "53100", "XX000", "42501", "28000", "0A000", "U0001"} {
		t.Run(note, func(t *testing.T) {
			t.Parallel()
			r := newRefusing(t, beforeRow, func(c *txn.Config) { c.StopOnBad = true })
			r.fill(0, map[int]string{7: note})
			svc, _ := r.run(r.config("orders"), 1, nil)
			r.loaded(27, 0)
			var p PartitionState
			await.Within(t, time.Minute, "the partition to stop", func() bool {
				p = partitionState(svc, "orders", 0)
				return p.State == record.Stopped
			})
			if p.Position != 7 || !strings.Contains(p.Reason, "offset 7") || p.Command != "sinker offsets set --topic orders --partition 0 --offset 8 --skip-records" {
				t.Errorf("%+v", p)
			}
			for _, wrong := range []string{"privilege", "password", "disk space", "standby"} {
				if strings.Contains(p.Reason, wrong) {
					t.Errorf("the reason blames %q: %s", wrong, p.Reason)
				}
			}
		})
	}
}

func partitionState(svc *Service, topic string, partition int32) (found PartitionState) {
	for _, w := range svc.States() {
		for _, p := range w.Partitions {
			if p.Topic == topic && p.Partition == partition {
				found = p
			}
		}
	}
	return found
}

// TestLockedRow: a row that somebody else has locked is nobody's fault. Its partition waits and says for which record, the
// others go on, and no dead letter is written.
func TestLockedRow(t *testing.T) {
	r := newRefusing(t, "", func(c *txn.Config) { c.Sinks[0].Rule.Key = []string{"id"} })
	r.exec(`INSERT INTO orders VALUES (7, 'good'); BEGIN; SELECT FROM orders WHERE id = 7 FOR UPDATE`)
	r.fill(0, nil)
	svc, _ := r.run(r.config("orders"), 1, nil)
	var p PartitionState
	await.Within(t, time.Minute, "the partition to wait", func() bool {
		p = partitionState(svc, "orders", 0)
		return p.State == record.Waiting && p.Command != ""
	})
	if p.Position != 7 || !strings.Contains(p.Reason, "offset 7") || !strings.Contains(p.Command, "--offset 8 --skip-records") {
		t.Errorf("%+v", p)
	}
	r.exec("COMMIT")
	r.loaded(40, 0)
}

// TestWaitForParents: children come before their parents, which another topic's partition brings. With wait_for they wait, and
// are rows; orphans become dead letters when the time is over, all at once, and the other partition never waits.
func TestWaitForParents(t *testing.T) {
	const atMost = 2 * time.Second
	for name, stop := range map[string]bool{"DeadLetter": false, "Stop": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRefusing(t, `CREATE TABLE parents (id bigint PRIMARY KEY); ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES parents`, func(c *txn.Config) {
				c.StopOnBad = stop
				c.Sinks[0].WaitFor, c.Sinks[0].WaitAtMost = []string{"23503"}, atMost
			})
			r.exec(`INSERT INTO parents SELECT generate_series(1000, 1019)`) // those of partition 1
			r.fill(0, nil)
			svc, _ := r.run(r.config("orders"), 1, nil)
			await.Until(t, "the other partition", func() bool { return r.one(`SELECT count(*)::text FROM orders`) == "20" })
			await.Until(t, "the partition to wait", func() bool {
				p := partitionState(svc, "orders", 0)
				return p.State == record.Waiting && strings.Contains(p.Reason, "23503") && strings.Contains(p.Command, "--offset 1 --skip-records")
			})
			r.exec(`INSERT INTO parents SELECT generate_series(0, 9)`)
			await.Until(t, "the children whose parents have come", func() bool { return r.one(`SELECT count(*)::text FROM orders`) == "30" })
			if stop {
				await.Until(t, "the partition to stop", func() bool { return partitionState(svc, "orders", 0).State == record.Stopped })
				if p := partitionState(svc, "orders", 0); p.Position != 10 {
					t.Errorf("%+v", p)
				}
				return
			}
			since := time.Now()
			r.loaded(30, 10)
			if took := time.Since(since); took > 5*atMost {
				t.Errorf("ten orphans waited %s", took)
			}
		})
	}
}
