package main

import (
	"strings"
	"testing"
)

// TestVerifyWithoutTables: a table that is not there is a note before the first record and a difference after it, of every
// kind of sink that makes its own table; verify makes none.
func TestVerifyWithoutTables(t *testing.T) {
	for name, sink := range map[string]string{
		"FromRecords":       "create: yes",
		"FromRecordsUpsert": "create: yes, key: id",
		"Columns":           "create: yes, columns: { id: id int }",
		"Provenance":        "create: yes, columns: { id: id int }, meta: [partition, offset]",
		"Upsert":            "create: yes, key: id, columns: { id: id int }",
		"Group":             "create: yes, group: { id: id int }, add: { n: 1 }",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, "sinks: [{ topic: orders, table: orders, "+sink+" }]\n")
			s.migrated()
			s.sinker("verify", "-c", s.file).want(t, exitConfig, "has no positions in this database")
			s.load().want(t, exitOK, "0 records")
			s.exec(`DROP TABLE IF EXISTS orders`)
			r := s.sinker("verify", "-c", s.file)
			r.want(t, exitOK, "does not exist yet")
			if n := strings.Count(r.out, "does not exist yet"); n != 1 || !strings.Contains(r.out, "orders, 3 partitions: ") {
				t.Errorf("the note is there %d times:\n%s", n, r.out)
			}
			s.produce(values(`{"id":1}`, `{"id":2}`)...)
			s.load().want(t, exitOK, "2 records")
			s.sinker("verify", "-c", s.file).want(t, exitOK, "DIFFERENCES")
			s.exec(`DROP TABLE orders`)
			s.sinker("verify", "-c", s.file).want(t, exitDifference, "does not exist, and sinker wrote")
			if s.one(`SELECT to_regclass('public.orders') IS NULL`) != "true" {
				t.Error("verify made the table")
			}
		})
	}
}
