package txn

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestChangeOffset(t *testing.T) {
	ctx := context.Background()
	setup := func(t *testing.T) (*database, *Store, Position) {
		db := newDatabase(t)
		s := db.store("a")
		return db, s, db.take(s, claim(orders0, 10))[0]
	}

	t.Run("FencesTheOwnerAndIsAudited", func(t *testing.T) {
		db, s, p := setup(t)
		done, err := ChangeOffset(ctx, db.conn, "p", Change{TopicPartition: orders0, Action: "set", Offset: 25, SkipRecords: true, By: "me", Note: "a hole"})
		if err != nil {
			t.Fatal(err)
		}
		if done.From != 10 || done.To != 25 || done.Owner != "a" {
			t.Errorf("%+v", done)
		}
		_, err = commitBatch(ctx, s, Batch{rangeOf(p, `{}`)}, nil)
		if m := missOf(t, err); m.Kind != Fenced {
			t.Errorf("the owner was not fenced: %+v", m)
		}
		db.want(`SELECT from_offset || ' ' || to_offset || ' ' || by_client || ' ' || note FROM sinker.audit`, "10 25 me a hole")
		if touched, err := s.Touched(ctx, []Position{p}); err != nil || len(touched) != 1 {
			t.Errorf("touched = %v, %v", touched, err)
		}
		if p = db.take(s, claim(orders0, 0))[0]; p.NextOffset != 25 {
			t.Errorf("taken at %d", p.NextOffset)
		}
	})

	t.Run("RefusesToLoseOrDouble", func(t *testing.T) {
		db, _, _ := setup(t)
		for _, c := range []Change{{Offset: 11}, {Offset: 9}, {Offset: 11, WriteAgain: true}, {Offset: 9, SkipRecords: true}} {
			c.TopicPartition, c.Action = orders0, "set"
			if _, err := ChangeOffset(ctx, db.conn, "p", c); !errors.Is(err, ErrRefused) {
				t.Errorf("%+v: %v", c, err)
			}
		}
		db.want(`SELECT next_offset || ' ' || fence FROM sinker.offsets`, "10 1")
		db.want(`SELECT count(*) FROM sinker.audit`, "0")
	})

	t.Run("BelowTheStart", func(t *testing.T) {
		db, _, _ := setup(t)
		if _, err := ChangeOffset(ctx, db.conn, "p", Change{TopicPartition: orders0, Action: "set", Offset: 3, WriteAgain: true}); err != nil {
			t.Fatal(err)
		}
		db.want(`SELECT start_offset || ' ' || next_offset FROM sinker.offsets`, "3 3")
	})

	t.Run("AdoptAndReset", func(t *testing.T) {
		db, s, _ := setup(t)
		other := LogID{ClusterID: "c2", TopicID: [16]byte{2}}
		if _, err := ChangeOffset(ctx, db.conn, "p", Change{TopicPartition: orders0, Action: "adopt", Offset: -1, Log: &other}); err != nil {
			t.Fatal(err)
		}
		taken, err := s.Take(ctx, []Claim{{TopicPartition: orders0, Log: other}})
		if err != nil || len(taken.Positions) != 1 || taken.Positions[0].NextOffset != 10 {
			t.Errorf("adopted: %+v, %v", taken, err)
		}
		if _, err := ChangeOffset(ctx, db.conn, "p", Change{TopicPartition: orders0, Action: "reset", Offset: 0, Log: &ordersLog}); err != nil {
			t.Fatal(err)
		}
		if p := db.take(s, claim(orders0, 0))[0]; p.NextOffset != 0 {
			t.Errorf("reset: %+v", p)
		}
	})

	// A log that is still the position's own holds records that were written: no reset begins it again, wherever it starts.
	t.Run("ResetOfTheSameLog", func(t *testing.T) {
		id, cluster := [16]byte{7}, "c1"
		for _, c := range []struct {
			name     string
			old, now LogID
			to       int64
			refused  bool
		}{
			{"Same", LogID{ClusterID: cluster, TopicID: id}, LogID{ClusterID: cluster, TopicID: id}, 0, true},
			{"SameBegunAbove", LogID{ClusterID: cluster, TopicID: id}, LogID{ClusterID: cluster, TopicID: id}, 40, true},
			{"SameAtThePosition", LogID{ClusterID: cluster, TopicID: id}, LogID{ClusterID: cluster, TopicID: id}, 10, false},
			{"NoIDs", LogID{}, LogID{}, 0, true},
			{"NoTopicIDs", LogID{ClusterID: cluster}, LogID{ClusterID: cluster}, 0, true},
			{"OtherTopicID", LogID{ClusterID: cluster, TopicID: id}, LogID{ClusterID: cluster, TopicID: [16]byte{8}}, 0, false},
			{"OtherTopicIDBegunAbove", LogID{ClusterID: cluster, TopicID: id}, LogID{ClusterID: cluster, TopicID: [16]byte{8}}, 40, false},
			{"OtherCluster", LogID{ClusterID: cluster, TopicID: id}, LogID{ClusterID: "c2", TopicID: id}, 0, false},
		} {
			db, _, _ := setup(t)
			db.exec(`UPDATE sinker.offsets SET cluster_id = $1, topic_id = $2`, c.old.ClusterID, c.old.TopicID)
			_, err := ChangeOffset(ctx, db.conn, "p", Change{TopicPartition: orders0, Action: "reset", Offset: c.to, Log: &c.now})
			if refused := errors.Is(err, ErrRefused); refused != c.refused || err != nil && !refused {
				t.Errorf("%s: refused %v, want %v: %v", c.name, refused, c.refused, err)
			}
			want := c.to
			if c.refused {
				want = 10
			}
			db.want(`SELECT next_offset FROM sinker.offsets`, fmt.Sprint(want))
			db.want(`SELECT count(*) FROM sinker.audit`, map[bool]string{true: "0", false: "1"}[c.refused])
		}
	})

	t.Run("NoSuchRow", func(t *testing.T) {
		db, _, _ := setup(t)
		_, err := ChangeOffset(ctx, db.conn, "p", Change{TopicPartition: TopicPartition{Topic: "nothing", Partition: 0}, Action: "set"})
		if !errors.Is(err, ErrNoRow) {
			t.Error(err)
		}
	})
}
