package txn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

const (
	notes = `CREATE TABLE orders (id bigint PRIMARY KEY, note text)`
	// staged says whether any session has gone the way of a merge.
	staged = `SELECT count(*) FROM pg_class WHERE relname LIKE 'sinker_rows%'`
)

func note(id int, text string) string { return fmt.Sprintf(`{"id":%d,"note":"%s"}`, id, text) }

// TestCopyNew is about upserts whose keys look new.
func TestCopyNew(t *testing.T) {
	t.Run("NewKeysAreCopied", func(t *testing.T) {
		l := newLoader(t, notes, Config{Sinks: []Sink{orders(keyed)}, large: true})
		res := l.mustCommit(note(1, "a"), note(2, "b"), note(1, "c"))
		if res.Tables[0].Rows != 2 || res.Written != 3 {
			t.Errorf("%+v", res)
		}
		l.mustCommit(note(3, "d"))
		l.want(`SELECT string_agg(id || note, ' ' ORDER BY id) FROM orders`, "1c 2b 3d")
		l.want(staged, "0")
		l.mustCommit(note(3, "e"))
		l.want(`SELECT string_agg(id || note, ' ' ORDER BY id) FROM orders`, "1c 2b 3e")
		l.want(staged, "1")
	})

	t.Run("AnOldKeyThatIsNotLookedAt", func(t *testing.T) {
		l := newLoader(t, notes+`; INSERT INTO orders VALUES (1, 'old')`, Config{Sinks: []Sink{orders(keyed)}, large: true})
		var values []string
		for i := range 5000 {
			values = append(values, note(i, "new"))
		}
		res := l.mustCommit(values...)
		if res.Tables[0].Rows != 5000 || res.Dead != 0 {
			t.Errorf("%+v", res)
		}
		l.want(`SELECT count(*) || ' ' || count(*) FILTER (WHERE note = 'new') FROM orders`, "5000 5000")
		if got := l.store.targets[0].mode.(*upsert).copyNew.skip; got != afterFail {
			t.Errorf("%d batches without a look, want %d: was the COPY tried?", got, afterFail)
		}
	})

	t.Run("WhatOnlyPostgresRefuses", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE orders (id bigint PRIMARY KEY, note text UNIQUE)`, Config{Sinks: []Sink{orders(keyed)}, large: true})
		res := l.mustCommit(note(1, "a"), note(2, "b"), note(3, "a"))
		if res.Dead != 1 || res.Tables[0].Rows != 2 {
			t.Errorf("%+v", res)
		}
		l.want(`SELECT string_agg(id || note, ' ' ORDER BY id) FROM orders`, "1a 2b")
		l.ledgerTiles()
	})

	t.Run("WhereCOPYCanNot", func(t *testing.T) { // COPY FROM does not know row security
		l := newLoader(t, notes+`; ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON orders USING (true) WITH CHECK (true);
			CREATE ROLE copynew_writer LOGIN; GRANT ALL ON orders TO copynew_writer; GRANT USAGE ON SCHEMA sinker TO copynew_writer; GRANT ALL ON ALL TABLES IN SCHEMA sinker TO copynew_writer; GRANT ALL ON ALL SEQUENCES IN SCHEMA sinker TO copynew_writer`, Config{Sinks: []Sink{orders(keyed)}, large: true})
		t.Cleanup(func() { l.exec(`DROP OWNED BY copynew_writer; DROP ROLE copynew_writer`) })
		l.store.Close()
		l.store = l.storeWith(Config{Owner: "a", Sinks: []Sink{orders(keyed)}, large: true, URL: withUser(t, l.url, "copynew_writer")})
		l.pos = l.take(l.store, claim(orders0, 0))[0]
		l.mustCommit(note(1, "a"), note(2, "b"))
		l.want(`SELECT string_agg(id || note, ' ' ORDER BY id) FROM orders`, "1a 2b")
		l.want(staged, "1")
	})

	t.Run("KeysOfSeveralTypes", func(t *testing.T) {
		l := newLoader(t, `CREATE DOMAIN d AS varchar(5); CREATE TYPE mood AS ENUM ('ok', 'bad');
			CREATE TABLE orders (id numeric(9,2), note char(4), a d, m mood, at timestamptz, PRIMARY KEY (m, id, note, a, at))`, Config{Sinks: []Sink{orders(func(s *Sink) { s.Rule.Key = []string{"m", "id", "note", "a", "at"} })}, large: true})
		row := func(id string) string {
			return `{"id":` + id + `,"note":"x","a":"y","m":"bad","at":"2026-11-23T12:00:00Z"}`
		}
		l.mustCommit(row("1"), row("2.50"))
		l.want(staged, "0")
		l.mustCommit(row("2.5"), row("3"))
		l.want(staged, "1")
		l.want(`SELECT string_agg(id || note || a || m, ' ' ORDER BY id) FROM orders`, "1.00xybad 2.50xybad 3.00xybad")
	})
}

// TestUpsertAgainstAModel commits random batches of new keys, old keys, both, and deletions, and holds the table against a
// map in which the last record of a key wins.
func TestUpsertAgainstAModel(t *testing.T) {
	l := newLoader(t, notes, Config{Sinks: []Sink{orders(keyed, tombstones)}})
	rng := rand.New(rand.NewPCG(3, 4))
	model, next := map[int]string{}, 0
	for batch := range 60 {
		old := rng.IntN(3) // none, some, all
		r := rangeOf(l.pos, slices.Repeat([]string{""}, 1+rng.IntN(1500))...)
		deletes := rng.IntN(3) == 0
		for i, rec := range held(r) {
			id := next
			if next > 0 && (old == 2 || old == 1 && rng.IntN(10) == 0) {
				id = rng.IntN(next)
			} else if rng.IntN(4) > 0 {
				next++
			}
			if deletes && rng.IntN(5) == 0 {
				rec.Key, rec.Value = fmt.Append(nil, id), nil
				delete(model, id)
				continue
			}
			text := fmt.Sprintf("%d.%d", batch, i)
			rec.Value = []byte(note(id, text))
			model[id] = text
		}
		if _, err := l.commitRange(r); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := l.conn.Query(context.Background(), `SELECT id, note FROM orders`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var id int
		var text string
		if err := rows.Scan(&id, &text); err != nil {
			t.Fatal(err)
		}
		if model[id] != text {
			t.Errorf("row %d is %q, want %q", id, text, model[id])
		}
		delete(model, id)
	}
	if rows.Err() != nil || len(model) > 0 {
		t.Errorf("%d rows are missing, %v", len(model), rows.Err())
	}
	l.want(`SELECT dead FROM sinker.offsets`, "0")
	l.ledgerTiles()
}

// TestUpsertTwoWorkersOneKey: a key that two workers meet at the same time, as new to both, is there once, and each
// worker's later record wins over its earlier one.
func TestUpsertTwoWorkersOneKey(t *testing.T) {
	db := newDatabase(t)
	db.exec(notes)
	const batches, size = 40, 200
	var wg sync.WaitGroup
	for worker := range 2 {
		s := db.store(fmt.Sprint("w", worker), orders(keyed))
		pos := db.take(s, claim(TopicPartition{Topic: "orders", Partition: int32(worker)}, 0))[0]
		if err := s.Prepare(context.Background()); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for n := range batches {
				var values []string
				for i := range size { // every batch has keys that the other worker's batch of the same turn has
					values = append(values, note(n*size/2+i, fmt.Sprintf("w%d %03d", worker, n)))
				}
				r := rangeOf(pos, values...)
				for {
					s.targetsHope()
					_, err := commitBatch(context.Background(), s, Batch{r}, nil)
					if err == nil {
						break
					}
					var e *Error
					if !errors.As(err, &e) || e.Class != Retry {
						t.Error(err)
						return
					}
				}
				pos.NextOffset = r.To
			}
		})
	}
	wg.Wait()
	db.want(`SELECT count(*) FROM orders`, fmt.Sprint(batches*size/2+size/2))
	db.want(`SELECT sum(dead)::int FROM sinker.offsets`, "0")
	// A key of two batches: both workers' second one came after their first.
	db.want(fmt.Sprintf(`SELECT count(*) FROM orders WHERE split_part(note, ' ', 2)::int <> least(id / %d, %d)`, size/2, batches-1), "0")
}

// targetsHope makes the next batch look again, however the last ones went.
func (s *Store) targetsHope() {
	for _, t := range s.targets {
		if u, ok := t.mode.(*upsert); ok && u.copyNew != nil {
			u.copyNew.skip = 0
		}
	}
}
