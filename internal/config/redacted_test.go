package config

import (
	"os"
	"testing"
)

// TestRedactedMakesTheSamePipeline reads the effective configuration back: nothing is lost on the way, nothing added.
func TestRedactedMakesTheSamePipeline(t *testing.T) {
	example, err := os.ReadFile("../../sinker.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, src := range map[string]string{
		"Small":   small,
		"Example": string(example),
		"Odd": `name: "1"
kafka:
  brokers: "[::1]:1,localhost:2"
  tls: yes
  sasl: { mechanism: OAUTHBEARER, token_file: /t, extensions: { logicalCluster: lkc-1, a: $$x }, insecure: yes }
  start: 2026-11-22T12:00:00.5+02:00
  instance: "off"
postgres: { url: host=a, synchronous_commit: "off" }
batch: { bytes: 500KB, every: 1h, rows: 1_000 }
errors: { stop_after: 0.5% }
http: "off"
sinks:
  - topic: '/^\d+$$/'
    table: '"a.b"."c""d"'
    key: ["yes", "9"]
    columns: { "yes": '"a b".c', "9": , "null": '"$x" text', "a.b": bigint, "x": '$key.id int' }
    meta: key
  - topics: [a, b]
    table: '"null"'
    delete: ignore
  - topic: c
    group: { g: a }
    add: { n: 1 }
    delete: ignore
`,
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Parse("x.yaml", []byte(src), vars("DATABASE_URL", "postgres://u:"+mark+"@h/db", "KAFKA_PASSWORD", mark))
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse("redacted", []byte(p.Redacted()), vars())
			if err != nil {
				t.Fatalf("%v\n%s", err, p.Redacted())
			}
			if again.Redacted() != p.Redacted() {
				t.Errorf("got\n%s\nwant\n%s", again.Redacted(), p.Redacted())
			}
			if again.Hash() != p.Hash() {
				t.Error("another hash")
			}
		})
	}
}
