package txn

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestLook(t *testing.T) {
	ctx := context.Background()
	look := func(t *testing.T, url, pipeline string) *Overview {
		t.Helper()
		o, err := Look(ctx, url, pipeline)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}

	t.Run("TellsPositionsTotalsAndDeadLetters", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE orders (id bigint)`, Config{Sinks: []Sink{orders()}})
		l.mustCommit(`{"id":1}`, `{"id":2}`, `nonsense`)
		l.take(l.store, claim(TopicPartition{Topic: "orders", Partition: 1}, 7))
		o := look(t, l.url, "p")
		if len(o.Partitions) != 2 || fmt.Sprint(o.Pipelines) != "[p]" {
			t.Fatalf("%+v", o)
		}
		p := o.Partitions[0]
		if p.NextOffset != 3 || p.Consumed != 3 || p.Written != 2 || p.Dead != 1 || p.Filtered != 0 || p.Owner != "a" || p.Fence != 1 || p.State != Reading || p.Reason != "" ||
			!p.LastTimestamp.Equal(time.Date(2026, 11, 22, 12, 0, 2, 0, time.UTC)) || o.Now.Sub(p.UpdatedAt) > time.Minute {
			t.Errorf("%+v", p)
		}
		if p := o.Partitions[1]; p.Partition != 1 || p.StartOffset != 7 || p.NextOffset != 7 || p.LastTimestamp != nil {
			t.Errorf("%+v", p)
		}
		if len(o.Letters) != 1 || o.Letters[orders0] != 1 {
			t.Errorf("dead letters %v", o.Letters)
		}
		l.exec(`DELETE FROM sinker.dead_letters`)
		if o := look(t, l.url, "p"); o.Letters == nil || o.Letters[orders0] != 0 || o.Partitions[0].Dead != 1 {
			t.Errorf("after they were removed: %v, %+v", o.Letters, o.Partitions[0])
		}
	})

	t.Run("OfAnotherPipeline", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE orders (id bigint)`, Config{Sinks: []Sink{orders()}})
		if o := look(t, l.url, "q"); len(o.Partitions) != 0 || fmt.Sprint(o.Pipelines) != "[p]" {
			t.Errorf("%+v", o)
		}
	})

	t.Run("AsTheWritersRole", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE orders (id bigint)`, Config{Sinks: []Sink{orders()}})
		l.mustCommit(`nonsense`)
		role := "w" + l.one(`SELECT current_database()`)
		l.exec(`CREATE ROLE ` + role + ` LOGIN; GRANT USAGE ON SCHEMA sinker TO ` + role + `; GRANT SELECT ON sinker.offsets TO ` + role + `; GRANT INSERT ON sinker.dead_letters TO ` + role)
		t.Cleanup(func() { l.exec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
		if o := look(t, withUser(t, l.url, role), "p"); len(o.Partitions) != 1 || o.Letters != nil {
			t.Errorf("%+v", o)
		}
	})

	t.Run("ThroughAPooler", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE orders (id bigint)`, Config{Sinks: []Sink{orders()}})
		if o := look(t, startPooler(t, l.url), "p"); len(o.Partitions) != 1 {
			t.Errorf("%+v", o)
		}
	})

	t.Run("WithoutTheSchema", func(t *testing.T) {
		_, err := Look(ctx, empty(t).url, "p")
		wantClass(t, err, Schema, "run `sinker migrate up`")
	})
}
