package txn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sinker/internal/record"
	"sinker/internal/transform"
)

// txModes are a sink of each mode, and the table for it; the rows of id 1, 2 and 3 are "1 2 3" in all of them.
var txModes = map[string]struct {
	ddl    string
	change func(*Sink)
}{
	"Append": {`CREATE TABLE orders (id bigint CHECK (id < 100))`, func(*Sink) {}},
	"Upsert": {`CREATE TABLE orders (id bigint PRIMARY KEY CHECK (id < 100))`, keyed},
	"Aggregate": {`CREATE TABLE orders (id bigint PRIMARY KEY CHECK (id < 100), n bigint)`, func(s *Sink) {
		s.Rule.Key = []string{"id"}
		s.Rule.Columns = []transform.Column{{Name: "id"}, {Name: "n", Path: "1"}}
		s.Rule.Folds = []transform.Fold{transform.Group, transform.Add}
	}},
}

const idsOfOrders = `SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM public.orders`

// TestBeginWithoutRanges: what is written without ranges is seen by the transaction and moves no position, and the offset
// rows are not locked.
func TestBeginWithoutRanges(t *testing.T) {
	ctx := context.Background()
	for name, mode := range txModes {
		setup := func(t *testing.T) (*loader, *Tx) {
			l := newLoader(t, mode.ddl, Config{Sinks: []Sink{orders(mode.change)}})
			tx, err := l.store.Begin(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(tx.Rollback)
			for _, values := range [][]string{{`{"id":1}`, `{"id":500}`}, {`{"id":2}`, `nonsense`}} { // one part after the other
				if err := tx.WriteOf(ctx, orders0, batchOf(rangeOf(l.pos, values...))); err != nil {
					t.Fatal(err)
				}
			}
			other := TopicPartition{Topic: "orders", Partition: 7} // which the store has not taken
			if err := tx.WriteOf(ctx, other, batchOf(rangeOf(Position{TopicPartition: other}, `{"id":3}`))); err != nil {
				t.Fatal(err)
			}
			if err := tx.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			return l, tx
		}
		seen := func(t *testing.T, tx *Tx, sql, want string) {
			t.Helper()
			var got string
			if err := tx.Conn().QueryRow(ctx, sql).Scan(&got); err != nil || got != want {
				t.Errorf("%s = %s, %v; want %s", sql, got, err, want)
			}
		}
		t.Run(name+"/Preview", func(t *testing.T) {
			l, tx := setup(t)
			seen(t, tx, idsOfOrders, "1 2 3")
			seen(t, tx, `SELECT string_agg(convert_from(value, 'UTF8'), ' ' ORDER BY value) FROM sinker.dead_letters`, `nonsense {"id":500}`)
			l.want(idsOfOrders, "")
			l.take(l.database.store("b", orders(mode.change)), claim(orders0, 0)) // waits for no lock
			tx.Rollback()
			l.want(idsOfOrders, "")
			l.want(`SELECT count(*) FROM sinker.dead_letters`, "0")
			l.want(`SELECT next_offset || ' ' || consumed FROM sinker.offsets`, "0 0")
		})
		t.Run(name+"/Retry", func(t *testing.T) {
			l, tx := setup(t)
			if _, err := tx.Conn().Exec(ctx, `DELETE FROM sinker.dead_letters WHERE value = 'nonsense'`); err != nil {
				t.Fatal(err)
			}
			res, err := tx.Commit(ctx)
			if err != nil || res.Written != 3 || res.Dead != 2 {
				t.Errorf("%+v, %v; want 3 written and 2 dead", res, err)
			}
			l.want(idsOfOrders, "1 2 3")
			l.want(`SELECT string_agg(convert_from(value, 'UTF8'), ' ') FROM sinker.dead_letters`, `{"id":500}`)
			l.want(`SELECT next_offset || ' ' || consumed FROM sinker.offsets`, "0 0")
			l.want(`SELECT count(*) FROM sinker.ledger`, "0")
			l.mustCommit(`{"id":1}`) // the store goes on
			l.ledgerTiles()
		})
	}

	t.Run("NothingMoreAfterFlush", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE orders (id bigint)`, Config{Sinks: []Sink{orders()}})
		tx, err := l.store.Begin(ctx, Batch{rangeOf(l.pos, `{"id":1}`)})
		if err != nil {
			t.Fatal(err)
		}
		r := rangeOf(l.pos, `{"id":1}`)
		err = errors.Join(tx.Write(ctx, 0, batchOf(r)), tx.Flush(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if tx.Write(ctx, 0, batchOf(r)) == nil || tx.WriteOf(ctx, orders0, batchOf(r)) == nil {
			t.Error("records were taken that nobody would write")
		}
		if _, err := tx.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		l.want(`SELECT next_offset || ' ' || consumed FROM sinker.offsets`, "1 1")
		l.want(idsOfOrders, "1")
	})

	// The caller has a part of its own in the transaction: without it the rest must not be committed.
	t.Run("NotTwiceAfterFlush", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE orders (id bigint UNIQUE DEFERRABLE INITIALLY DEFERRED)`, Config{Sinks: []Sink{orders()}})
		tx, err := l.store.Begin(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := rangeOf(l.pos, `{"id":1}`, `{"id":1}`)
		err = errors.Join(tx.WriteOf(ctx, orders0, batchOf(r)), tx.Flush(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Commit(ctx); !isClass(err, Data) {
			t.Errorf("got %v, want an error of class data", err)
		}
		l.want(idsOfOrders, "")
		l.want(`SELECT count(*) FROM sinker.dead_letters`, "0")
	})
}

// TestTxInParts: however a batch is cut into pieces, it is one; also where it is made a second time, record by record.
func TestTxInParts(t *testing.T) {
	ctx := context.Background()
	values := []string{`{"id":1}`, `{"id":500}`, `{"id":2}`, `{"id":3}`, `nonsense`}
	for name, mode := range txModes {
		for size := 1; size <= len(values); size++ {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				l := newLoader(t, mode.ddl, Config{Sinks: []Sink{orders(mode.change)}})
				all := rangeOf(l.pos, values...)
				tx, err := l.store.Begin(ctx, Batch{all})
				if err != nil {
					t.Fatal(err)
				}
				for from := 0; from < len(values); from += size {
					records := held(all)[from:min(from+size, len(values))]
					piece := record.NewList(records[0].Offset, records[len(records)-1].Offset+1, records...)
					if err := tx.Write(ctx, 0, piece); err != nil {
						t.Fatal(err)
					}
				}
				if res, err := tx.Commit(ctx); err != nil || res.Written != 3 || res.Dead != 2 {
					t.Errorf("%+v, %v; want 3 written and 2 dead", res, err)
				}
				l.want(idsOfOrders, "1 2 3")
				l.want(`SELECT string_agg(record_offset::text, ' ' ORDER BY record_offset) FROM sinker.dead_letters`, "1 4")
				l.want(`SELECT next_offset || ' ' || consumed || ' ' || leader_epoch FROM sinker.offsets`, "5 5 3")
				sum := sumOf(held(all))
				l.want(`SELECT checksum FROM sinker.ledger`, fmt.Sprint(int64(sum.Sum)))
				l.ledgerTiles()
			})
		}
	}
}

// TestRollback: a transaction that is given up leaves nothing behind, and the store goes on, wherever it was.
func TestRollback(t *testing.T) {
	ctx := context.Background()
	long := make([]string, 2000) // more than one message of a COPY
	for i := range long {
		long[i] = fmt.Sprintf(`{"id":%d,"note":"%s"}`, i%50, strings.Repeat("x", 100))
	}
	for name, mode := range txModes {
		for step, upTo := range []string{"Begun", "Given", "WentOn", "GivenMore", "Flushed"} {
			t.Run(name+"/"+upTo, func(t *testing.T) {
				l := newLoader(t, strings.Replace(mode.ddl, ")", "), note text", 1), Config{Sinks: []Sink{orders(mode.change)}})
				r := rangeOf(l.pos, long...)
				tx, err := l.store.Begin(ctx, Batch{r})
				if err != nil {
					t.Fatal(err)
				}
				var may func(int) bool
				for i, do := range []func() error{
					func() error { return tx.Write(ctx, 0, batchOf(r)) },
					func() error { may = tx.GoOn(ctx); return nil },
					func() error {
						if may == nil {
							return nil
						}
						return tx.Write(ctx, 0, batchOf(r))
					},
					func() error { return tx.Flush(ctx) },
				} {
					if i < step {
						if err := do(); err != nil {
							t.Fatal(err)
						}
					}
				}
				tx.Rollback()
				tx.Rollback()
				l.want(`SELECT count(*) FROM public.orders`, "0")
				l.want(`SELECT next_offset FROM sinker.offsets`, "0")
				l.mustCommit(`{"id":1}`)
				tx.Rollback() // of a transaction that is over: not of a later one
				l.want(idsOfOrders, "1")
				l.ledgerTiles()
			})
		}
	}
}
