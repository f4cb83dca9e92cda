package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// A compacted topic has gaps: offsets that no record has any more. Two pipelines read it, one that appends and one that
// upserts and deletes.
func TestCompactedTopic(t *testing.T) {
	b := bed.Use(t)
	c := b.NewCase(t, "compacted", 3, "cleanup.policy", "compact", "segment.bytes", "1048576", "segment.ms", "60000",
		"min.cleanable.dirty.ratio", "0.01", "min.compaction.lag.ms", "0", "delete.retention.ms", "3600000")
	c.Load.Keys = 2000
	ctx := t.Context()
	if err := c.Load.Plain(ctx, 100_000); err != nil {
		t.Fatal(err)
	}
	var deleted []int
	for key := 0; key < c.Load.Keys; key += 10 {
		deleted = append(deleted, key)
	}
	if err := c.Load.Tombstones(ctx, deleted...); err != nil {
		t.Fatal(err)
	}
	// More, of other keys: the deletions are not the end of the log, and stay deletions.
	c.Load.FirstKey = c.Load.Keys
	if err := c.Load.Plain(ctx, 20_000); err != nil {
		t.Fatal(err)
	}
	gaps := c.awaitCompaction(c.Load.Committed() / 2)
	// From here on the log must stay as it is: the checker reads it after sinker has.
	if err := b.Kafka.Alter(ctx, c.Name, "cleanup.policy", "delete"); err != nil {
		t.Fatal(err)
	}
	t.Logf("compaction has taken %d of %d records away", gaps, c.Load.Committed())

	c.Postgres.exec(t, c.Name, `CREATE TABLE latest (LIKE records INCLUDING ALL, PRIMARY KEY (key))`)
	appending := Start(t, "append", Config(t, c.YAML(Settings{Rows: 7000})))
	upserting := Start(t, "upsert", Config(t, c.YAML(Settings{Pipeline: "compacted-latest", Table: "latest", Rows: 7000, Sink: "key: [key]\ndelete: tombstone"})))
	c.Drained(2*time.Minute, c.Name, appending, upserting)
	c.Drained(2*time.Minute, "compacted-latest", appending, upserting)
	appending.Stop(20 * time.Second)
	upserting.Stop(20 * time.Second)
	all := c.Verify(Check{Pipeline: c.Name, Topic: c.Name, Table: "records"})
	if all.Records >= c.Load.Committed() || all.Dead == 0 {
		t.Errorf("%d of %d records, %d dead letters: want gaps, and tombstones that cannot be appended", all.Records, c.Load.Committed(), all.Dead)
	}
	latest := c.Verify(Check{Pipeline: "compacted-latest", Topic: c.Name, Table: "latest", Upsert: true})
	if keys := 2 * c.Load.Keys; latest.Rows <= int64(c.Load.Keys) || latest.Rows > int64(keys-len(deleted)) {
		t.Errorf("%d rows of %d keys, %d of them deleted", latest.Rows, keys, len(deleted))
	}
}

// awaitCompaction waits until the cleaner has taken at least so many records away, and returns how many it was.
func (c *Case) awaitCompaction(want int64) (gone int64) {
	c.t.Helper()
	c.Until(2*time.Minute, "the cleaner", func(ctx context.Context) error {
		records, err := c.Kafka.Truth(ctx, c.Name, c.Load.Last())
		if err != nil {
			return err
		}
		if gone = c.Load.Committed() - int64(len(records)); gone < want {
			return fmt.Errorf("has taken %d of %d records away, want %d", gone, c.Load.Committed(), want)
		}
		return nil
	})
	return gone
}
