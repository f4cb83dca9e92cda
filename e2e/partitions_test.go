package e2e

import (
	"testing"
	"time"
)

// Partitions are added while sinker runs. It starts at latest, so what was there before it is left out; what comes into
// a new partition before sinker has seen that partition is not: it is read from offset 0.
func TestPartitionsAdded(t *testing.T) {
	b := bed.Use(t)
	c := b.NewCase(t, "partitions", 2)
	ctx := t.Context()
	old := &Load{Addr: c.Load.Addr, Topic: c.Load.Topic, Partitions: 2}
	if err := old.Plain(ctx, 10_000); err != nil {
		t.Fatal(err)
	}
	config := Config(t, c.YAML(Settings{Kafka: ", start: latest", Head: "workers: 1"}))
	first, second := Start(t, "first", config), Start(t, "second", config)
	c.Drained(time.Minute, c.Name, first, second) // both partitions taken, at their ends
	if err := c.Load.Plain(ctx, 20_000); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Kafka.Admin.UpdatePartitions(ctx, 6, c.Name); err != nil {
		t.Fatal(err)
	}
	c.Load.Partitions = 6
	if err := c.Load.Plain(ctx, 60_000); err != nil {
		t.Fatal(err)
	}
	c.Drained(2*time.Minute, c.Name, first, second)
	first.Stop(20 * time.Second)
	second.Stop(20 * time.Second)
	c.EveryRecord(c.Verify(Check{Pipeline: c.Name, Topic: c.Name, Table: "records"}))
	rows, err := c.DB.Query(ctx, `SELECT partition, start_offset FROM sinker.offsets WHERE pipeline = $1`, c.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var partition int32
		var start int64
		if err := rows.Scan(&partition, &start); err != nil {
			t.Fatal(err)
		}
		if old := partition < 2; old != (start > 0) {
			t.Errorf("partition %d starts at %d: the old ones start at latest, the added ones at 0", partition, start)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
