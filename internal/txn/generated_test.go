package txn

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sinker/internal/local/localtest"
	"sinker/internal/transform"
)

func listed(names ...string) func(*Sink) {
	return func(s *Sink) {
		for _, n := range names {
			s.Rule.Columns = append(s.Rule.Columns, transform.Column{Name: n})
		}
	}
}

func keyOf(names ...string) func(*Sink) { return func(s *Sink) { s.Rule.Key = names } }

// TestIdentityAlways: a column that is GENERATED ALWAYS AS IDENTITY takes what records have where it is listed or the key, as by
// OVERRIDING SYSTEM VALUE, and is left to Postgres otherwise.
func TestIdentityAlways(t *testing.T) {
	const ddl = `CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text, n bigint NOT NULL DEFAULT 0)`
	rows := func(l *loader, want string) {
		l.t.Helper()
		l.want(`SELECT coalesce(string_agg(concat_ws(':', id, note, nullif(n, 0)), ' ' ORDER BY id), '') FROM orders`, want)
	}

	t.Run("ByNameIsLeftAndSaidOnce", func(t *testing.T) {
		var log bytes.Buffer
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		l.mustCommit(`{"id":70,"note":"a"}`, `{"note":"b"}`)
		l.store.drop()
		l.mustCommit(`{"note":"c"}`) // the table is looked at again
		rows(l, "1:a 2:b 3:c")
		if n := strings.Count(log.String(), "column is left to Postgres"); n != 1 || !strings.Contains(log.String(), "list it under columns:") {
			t.Errorf("said %d times, want once: %s", n, &log)
		}
	})
	t.Run("ListedAppend", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders(listed("id", "note"))}})
		l.mustCommit(`{"id":70,"note":"a"}`, `{"note":"b"}`, `{"id":71,"note":"c"}`, `{"id":null,"note":"d"}`)
		rows(l, "1:b 70:a 71:c")
		if got := l.letters(); got != "3 id missing" {
			t.Error(got) // a null is no value for the column, to Postgres either
		}
	})
	for name, choose := range map[string]func(*Sink){"ByName": func(*Sink) {}, "Listed": listed("note", "id")} {
		t.Run("Key"+name, func(t *testing.T) {
			l := newLoader(t, ddl, Config{Sinks: []Sink{orders(keyOf("id"), tombstones, choose)}})
			l.mustCommit(`{"id":70,"note":"new"}`)                        // copied
			l.mustCommit(`{"id":70,"note":"old"}`, `{"id":5,"note":"x"}`) // merged
			l.mustCommit(`{"note":"no key"}`)
			r := rangeOf(l.pos, ``)
			held(r)[0].Value, held(r)[0].Key = nil, []byte(`5`)
			if _, err := l.commitRange(r); err != nil {
				t.Fatal(err)
			}
			rows(l, "70:old")
			if got := l.letters(); got != "3 id missing" {
				t.Error(got)
			}
		})
	}
	t.Run("Group", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders(listed("id", "n"), keyOf("id"), func(s *Sink) {
			s.Rule.Folds = []transform.Fold{transform.Group, transform.Add}
		})}})
		l.mustCommit(`{"id":7,"n":1}`, `{"id":7,"n":2}`)
		l.mustCommit(`{"id":7,"n":4}`, `{"id":8,"n":1}`)
		rows(l, "7:7 8:1")
	})
	t.Run("BesideAKey", func(t *testing.T) {
		const ddl = `CREATE TABLE orders (id bigint PRIMARY KEY, seq bigint GENERATED ALWAYS AS IDENTITY)`
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders(keyed)}})
		l.mustCommit(`{"id":1,"seq":9}`)
		l.want(`SELECT id || ':' || seq FROM orders`, "1:1")
		s := l.storeWith(Config{Owner: "b", Sinks: []Sink{orders(keyed, listed("id", "seq"))}})
		refusedAtStart(t, s, "column seq: it is GENERATED ALWAYS AS IDENTITY, and Postgres does not let an upsert change it")
	})
}

// refusedAtStart checks that a sink is refused at the start, by run and by check.
func refusedAtStart(t *testing.T, s *Store, says string) {
	t.Helper()
	err := s.Prepare(context.Background())
	var e *Error
	if !errors.As(err, &e) || e.Class != Schema || !strings.Contains(err.Error(), says) {
		t.Errorf("%v, want %s", err, says)
	}
	checks, err := s.Check(context.Background())
	if err != nil || len(checks) != 1 || checks[0].Err == nil || !strings.Contains(checks[0].Err.Error(), says) {
		t.Errorf("check: %+v, %v; want %s", checks, err, says)
	}
}

// TestGenerated: what Postgres computes from other columns is never written, and where a sink names it that is an error.
func TestGenerated(t *testing.T) {
	kinds := []string{"STORED", "STORED UNIQUE", "STORED NOT NULL"}
	if localtest.Version(t) >= 180000 {
		kinds = append(kinds, "VIRTUAL", "VIRTUAL NOT NULL", "")
	}
	for _, kind := range kinds {
		t.Run(cmp.Or(kind, "ByDefault"), func(t *testing.T) { testGenerated(t, kind) })
	}
}

func testGenerated(t *testing.T, kind string) {
	ddl := `CREATE TABLE orders (id bigint PRIMARY KEY, twice bigint GENERATED ALWAYS AS (id * 2) ` + kind + `, note text)`
	for name, sink := range map[string]Sink{"Append": orders(), "Upsert": orders(keyed)} {
		t.Run(name, func(t *testing.T) {
			l := newLoader(t, ddl, Config{Sinks: []Sink{sink}})
			l.mustCommit(`{"id":1,"twice":5,"note":"a"}`, `{"id":2}`)
			l.mustCommit(`{"id":3,"twice":null,"note":"b"}`, `{"id":4,"twice":7}`)
			l.want(`SELECT string_agg(id || ':' || twice, ' ' ORDER BY id) FROM orders`, "1:2 2:4 3:6 4:8")
			l.want(`SELECT count(*) FROM sinker.dead_letters`, "0")
		})
	}
	for name, test := range map[string]struct {
		sink Sink
		says string
	}{
		"Listed": {orders(listed("id", "twice")), "column twice: Postgres generates it from other columns and takes no value; take it out of columns:"},
		"Key":    {orders(keyOf("twice")), `key column twice of table orders is generated from other columns`},
	} {
		t.Run(name, func(t *testing.T) {
			db := newDatabase(t)
			db.exec(ddl)
			refusedAtStart(t, db.store("a", test.sink), test.says)
		})
	}
}

// TestShapesWithinABatch is about rows that lack different columns and are in one batch.
func TestShapesWithinABatch(t *testing.T) {
	const ddl = `CREATE TABLE orders (id bigserial, u bigint UNIQUE, note text DEFAULT clock_timestamp()::text)`

	t.Run("TheFirstOfTwoThatCannotBothBeThereStays", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}})
		l.mustCommit(`{"u":1,"id":100}`, `{"u":2,"note":"b"}`, `{"u":2,"id":101}`, `{"u":3,"note":"c"}`, `{"u":1,"note":"d"}`, `{"u":3}`)
		if got := l.letters(); got != "2 - 23505, 4 - 23505, 5 - 23505" {
			t.Error(got)
		}
		l.want(`SELECT string_agg(u::text, ' ' ORDER BY u) FROM orders`, "1 2 3")
	})

	t.Run("ABadRowOfAnyShapeIsFoundByItsLine", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE orders (id bigserial, n int CHECK (n > 0), note text DEFAULT clock_timestamp()::text)`, Config{Sinks: []Sink{orders()}})
		const n = 3000
		values := make([]string, n)
		for i := range values {
			values[i] = fmt.Sprintf(`{"n":%d%s}`, i+1, []string{`,"id":7`, `,"note":"x"`, ``}[i%3])
		}
		bad := []int{n - 1, n - 2, n - 3, 0, 1, 2}
		for _, i := range bad {
			values[i] = strings.Replace(values[i], `"n":`, `"n":-`, 1)
		}
		if res := l.mustCommit(values...); int(res.Dead) != len(bad) || int(res.Written) != n-len(bad) {
			t.Errorf("%+v", res)
		}
		if tries := l.store.buf.tries; tries > 4*len(bad) {
			t.Errorf("%d tries for %d bad rows", tries, len(bad))
		}
	})

	t.Run("TheMostCommonShapeIsStreamed", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}, large: true})
		if l.mustCommit(`{"u":1}`, `{"id":100,"u":2}`); l.store.targets[0].copySQL(l.store.targets[0].shaped.main) != copyInto(`"public"."orders"`, l.columns("u")) {
			t.Errorf("main is %d after the first row's", l.store.targets[0].shaped.main)
		}
		l.mustCommit(`{"u":3}`, `{"id":101,"u":4}`, `{"id":102,"u":5}`)
		if main := l.store.targets[0].shaped.main; l.store.targets[0].copySQL(main) != copyInto(`"public"."orders"`, l.columns("id", "u")) {
			t.Errorf("main is %d where most rows have an id", main)
		}
		l.want(`SELECT count(*) FILTER (WHERE id < 100) || ' ' || count(*) FROM orders`, "2 5")
	})

	t.Run("WhatIsSetAsideIsBounded", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}})
		var rest [][]string
		for i := range 20 {
			rest = append(rest, []string{fmt.Sprintf(`{"u":%d,"note":"%s"}`, i, strings.Repeat("x", 2<<20))})
		}
		g := goingOn(l.pos, []string{`{"u":-1}`}, rest...)
		if _, err := commitBatch(context.Background(), l.store, g.Batch, g.more); err != nil {
			t.Fatal(err)
		}
		if left := len(g.rest); left < 10 || left > 12 {
			t.Errorf("%d of 20 fetches of 2 MiB are left, want the batch to end after 16 MiB", left)
		}
		if a := l.store.buf.aside; a.size != 0 || cap(a.rows[1])+cap(a.rows[0]) > mostAside {
			t.Errorf("%d bytes are kept", cap(a.rows[1]))
		}
		l.ledgerTiles()
	})

	t.Run("ARecordThatFillsNothing", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders(func(s *Sink) {
			s.Rule.Columns = []transform.Column{{Name: "id", Path: "$headers.id"}, {Name: "note", Path: "$headers.note"}}
		})}})
		r := rangeOf(l.pos, `{"x":1}`)
		if res, err := l.commitRange(r); err != nil || res.Dead != 1 {
			t.Errorf("%+v, %v", res, err)
		}
	})

	t.Run("VeryManyShapes", func(t *testing.T) { veryManyShapes(t, orders()) })
	t.Run("VeryManyShapesUpsert", func(t *testing.T) { veryManyShapes(t, orders(keyOf("id"))) })
}

// veryManyShapes loads rows whose fields are there at random, in another order with each batch, and finds each value
// in its own column: an encoder that begins again gives the numbers of shapes to other shapes.
func veryManyShapes(t *testing.T, sink Sink) {
	const columns, rows, batches = 11, 1 << 10, 3
	ddl, wrong := []string{"id int PRIMARY KEY"}, []string{}
	for c := range columns {
		ddl = append(ddl, fmt.Sprintf("c%d int DEFAULT random()", c)) // 0 or 1
		given := fmt.Sprintf("(((id << 1) | ((id >> 10) & 1)) >> %d) & 1 = 1", c)
		wrong = append(wrong, fmt.Sprintf("CASE WHEN %s THEN c%[2]d <> id * 16 + %[2]d + 2 ELSE c%[2]d > 1 END", given, c))
	}
	l := newLoader(t, "CREATE TABLE orders ("+strings.Join(ddl, ", ")+")", Config{Sinks: []Sink{sink}})
	if sink.Rule.Key != nil { // rows that are there are merged, not copied
		l.exec(fmt.Sprintf("INSERT INTO orders (id) SELECT generate_series(0, %d)", batches*rows-1))
	}
	for batch := range batches {
		var values []string
		for n := range rows {
			id := batch*rows + (n*37+batch*101)%rows
			value := fmt.Sprintf(`{"id":%d`, id)
			for c := range columns {
				if (id<<1|id>>10&1)>>c&1 > 0 {
					value += fmt.Sprintf(`,"c%d":%d`, c, id*16+c+2)
				}
			}
			values = append(values, value+"}")
		}
		l.mustCommit(values...)
		if n := l.store.targets[0].encoder.Shapes(); n > mostShapes+rows {
			t.Errorf("%d shapes are kept after batch %d", n, batch)
		}
	}
	l.want("SELECT count(*) FROM orders WHERE "+strings.Join(wrong, " OR "), "0")
	l.want("SELECT count(*) FROM orders", fmt.Sprint(batches*rows))
}

// columns returns columns of orders.
func (l *loader) columns(names ...string) (columns []transform.TableColumn) {
	for _, n := range names {
		columns = append(columns, transform.TableColumn{Name: n})
	}
	return columns
}
