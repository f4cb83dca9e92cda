package txn

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"sinker/internal/local/pgproxy"
	"sinker/internal/record"
	"sinker/internal/transform"
)

// going is a batch whose first range goes on with further values while it is written. What is taken away is wiped, as
// records that are used again are.
type going struct {
	Batch
	rest  [][]string
	asked int
}

func goingOn(p Position, first []string, rest ...[]string) *going {
	return &going{Batch: Batch{rangeOf(p, first...)}, rest: rest}
}

func (g *going) more(b Batch, _ func(int) bool) bool {
	g.asked++
	if len(g.rest) == 0 {
		return false
	}
	r := &b[0]
	at := Position{TopicPartition: r.TopicPartition, Log: r.Log, Fence: r.Fence, NextOffset: r.To}
	next := rangeOf(at, g.rest[0]...)
	next.From, next.Streamed = r.From, r.Count()
	for _, rec := range held(*r) {
		*rec = record.Record{}
	}
	*r, g.rest = next, g.rest[1:]
	return true
}

// TestMore: a batch that goes on while it is written is one batch in every respect.
func TestMore(t *testing.T) {
	ctx := context.Background()
	const ddl = `CREATE TABLE orders (id bigint CHECK (id < 100))`
	first, second, third := []string{`{"id":1}`, `{"id":2}`}, []string{`{"id":3}`}, []string{`{"id":4}`, `{"id":5}`, `{"id":6}`}

	t.Run("IsOneBatch", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}})
		g := goingOn(l.pos, first, second, third)
		res, err := commitBatch(ctx, l.store, g.Batch, g.more)
		if err != nil {
			t.Fatal(err)
		}
		if res.Written != 6 || res.Consumed != 6 || res.Tables[0].Rows != 6 || g.asked != 3 {
			t.Errorf("%+v, asked %d times for more", res, g.asked)
		}
		l.want(`SELECT string_agg(id::text, ' ' ORDER BY id) FROM orders`, "1 2 3 4 5 6")
		l.want(`SELECT next_offset || ' ' || consumed || ' ' || written FROM sinker.offsets`, "6 6 6")
		l.want(`SELECT count(DISTINCT xmin::text) FROM orders`, "1")
		var all []string
		for _, values := range [][]string{first, second, third} {
			all = append(all, values...)
		}
		sum := sumOf(held(rangeOf(l.pos, all...)))
		l.want(`SELECT from_offset || ' ' || to_offset || ' ' || records || ' ' || bytes || ' ' || checksum FROM sinker.ledger`, fmt.Sprintf("0 6 6 %d %d", sum.Bytes, int64(sum.Sum)))
		l.ledgerTiles()
	})

	t.Run("EndsAtADeadLetter", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}})
		g := goingOn(l.pos, first, []string{`{"id":3}`, `nonsense`}, third)
		if _, err := commitBatch(ctx, l.store, g.Batch, g.more); err != nil {
			t.Fatal(err)
		}
		if g.asked != 1 {
			t.Errorf("asked %d times for more, want once: the letter's record would be gone", g.asked)
		}
		l.want(`SELECT record_offset || ' ' || convert_from(value, 'UTF8') FROM sinker.dead_letters`, "3 nonsense")
		l.want(`SELECT next_offset || ' ' || written || ' ' || dead FROM sinker.offsets`, "4 3 1")
		l.ledgerTiles()
	})

	t.Run("NotWhereRecordsAreNeededAgain", func(t *testing.T) {
		for name, sinks := range map[string][]Sink{
			"TwoTables": {orders(), orders(func(s *Sink) { s.Table = "copies" })},
			"Upsert":    {orders(func(s *Sink) { s.Table = "keyed" }, keyed)},
		} {
			l := newLoader(t, ddl+`; CREATE TABLE copies (id bigint); CREATE TABLE keyed (id bigint PRIMARY KEY)`, Config{Sinks: sinks})
			g := goingOn(l.pos, first, second)
			if res, err := commitBatch(ctx, l.store, g.Batch, g.more); err != nil || res.Written != 2 {
				t.Fatalf("%s: %+v, %v", name, res, err)
			}
			if g.asked != 0 {
				t.Errorf("%s: asked for more", name)
			}
		}
	})

	t.Run("GroupsAreAddedUp", func(t *testing.T) {
		sink := orders(func(s *Sink) {
			s.Rule.Key = []string{"id"}
			s.Rule.Columns = []transform.Column{{Name: "id"}, {Name: "n", Path: "1"}}
			s.Rule.Folds = []transform.Fold{transform.Group, transform.Add}
		})
		l := newLoader(t, `CREATE TABLE orders (id bigint PRIMARY KEY, n bigint)`, Config{Sinks: []Sink{sink}})
		g := goingOn(l.pos, first, first, third)
		if res, err := commitBatch(ctx, l.store, g.Batch, g.more); err != nil || res.Consumed != 7 {
			t.Fatalf("%+v, %v", res, err)
		}
		l.want(`SELECT string_agg(id || ':' || n, ' ' ORDER BY id) FROM orders`, "1:2 2:2 4:1 5:1 6:1")
		l.ledgerTiles()
	})

	t.Run("RefusedByPostgres", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}})
		g := goingOn(l.pos, first, []string{`{"id":500}`}, third)
		if _, err := commitBatch(ctx, l.store, g.Batch, g.more); !isClass(err, Data) {
			t.Fatalf("got %v, want an error of class data", err)
		}
		if _, err := commitBatch(ctx, l.store, g.Batch, g.more); !errors.Is(err, ErrSpent) {
			t.Fatalf("got %v, want %v", err, ErrSpent)
		}
		l.want(`SELECT count(*) FROM orders`, "0")
		l.want(`SELECT next_offset FROM sinker.offsets`, "0")
		again := goingOn(l.pos, []string{`{"id":1}`, `{"id":2}`, `{"id":500}`}, third)
		if res, err := commitBatch(ctx, l.store, again.Batch, again.more); err != nil || res.Dead != 1 || again.asked != 0 {
			t.Errorf("%+v, %v, asked %d times for more; want one dead letter", res, err, again.asked)
		}
	})

	for fate, want := range map[pgproxy.Fate]string{pgproxy.CutBefore: "gone", pgproxy.CutAfter: "either", pgproxy.CutReply: "done"} {
		t.Run(fmt.Sprint("InDoubt ", fate), func(t *testing.T) {
			db := newDatabase(t)
			proxy, url := db.proxied()
			db.exec(ddl)
			s := db.storeWith(Config{URL: url, Owner: "a", Sinks: []Sink{orders()}})
			p := db.take(s, claim(orders0, 0))[0]
			struck := false
			proxy.OnCommit(func(int) pgproxy.Fate {
				if struck {
					return pgproxy.Pass
				}
				struck = true
				return fate
			})
			g := goingOn(p, first, second, third)
			if _, err := commitBatch(ctx, s, g.Batch, g.more); !isClass(err, Retry) {
				t.Fatalf("got %v, want a broken connection", err)
			}
			res, err := commitBatch(ctx, s, g.Batch, g.more)
			// A server that notices the cut before it comes to the COMMIT rolls back.
			if want == "gone" || want == "either" && err != nil {
				if !errors.Is(err, ErrSpent) {
					t.Errorf("got %+v, %v, want %v", res, err, ErrSpent)
				}
				db.want(`SELECT next_offset FROM sinker.offsets`, "0")
				db.want(`SELECT count(*) FROM orders`, "0")
				return
			}
			if err != nil || !res.Resolved || res.Consumed != 6 {
				t.Errorf("got %+v, %v, want it found done, with 6 records", res, err)
			}
			db.want(`SELECT next_offset FROM sinker.offsets`, "6")
			db.ledgerTiles()
		})
	}

	t.Run("OnlyTheTableThatCan", func(t *testing.T) {
		db := newDatabase(t)
		db.exec(ddl + `; CREATE TABLE accounts (id bigint); CREATE TABLE copies (id bigint)`)
		accounts := Sink{Topics: []string{"accounts"}, Schema: "public", Table: "accounts"}
		copies := accounts
		copies.Table = "copies"
		s := db.store("a", orders(), accounts, copies) // accounts, for two tables, come later among the sinks and are written first
		ps := db.take(s, claim(TopicPartition{Topic: "accounts"}, 0), claim(orders0, 0))
		b := Batch{rangeOf(ps[0], first...), rangeOf(ps[1], first...)}
		g := &going{rest: [][]string{second, third}}
		res, err := commitBatch(ctx, s, b, func(b Batch, may func(int) bool) bool {
			if may(0) || !may(1) {
				t.Errorf("accounts may go on: %v, orders: %v; want only orders", may(0), may(1))
			}
			return g.more(b[1:], nil)
		})
		if err != nil || res.Written != 8 || res.Filtered != 0 {
			t.Errorf("%+v, %v", res, err)
		}
		db.want(`SELECT string_agg(topic || ' ' || written, ', ' ORDER BY topic) FROM sinker.offsets`, "accounts 2, orders 6")
		db.ledgerTiles()
	})

	t.Run("RoomForAnotherPartition", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}})
		other := l.take(l.store, claim(TopicPartition{Topic: "orders", Partition: 1}, 0))[0]
		idle := l.take(l.store, claim(TopicPartition{Topic: "orders", Partition: 2}, 0))[0]
		b := Batch{rangeOf(l.pos, first...), rangeOf(other), rangeOf(idle)}
		done := false
		res, err := commitBatch(ctx, l.store, b, func(b Batch, _ func(int) bool) bool {
			if done {
				return false
			}
			done = true
			b[0].Stream()
			b[1] = rangeOf(other, third...)
			return true
		})
		if err != nil || res.Written != 5 {
			t.Fatalf("%+v, %v", res, err)
		}
		l.want(`SELECT string_agg(partition || ':' || next_offset, ' ' ORDER BY partition) FROM sinker.offsets`, "0:2 1:3 2:0")
		l.want(`SELECT string_agg(partition || ':' || records, ' ' ORDER BY partition) FROM sinker.ledger`, "0:2 1:3")
		l.ledgerTiles()
	})
}
