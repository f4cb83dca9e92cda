package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// documentedGrants are the statements of the guide, for $role.
func documentedGrants(t *testing.T) string {
	t.Helper()
	guide, err := os.ReadFile("../../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^    (GRANT .* TO sinker_writer);`).FindAllStringSubmatch(string(guide), -1) {
		out = append(out, strings.ReplaceAll(m[1], "sinker_writer", "$role"))
	}
	if len(out) < 6 {
		t.Fatalf("the guide has %d grants", len(out))
	}
	return strings.Join(out, "; ")
}

// TestDocumentedGrants: a role with the grants of the guide, and no others, is enough for every command of daily use, whatever
// became of the records.
func TestDocumentedGrants(t *testing.T) {
	for name, c := range map[string]struct {
		sinks, more string
	}{
		"Append":    {"sinks: [{ topic: orders, table: orders, meta: [partition, offset] }]\n", `; GRANT SELECT ON orders TO $role`},
		"Upsert":    {"sinks: [{ topic: orders, table: orders, key: id }]\n", `; GRANT SELECT, UPDATE ON orders TO $role`},
		"Tombstone": {"sinks: [{ topic: orders, table: orders, key: id, delete: tombstone, columns: { id: $key int, note: note } }]\n", `; GRANT SELECT, UPDATE, DELETE ON orders TO $role`},
		"Group":     {"sinks: [{ topic: orders, table: orders, group: { id: id }, add: { n: 1 } }]\n", `; GRANT SELECT, UPDATE ON orders TO $role`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, c.sinks)
			s.sinker("migrate", "up", "--to", s.url).want(t, exitOK, "")
			s.asRole(`CREATE TABLE orders (id int PRIMARY KEY, note text, n int DEFAULT 1, kafka_partition int, kafka_offset bigint); ` + documentedGrants(t) + c.more)
			s.configure(c.sinks)
			records := values(`{"id":1,"note":"a"}`, `{"id":2}`, `x`, `{"id":3}`)
			for i, r := range records {
				r.Key = []byte{byte('1' + i)}
			}
			s.produce(records...)
			s.sinker("check", "-c", s.file).want(t, exitOK, "")
			s.load("--migrate=false").want(t, exitOK, "1 dead letter")
			s.sinker("status", "-c", s.file).want(t, exitOK, "orders")
			s.sinker("verify", "-c", s.file).want(t, exitOK, "orders")
			s.sinker("offsets", "list", "-c", s.file).want(t, exitOK, "orders")
			s.sinker("migrate", "version", "-c", s.file).want(t, exitOK, "")
		})
	}
}

// TestVerifyWithoutPrivileges: verify names the grant that it lacks, for each relation that it reads.
func TestVerifyWithoutPrivileges(t *testing.T) {
	const sinks = "sinks: [{ topic: orders, table: orders, meta: [partition, offset] }]\n"
	for relation, want := range map[string]string{
		"sinker.audit": "GRANT SELECT ON sinker.offsets, sinker.ledger, sinker.audit", "sinker.ledger": "GRANT SELECT ON sinker.offsets, sinker.ledger, sinker.audit",
		"orders": `GRANT SELECT ON "public"."orders"`,
	} {
		t.Run(relation, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, sinks)
			s.sinker("migrate", "up", "--to", s.url).want(t, exitOK, "")
			owner := s.url
			s.asRole(`CREATE TABLE orders (id int, kafka_partition int, kafka_offset bigint); ` + documentedGrants(t) +
				`; GRANT SELECT ON orders TO $role; REVOKE SELECT ON ` + relation + ` FROM $role`)
			s.configure(sinks)
			s.produce(values(`{"id":1}`)...)
			s.load("--migrate=false").want(t, exitOK, "")
			s.sinker("verify", "-c", s.file).want(t, exitConfig, want)
			s.url = owner
			s.configure(sinks)
			s.sinker("verify", "-c", s.file).want(t, exitOK, "orders")
		})
	}
}
