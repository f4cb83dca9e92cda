package main

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestAggregateAllCommands takes a table of sums, beside the rows of the same records, through every command.
func TestAggregateAllCommands(t *testing.T) {
	s := newStage(t, `sinks:
  - topic: orders
    table: orders
    create: yes
    columns: { id: bigint, at: at timestamptz, country: c.country }
    meta: [partition, offset]
`)
	const sinks = `sinks:
  - { topic: orders, table: orders, create: yes, columns: { id: bigint, country: country text }, meta: [partition, offset] }
  - topic: orders
    table: by_country
    create: yes
    group: { day: day(at) date, country: country text }
    add:   { orders: 1, ids: id bigint }
    max:   { last: at timestamptz }
`
	s.sinker("check", "-c", s.file, "--offline").want(t, exitConfig, "column country needs a type")
	s.configure(sinks)
	s.sinker("check", "-c", s.file, "--offline").want(t, exitOK, "2 sinks")
	var records []*kgo.Record
	for i := range 300 {
		country := []string{`"DE"`, `"FR"`, `null`}[i%3]
		records = append(records, values(fmt.Sprintf(`{"id":%d,"at":"2026-11-%02dT12:00:00Z","country":%s}`, i, 1+i%2, country))...)
	}
	s.produce(records...)
	s.load().want(t, exitOK, "by_country")
	want := s.one(`SELECT string_agg(country || n || ' ' || ids, ', ' ORDER BY country) FROM (SELECT country, count(*) AS n, sum(id) AS ids FROM orders WHERE country IS NOT NULL GROUP BY country) t`)
	if got := s.one(`SELECT string_agg(country || n || ' ' || ids, ', ' ORDER BY country) FROM (SELECT country, sum(orders) AS n, sum(ids) AS ids FROM by_country GROUP BY country) t`); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := s.one(`SELECT count(*) FROM sinker.dead_letters WHERE column_name = 'country' AND table_name LIKE '%by_country%'`); got != "100" {
		t.Errorf("%s dead letters", got)
	}
	s.sinker("check", "-c", s.file).want(t, exitOK, "aggregate: day, country, orders, ids, last") // a third of the sample has no country
	s.sinker("status", "-c", s.file).want(t, exitOK, "orders")
	s.sinker("verify", "-c", s.file).want(t, exitOK, `"public"."by_country" has one row per group of records`)
	s.exec(`ALTER TABLE by_country DROP CONSTRAINT by_country_pkey`)
	s.sinker("check", "-c", s.file).want(t, exitConfig, `CREATE UNIQUE INDEX ON "public"."by_country" ("day", "country")`)
}
