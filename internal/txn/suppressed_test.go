package txn

import (
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"sinker/internal/transform"
)

// TestSuppressed: rows that a table takes away are counted, whatever takes them and however they are written.
func TestSuppressed(t *testing.T) {
	const fn = `CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.note = 'away' THEN RETURN NULL; END IF; RETURN NEW; END $$; `
	const table = `CREATE TABLE orders (id bigint PRIMARY KEY, note text, n int); ` + fn
	ways := map[string]string{
		"Before":       table + `CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION swallow()`,
		"BeforeUpdate": table + `INSERT INTO orders SELECT i, 'old' FROM generate_series(0, 99) i; CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION swallow()`,
		"Partitioned": `CREATE TABLE orders (id bigint PRIMARY KEY, note text, n int) PARTITION BY HASH (id); CREATE TABLE o1 PARTITION OF orders FOR VALUES WITH (MODULUS 2, REMAINDER 0);
			CREATE TABLE o2 PARTITION OF orders FOR VALUES WITH (MODULUS 2, REMAINDER 1); ` + fn + `CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION swallow()`,
		"OnePartition": `CREATE TABLE orders (id bigint PRIMARY KEY, note text, n int) PARTITION BY HASH (id); CREATE TABLE o1 PARTITION OF orders FOR VALUES WITH (MODULUS 1, REMAINDER 0); ` +
			fn + `CREATE TRIGGER t BEFORE INSERT ON o1 FOR EACH ROW EXECUTE FUNCTION swallow()`,
	}
	for name, ddl := range ways {
		for mode, change := range map[string]func(*Sink){"Append": func(*Sink) {}, "Upsert": keyed, "Aggregate": summed} {
			if name == "BeforeUpdate" && mode != "Upsert" || mode == "Aggregate" && name != "Before" {
				continue
			}
			ddl := ddl
			if mode == "Aggregate" {
				ddl += `; ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (id, note)`
			}
			for _, careful := range []int{0, carefulBatches} {
				t.Run(fmt.Sprint(name, mode, careful > 0), func(t *testing.T) {
					t.Parallel()
					suppresses(t, ddl, change, careful)
				})
			}
		}
	}
}

func summed(s *Sink) {
	s.Rule.Key, s.Rule.Folds = []string{"id", "note"}, []transform.Fold{transform.Group, transform.Group, transform.Add}
	s.Rule.Columns = []transform.Column{{Name: "id", Path: "id"}, {Name: "note", Path: "note"}, {Name: "n", Path: "1"}}
}

func suppresses(t *testing.T, ddl string, change func(*Sink), careful int) {
	var log strings.Builder
	l := newLoader(t, ddl, Config{Sinks: []Sink{orders(change)}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	had := l.one(`SELECT count(*)::text FROM orders WHERE note = 'good'`)
	for i := range 5 {
		l.store.careful = careful
		values := some(20*i, 3, "away")
		values[17] = strings.Replace(values[17], "good", "away", 1)
		res := l.mustCommit(values...)
		if res.Suppressed != 2 || res.Tables[0].Suppressed != 2 || res.Consumed != 20 {
			t.Errorf("%+v", res)
		}
	}
	filtered := 10
	if l.store.targets[0].mode.traits().folds {
		filtered = 0 // a group is not a record
	}
	l.want(`SELECT count(*) || ' ' || count(*) FILTER (WHERE note = 'away') FROM orders WHERE note <> 'old'`, fmt.Sprint(90, " ", 0))
	l.want(`SELECT consumed || ' ' || written || ' ' || filtered || ' ' || dead || ' ' || suppressed FROM sinker.offsets`, fmt.Sprintf("100 %d %d 0 10", 100-filtered, filtered))
	l.want(`SELECT sum(written) || ' ' || sum(filtered) || ' ' || sum(suppressed) FROM sinker.ledger`, fmt.Sprintf("%d %d 10", 100-filtered, filtered))
	l.ledgerTiles()
	if n := strings.Count(log.String(), "took rows away"); n != 1 || had != "0" {
		t.Errorf("warned %d times\n%s", n, log.String())
	}
}

// TestLetterTimes: a dead letter of any timestamp that a producer can send is written, and none of them is another.
func TestLetterTimes(t *testing.T) {
	l := newLoader(t, `CREATE TABLE orders (id bigint)`, Config{Sinks: []Sink{orders()}})
	times := []int64{math.MinInt64, math.MinInt64 / 1000, -210_866_803_200_001, -210_866_803_200_000, -62_135_596_800_000, -62_135_596_800_001, -1, 0, 1, 1_700_000_000_000,
		9_223_372_036_854, 9_223_372_036_855, 253_402_300_800_000, 9_224_318_015_999_999, 9_224_318_016_000_000, math.MaxInt64 / 1000, math.MaxInt64}
	for i, ms := range times {
		r := rangeOf(l.pos, `nonsense`)
		held(r)[0].Timestamp = ms
		r.Timestamp = time.UnixMilli(ms)
		if _, err := l.commitRange(r); err != nil {
			t.Errorf("%d: %v", ms, err)
			continue
		}
		in := ms >= -210_866_803_200_000 && ms < 9_224_318_016_000_000
		got := l.one(`SELECT coalesce((extract(epoch FROM record_timestamp) * 1000)::numeric(30)::text, reason) FROM sinker.dead_letters WHERE record_offset = $1`, i)
		if in && got != fmt.Sprint(ms) || !in && !strings.Contains(got, fmt.Sprintf("timestamp is %d ms", ms)) {
			t.Errorf("%d: %s", ms, got)
		}
	}
}
