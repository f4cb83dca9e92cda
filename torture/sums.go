package main

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// sums are a row of the table that keeps one row per group, computed from what Kafka's own reader shows: never from
// what sinker has done, nor by the database.
type sums struct {
	records int64
	n       big.Int // larger than 64 bits, when many of the refused ones are in it
	cents   int64
	newest  int64
	least   int64
}

// fold adds a record to its group.
func (tr *truth) fold(r row) error {
	n, err := strconv.ParseInt(string(r.n), 10, 64)
	if err != nil {
		return errNotOurs
	}
	units, hundredths, _ := strings.Cut(string(r.amount), ".")
	cents, err := strconv.ParseInt(units+hundredths, 10, 64)
	if err != nil || len(hundredths) != 2 || r.group == "" {
		return errNotOurs
	}
	s := tr.sums[r.group]
	if s == nil {
		s = &sums{newest: r.id, least: n}
		tr.sums[r.group] = s
	}
	s.records++
	s.n.Add(&s.n, big.NewInt(n))
	s.cents += cents
	s.newest, s.least = max(s.newest, r.id), min(s.least, n)
	return nil
}

// String is how Postgres prints the row, without the group.
func (s *sums) String() string {
	return fmt.Sprintf("records %d, n %s, amount %d.%02d, newest %d, least %d", s.records, &s.n, s.cents/100,
		s.cents%100, s.newest, s.least)
}

// totalOf is how many records are in all groups.
func totalOf(groups map[string]*sums) (records int64) {
	for _, s := range groups {
		records += s.records
	}
	return records
}

// checkSums holds a table of sums against the recomputation, every value of every group.
func checkSums(ctx context.Context, conn *pgx.Conn, table string, want map[string]*sums) (d differences, groups int64,
	err error) {
	rows, err := conn.Query(ctx, `SELECT g, format('records %s, n %s, amount %s, newest %s, least %s', records, n,
		amount, newest, least) FROM `+table+` ORDER BY g`)
	if err != nil {
		return d, 0, fmt.Errorf("table %s: %w", table, err)
	}
	seen := map[string]bool{}
	var group, have string
	_, err = pgx.ForEachRow(rows, []any{&group, &have}, func() error {
		groups++
		switch w := want[group]; {
		case w == nil:
			d.Phantom++
			d.note("I9: table %s: group %s of no committed record: %s", table, group, have)
		case seen[group]:
			d.Duplicated++
			d.note("I9: table %s: group %s is there more than once: %s", table, group, have)
		case w.String() != have:
			d.Changed++
			d.note("I9: table %s: group %s holds %s; it must be %s", table, group, have, w)
		}
		seen[group] = true
		return nil
	})
	if err != nil {
		return d, groups, fmt.Errorf("table %s: %w", table, err)
	}
	for _, group := range slices.Sorted(maps.Keys(want)) {
		if !seen[group] {
			d.Lost++
			d.note("I9: table %s: group %s is not there; it must be %s", table, group, want[group])
		}
	}
	return d, groups, nil
}
