package txn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"sinker/internal/local/await"
	"sinker/internal/record"

	"github.com/jackc/pgx/v5"
)

func TestTake(t *testing.T) {
	ctx := context.Background()

	t.Run("SeedsOnceAndRaisesTheFence", func(t *testing.T) {
		db := newDatabase(t)
		a, b := db.store("a"), db.store("b")
		p := db.take(a, claim(orders0, 7))[0]
		if p.NextOffset != 7 || p.Fence != 1 || !p.First || p.LeaderEpoch != -1 {
			t.Errorf("first take: %+v", p)
		}
		p = db.take(b, claim(orders0, 99))[0]
		if p.NextOffset != 7 || p.Fence != 2 || p.First {
			t.Errorf("second take: %+v", p)
		}
		db.want(`SELECT owner FROM sinker.offsets`, "b")
	})

	t.Run("OtherLogIsNotTaken", func(t *testing.T) {
		db := newDatabase(t)
		s := db.store("a")
		db.take(s, claim(orders0, 0))
		for name, log := range map[string]LogID{"topic id": {ClusterID: "c1", TopicID: [16]byte{2}}, "cluster id": {ClusterID: "c2", TopicID: [16]byte{1}}} {
			taken, err := s.Take(ctx, []Claim{{TopicPartition: orders0, Log: log}})
			if err != nil {
				t.Fatal(err)
			}
			if len(taken.Positions) != 0 || len(taken.Misses) != 1 || taken.Misses[0].Kind != OtherLog {
				t.Errorf("other %s: %+v", name, taken)
			}
		}
		db.want(`SELECT fence FROM sinker.offsets`, "1")
	})

	t.Run("UnknownIdentityIsFilledIn", func(t *testing.T) {
		db := newDatabase(t)
		s := db.store("a")
		if _, err := s.Take(ctx, []Claim{{TopicPartition: orders0}}); err != nil {
			t.Fatal(err)
		}
		db.take(s, claim(orders0, 0))
		db.want(`SELECT cluster_id FROM sinker.offsets`, "c1")
	})

	// Postgres sorts text by the database's locale, Go by bytes: no meaning may hang on the order of rows.
	t.Run("TopicsThatALocaleSortsOtherwise", func(t *testing.T) {
		db := newDatabase(t)
		if db.one(`SELECT 'a' < 'B'`) != "true" {
			t.Skip("this Postgres sorts text by bytes: it is older than 15, or has no ICU")
		}
		db.exec(`CREATE TABLE t (v int)`)
		s := db.store("a", Sink{Topics: []string{"B", "a", "a-c", "ab"}, Schema: "public", Table: "t"})
		var b Batch
		var claims []Claim
		for i, topic := range []string{"B", "a", "ab", "a-c"} {
			for p := range int32(2) {
				claims = append(claims, claim(TopicPartition{Topic: topic, Partition: p}, int64(10*i)))
			}
		}
		for _, p := range db.take(s, claims...) {
			b = append(b, rangeOf(p, `{"v":1}`))
		}
		b.Sort()
		if _, err := commitBatch(ctx, s, b, nil); err != nil {
			t.Fatal(err)
		}
		db.want(`SELECT count(*) FROM sinker.offsets WHERE next_offset = start_offset + 1`, "8")
		db.want(`SELECT string_agg(DISTINCT topic || start_offset, ' ' ORDER BY topic || start_offset) FROM sinker.offsets`, "a-c30 a10 ab20 B0")
		db.want(`SELECT count(*) FROM t`, "8")
	})

	t.Run("KnownTopics", func(t *testing.T) {
		db := newDatabase(t)
		s := db.store("a")
		if err := s.Seed(ctx, []Claim{claim(orders0, 5)}); err != nil {
			t.Fatal(err)
		}
		known, err := s.Known(ctx, []string{"orders", "payments"})
		if err != nil || !known["orders"] || known["payments"] {
			t.Errorf("known = %v, %v", known, err)
		}
	})

	t.Run("WaitsForATransactionInDoubt", func(t *testing.T) {
		db := newDatabase(t)
		a, b := db.store("a"), db.store("b")
		p := db.take(a, claim(orders0, 0))[0]
		tx, err := db.conn.Begin(ctx) // plays a's transaction, whose COMMIT is still under way
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(ctx, `UPDATE sinker.offsets SET next_offset = 10 WHERE fence = $1`, p.Fence); err != nil {
			t.Fatal(err)
		}
		got := make(chan Position, 1)
		go func() {
			taken, err := b.Take(ctx, []Claim{claim(orders0, 0)})
			if err != nil {
				t.Error(err)
			}
			got <- taken.Positions[0]
		}()
		db.waitForLock()
		if err := tx.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if p := <-got; p.NextOffset != 10 {
			t.Errorf("took position %d while a transaction to 10 was being committed", p.NextOffset)
		}
	})
}

// A former owner that commits between the look at the position and the raise of the fence would leave the new one with a
// position that is not true.
func TestTakeHoldsTheRow(t *testing.T) {
	ctx := context.Background()
	db := newDatabase(t)
	s := db.store("b")
	db.take(db.store("a"), claim(orders0, 0))
	// The raise waits here, before it touches a row.
	db.exec(`CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF current_setting('application_name') LIKE 'sinker%' THEN PERFORM pg_advisory_xact_lock(1); END IF; RETURN NULL; END $$;
		CREATE TRIGGER pause BEFORE UPDATE ON sinker.offsets EXECUTE FUNCTION pause();
		SELECT pg_advisory_lock(1)`)
	got := make(chan Position, 1)
	go func() {
		taken, err := s.Take(ctx, []Claim{claim(orders0, 0)})
		if err != nil || len(taken.Positions) != 1 {
			t.Errorf("take: %+v, %v", taken, err)
			taken.Positions = make([]Position, 1)
		}
		got <- taken.Positions[0]
	}()
	db.waitForLock()
	db.exec(`SET lock_timeout = '100ms'`)
	if _, err := db.conn.Exec(ctx, `UPDATE sinker.offsets SET next_offset = 10`); err == nil {
		t.Error("the row was moved while it was being taken")
	}
	db.exec(`SELECT pg_advisory_unlock(1)`)
	if p := <-got; fmt.Sprint(p.NextOffset) != db.one(`SELECT next_offset FROM sinker.offsets`) {
		t.Errorf("took position %d, but the row says %s", p.NextOffset, db.one(`SELECT next_offset FROM sinker.offsets`))
	}
}

// waitForLock waits until some backend waits for a lock.
func (db *database) waitForLock() {
	db.t.Helper()
	other, err := pgx.Connect(context.Background(), db.url)
	if err != nil {
		db.t.Fatal(err)
	}
	defer other.Close(context.Background())
	await.Until(db.t, "a backend to wait for a lock", func() bool {
		var n int
		err := other.QueryRow(context.Background(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`).Scan(&n)
		return err == nil && n > 0
	})
}

// missOf returns the kind of the one miss in an error.
func missOf(t *testing.T, err error) Miss {
	t.Helper()
	var m *MissError
	if !errors.As(err, &m) || len(m.Misses) != 1 {
		t.Fatalf("want one miss, got %v", err)
	}
	return m.Misses[0]
}

func TestCompare(t *testing.T) {
	ctx := context.Background()
	// set up a store that owns orders/0 at position 10, with a range of two records to 12.
	setup := func(t *testing.T) (*database, *Store, Range) {
		db := newDatabase(t)
		s := db.store("a")
		p := db.take(s, claim(orders0, 10))[0]
		return db, s, rangeOf(p, `{}`, `{}`)
	}

	t.Run("Matches", func(t *testing.T) {
		db, s, r := setup(t)
		res, err := commitBatch(ctx, s, Batch{r}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.Consumed != 2 || res.Filtered != 2 {
			t.Errorf("result %+v, want two records that no sink wants", res)
		}
		db.want(`SELECT next_offset FROM sinker.offsets`, "12")
		db.want(`SELECT consumed || ' ' || filtered || ' ' || leader_epoch FROM sinker.offsets`, "2 2 3")
	})

	t.Run("Already", func(t *testing.T) {
		db, s, r := setup(t)
		db.exec(`UPDATE sinker.offsets SET next_offset = 12`)
		res, err := commitBatch(ctx, s, Batch{r}, nil)
		if err != nil || !res.Resolved {
			t.Errorf("%+v, %v", res, err)
		}
		db.want(`SELECT consumed FROM sinker.offsets`, "0")
	})

	t.Run("WentBack", func(t *testing.T) {
		db, s, r := setup(t)
		db.exec(`UPDATE sinker.offsets SET start_offset = 0, next_offset = 4`)
		_, err := commitBatch(ctx, s, Batch{r}, nil)
		if m := missOf(t, err); m.Kind != WentBack || m.Stored != 4 {
			t.Errorf("%+v", m)
		}
	})

	t.Run("Fenced", func(t *testing.T) {
		db, s, r := setup(t)
		db.take(db.store("b"), claim(orders0, 0))
		_, err := commitBatch(ctx, s, Batch{r}, nil)
		if m := missOf(t, err); m.Kind != Fenced || m.Owner != "b" {
			t.Errorf("%+v", m)
		}
		db.want(`SELECT next_offset FROM sinker.offsets`, "10")
	})

	t.Run("FencedAtOurTo", func(t *testing.T) {
		db, s, r := setup(t)
		b := db.store("b")
		p := db.take(b, claim(orders0, 0))[0]
		if _, err := commitBatch(ctx, b, Batch{rangeOf(p, `{}`, `{}`)}, nil); err != nil {
			t.Fatal(err)
		}
		_, err := commitBatch(ctx, s, Batch{r}, nil)
		if m := missOf(t, err); m.Kind != Fenced {
			t.Errorf("the other owner's commit to the same offset was taken for ours: %+v", m)
		}
	})

	t.Run("FencedByTheSameNumber", func(t *testing.T) {
		db, s, r := setup(t)
		db.exec(`UPDATE sinker.offsets SET owner = 'b'`) // a failover lost our take, and b took with the same fence
		_, err := commitBatch(ctx, s, Batch{r}, nil)
		if m := missOf(t, err); m.Kind != Fenced || m.Owner != "b" {
			t.Errorf("%+v", m)
		}
	})

	t.Run("OtherLog", func(t *testing.T) {
		db, s, r := setup(t)
		db.exec(`UPDATE sinker.offsets SET topic_id = '00000000-0000-0000-0000-000000000009'`)
		_, err := commitBatch(ctx, s, Batch{r}, nil)
		if m := missOf(t, err); m.Kind != OtherLog {
			t.Errorf("%+v", m)
		}
	})

	t.Run("Gone", func(t *testing.T) {
		db, s, r := setup(t)
		db.exec(`DELETE FROM sinker.offsets`)
		_, err := commitBatch(ctx, s, Batch{r}, nil)
		if m := missOf(t, err); m.Kind != Gone {
			t.Errorf("%+v", m)
		}
	})

	t.Run("OneMissStopsTheWholeBatch", func(t *testing.T) {
		db := newDatabase(t)
		s := db.store("a")
		orders1 := TopicPartition{Topic: "orders", Partition: 1}
		ps := db.take(s, claim(orders0, 0), claim(orders1, 0))
		db.take(db.store("b"), claim(orders1, 0))
		_, err := commitBatch(ctx, s, Batch{rangeOf(ps[0], `{}`), rangeOf(ps[1], `{}`)}, nil)
		if m := missOf(t, err); m.TopicPartition != orders1 {
			t.Errorf("%+v", m)
		}
		db.want(`SELECT sum(next_offset)::text FROM sinker.offsets`, "0")
		if _, err := commitBatch(ctx, s, Batch{rangeOf(ps[0], `{}`)}, nil); err != nil {
			t.Errorf("the rest of the batch: %v", err)
		}
	})

	t.Run("AMoveThatDoesNotHappen", func(t *testing.T) {
		db, s, r := setup(t)
		db.exec(`CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
			CREATE TRIGGER keep BEFORE UPDATE ON sinker.offsets FOR EACH ROW EXECUTE FUNCTION keep()`)
		_, err := commitBatch(ctx, s, Batch{r}, nil)
		wantClass(t, err, Schema, "does a trigger or a row-level policy stand on sinker.offsets?")
		db.want(`SELECT count(*) FROM sinker.ledger`, "0")
	})

	t.Run("EmptyRangeMovesThePosition", func(t *testing.T) {
		db, s, r := setup(t)
		r.Batches, r.LeaderEpoch, r.Timestamp = nil, -1, time.Time{}
		r.Add(record.NewList(r.From, 15)) // control records
		if _, err := commitBatch(ctx, s, Batch{r}, nil); err != nil {
			t.Fatal(err)
		}
		db.want(`SELECT next_offset || ' ' || consumed FROM sinker.offsets`, "15 0")
	})
}

// TestRace lets two stores fight for one partition, each taking it whenever it is fenced: every record must be counted
// once, whoever wrote it.
func TestRace(t *testing.T) {
	const end = 200
	ctx := context.Background()
	db := newDatabase(t)
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		s := db.store(name)
		wg.Go(func() {
			p := Position{NextOffset: -1}
			for steps := 0; p.NextOffset < end; steps++ {
				if p.NextOffset < 0 || steps%7 == 0 {
					taken, err := s.Take(ctx, []Claim{claim(orders0, 0)})
					if err != nil {
						t.Error(err)
						return
					}
					p = taken.Positions[0]
					continue
				}
				r := rangeOf(p, `{}`)
				_, err := commitBatch(ctx, s, Batch{r}, nil)
				var miss *MissError
				switch {
				case errors.As(err, &miss):
					p.NextOffset = -1
				case err != nil:
					t.Error(err)
					return
				default:
					p.NextOffset = r.To
				}
			}
		})
	}
	wg.Wait()
	db.want(`SELECT next_offset - consumed FROM sinker.offsets`, "0")
	db.ledgerTiles()
	if db.one(`SELECT fence FROM sinker.offsets`) == "1" {
		t.Error("the stores never met")
	}
}
