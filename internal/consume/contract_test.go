package consume

import (
	"context"
	"errors"
	"testing"
	"time"

	"sinker/internal/local/localtest"
	"sinker/internal/record"
	"sinker/internal/txn"
	"sinker/migrations"

	"github.com/jackc/pgx/v5"
)

// TestStoreContract holds the memory store of these tests to the behaviour of the real one, so that it cannot lie.
func TestStoreContract(t *testing.T) {
	t.Run("Memory", func(t *testing.T) {
		testStore(t, func(t *testing.T) func(string) Store {
			return newMemory().store
		})
	})
	t.Run("Postgres", func(t *testing.T) {
		testStore(t, func(t *testing.T) func(string) Store {
			url := migrated(t)
			return func(owner string) Store {
				s := txn.New(txn.Config{URL: url, Pipeline: "p", Owner: owner})
				t.Cleanup(s.Close)
				return postgres{s}
			}
		})
	})
}

func migrated(t *testing.T) string {
	t.Helper()
	ctx := context.Background()
	url := localtest.Database(t)
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	files, err := migrations.FS.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := f.Name(); len(name) > 7 && name[len(name)-7:] == ".up.sql" {
			sql, _ := migrations.FS.ReadFile(name)
			if _, err := conn.Exec(ctx, string(sql)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return url
}

// postgres is a txn.Store as a Store, as internal/app makes it.
type postgres struct{ *txn.Store }

func (s postgres) Begin(ctx context.Context, ranges record.Ranges) (Tx, error) {
	tx, err := s.Store.Begin(ctx, ranges)
	if err != nil {
		return nil, err
	}
	return tx, nil
}

// testStore is the contract. open makes the stores of one database.
func testStore(t *testing.T, newDB func(*testing.T) func(owner string) Store) {
	ctx := context.Background()
	log := record.LogID{ClusterID: "c", TopicID: [16]byte{1}}
	place := tp("orders", 0)
	claim := record.Claim{TopicPartition: place, Log: log}
	take := func(t *testing.T, s Store) record.Position {
		t.Helper()
		taken, err := s.Take(ctx, []record.Claim{claim})
		if err != nil || len(taken.Positions) != 1 {
			t.Fatalf("take: %+v, %v", taken, err)
		}
		return taken.Positions[0]
	}
	batch := func(p record.Position, n int64) record.Ranges {
		r := record.Range{TopicPartition: place, Log: p.Log, Fence: p.Fence, From: p.NextOffset}
		var records []*record.Record
		for i := range n {
			records = append(records, &record.Record{TopicPartition: place, Offset: r.From + i, LeaderEpoch: 2, Timestamp: 1000, Value: []byte(`{}`)})
		}
		r.Add(record.NewList(r.From, r.From+n, records...))
		return record.Ranges{r}
	}
	commit := func(s Store, b record.Ranges) (record.Result, error) {
		tx, err := s.Begin(ctx, b)
		if err != nil {
			return record.Result{}, err
		}
		defer tx.Rollback()
		for i := range b {
			if err := give(ctx, tx, i, &b[i]); err != nil {
				return record.Result{}, err
			}
		}
		return tx.Commit(ctx)
	}
	kindOf := func(t *testing.T, err error) record.MissKind {
		t.Helper()
		var m *record.MissError
		if !errors.As(err, &m) || len(m.Misses) != 1 {
			t.Fatalf("want one miss, got %v", err)
		}
		return m.Misses[0].Kind
	}

	t.Run("SeedIsTheFirstPosition", func(t *testing.T) {
		s := newDB(t)("a")
		if known, err := s.Known(ctx, []string{"orders"}); err != nil || known["orders"] {
			t.Errorf("known = %v, %v", known, err)
		}
		for _, seed := range []int64{7, 9} {
			c := claim
			c.Seed = seed
			if err := s.Seed(ctx, []record.Claim{c}); err != nil {
				t.Fatal(err)
			}
		}
		if known, err := s.Known(ctx, []string{"orders"}); err != nil || !known["orders"] {
			t.Errorf("known = %v, %v", known, err)
		}
		if p := take(t, s); p.NextOffset != 7 || !p.First || p.LeaderEpoch != -1 {
			t.Errorf("%+v", p)
		}
	})
	t.Run("CommitMovesThePosition", func(t *testing.T) {
		s := newDB(t)("a")
		p := take(t, s)
		res, err := commit(s, batch(p, 3))
		if err != nil || res.Consumed != 3 || res.Resolved {
			t.Errorf("%+v, %v", res, err)
		}
		if q := take(t, s); q.NextOffset != 3 || q.LeaderEpoch != 2 || q.Fence != p.Fence+1 || q.First || !q.LastTimestamp.Equal(time.Unix(1, 0)) {
			t.Errorf("%+v", q)
		}
	})
	t.Run("TheSameBatchAgainIsResolved", func(t *testing.T) {
		s := newDB(t)("a")
		b := batch(take(t, s), 3)
		if _, err := commit(s, b); err != nil {
			t.Fatal(err)
		}
		if res, err := commit(s, b); err != nil || !res.Resolved {
			t.Errorf("%+v, %v", res, err)
		}
		if p := take(t, s); p.NextOffset != 3 {
			t.Errorf("%+v", p)
		}
	})
	t.Run("Fenced", func(t *testing.T) {
		open := newDB(t)
		a, b := open("a"), open("b")
		p := take(t, a)
		take(t, b)
		if _, err := commit(a, batch(p, 1)); kindOf(t, err) != record.Fenced {
			t.Error(err)
		}
		if touched, err := a.Touched(ctx, []record.Position{p}); err != nil || len(touched) != 1 || touched[0] != place {
			t.Errorf("touched = %v, %v", touched, err)
		}
	})
	t.Run("AnotherLogsRowIsTouchedWhenItChanges", func(t *testing.T) {
		open := newDB(t)
		p := take(t, open("a"))
		p.Foreign = true
		b := open("b") // which does not own the row
		if touched, err := b.Touched(ctx, []record.Position{p}); err != nil || len(touched) != 0 {
			t.Errorf("touched = %v, %v", touched, err)
		}
		take(t, open("c"))
		if touched, err := b.Touched(ctx, []record.Position{p}); err != nil || len(touched) != 1 {
			t.Errorf("touched = %v, %v", touched, err)
		}
	})
	t.Run("WentBackAndAhead", func(t *testing.T) {
		s := newDB(t)("a")
		p := take(t, s)
		later := p
		later.NextOffset = 5
		if _, err := commit(s, batch(later, 1)); kindOf(t, err) != record.WentBack {
			t.Error(err)
		}
		if _, err := commit(s, batch(p, 9)); err != nil {
			t.Fatal(err)
		}
		if _, err := commit(s, batch(p, 2)); kindOf(t, err) != record.Ahead {
			t.Error(err)
		}
	})
	t.Run("OtherLog", func(t *testing.T) {
		s := newDB(t)("a")
		p := take(t, s)
		p.Log.TopicID = [16]byte{2}
		if _, err := commit(s, batch(p, 1)); kindOf(t, err) != record.OtherLog {
			t.Error(err)
		}
		c := claim
		c.Log.TopicID = [16]byte{2}
		if taken, err := s.Take(ctx, []record.Claim{c}); err != nil || len(taken.Misses) != 1 || taken.Misses[0].Kind != record.OtherLog {
			t.Errorf("%+v, %v", taken, err)
		}
	})
	t.Run("Gone", func(t *testing.T) {
		s := newDB(t)("a")
		p := record.Position{TopicPartition: place, Log: log, Fence: 1}
		if _, err := commit(s, batch(p, 1)); kindOf(t, err) != record.Gone {
			t.Error(err)
		}
	})
}
