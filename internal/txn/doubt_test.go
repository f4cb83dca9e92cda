package txn

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"sinker/internal/local/pgproxy"
)

// proxied returns the database's URL through a proxy.
func (db *database) proxied() (*pgproxy.Proxy, string) {
	db.t.Helper()
	p, through, err := pgproxy.Before(db.url)
	if err != nil {
		db.t.Fatal(err)
	}
	db.t.Cleanup(p.Close)
	return p, through
}

// commitUntilDone does what the loop does: the same batch again until it is committed or refused.
func commitUntilDone(t *testing.T, s *Store, b Batch) (res Result, attempts int) {
	t.Helper()
	for attempts = 1; attempts < 100; attempts++ {
		res, err := commitBatch(context.Background(), s, b, nil)
		if err == nil {
			return res, attempts
		}
		var e *Error
		if !errors.As(err, &e) || e.Class != Retry {
			t.Fatal(err)
		}
	}
	t.Fatal("never committed")
	return res, attempts
}

// TestCommitInDoubt breaks the connection around COMMIT, dozens of times at each place, and tries again as the loop
// does: every record must be counted once, and be in both of its tables once, or a dead letter once.
func TestCommitInDoubt(t *testing.T) {
	for _, c := range []struct {
		name     string
		fate     pgproxy.Fate
		resolved bool // the second attempt must find the commit done
	}{
		{"CutBeforeTheServerHasIt", pgproxy.CutBefore, false},
		{"CutAfterTheServerHasIt", pgproxy.CutAfter, true},
		{"CutAfterTheAnswer", pgproxy.CutReply, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			const rounds = 100
			db := newDatabase(t)
			proxy, url := db.proxied()
			db.exec(`CREATE TABLE orders (id bigint); CREATE TABLE copies (id bigint)`) // no unique key: it would hide duplicates
			s := db.storeWith(Config{URL: url, Owner: "a", Sinks: []Sink{orders(), orders(func(s *Sink) { s.Table = "copies" })}})
			p := db.take(s, claim(orders0, 0))[0]
			proxy.OnCommit(func(n int) pgproxy.Fate {
				if n%2 == 0 {
					return c.fate
				}
				return pgproxy.Pass
			})
			resolved := 0
			for range rounds {
				r := rangeOf(p, `{"id":1}`, `nonsense`, `{"id":2}`)
				res, _ := commitUntilDone(t, s, Batch{r})
				if res.Resolved {
					resolved++
				}
				if res.Consumed != 3 {
					t.Errorf("result %+v, want 3 records", res)
				}
				p.NextOffset = r.To
			}
			db.want(`SELECT next_offset || ' ' || consumed FROM sinker.offsets`, fmt.Sprintf("%d %d", 3*rounds, 3*rounds))
			db.want(`SELECT (SELECT count(*) FROM orders) || ' ' || (SELECT count(*) FROM copies)`, fmt.Sprintf("%d %d", 2*rounds, 2*rounds))
			db.want(`SELECT count(*) || ' ' || count(DISTINCT (table_name, record_offset)) FROM sinker.dead_letters`, fmt.Sprintf("%d %d", 2*rounds, 2*rounds))
			db.ledgerTiles()
			if cuts := proxy.Fates()[c.fate]; cuts < rounds/2 {
				t.Errorf("only %d cuts", cuts)
			}
			if c.resolved != (resolved > 0) {
				t.Errorf("%d of %d commits were found done, want some: %v", resolved, rounds, c.resolved)
			}
		})
	}
}
