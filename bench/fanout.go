package main

import (
	"context"
	"fmt"
)

const fanout = 4 // tables of the scenario "tables"

// runTables compares one topic into several tables, in one transaction, with the same topic into one. Its rate is that
// of records; each becomes several rows.
func runTables(ctx context.Context, e *env, s *scenario) ([]result, error) {
	p, err := e.plan(ctx, s, orders(), e.size(2_000_000))
	if err != nil {
		return nil, err
	}
	all, err := e.alternate(ctx, []side{
		p.sinkerOn(e, "sinker, 1 table", p.topic, variant{}),
		p.sinkerOnMore(e, fmt.Sprintf("sinker, %d tables", fanout)),
	})
	if err != nil {
		return nil, err
	}
	return []result{compare(s.name, p.rows, all)}, nil
}

// sinkerOnMore loads the topic into the target and further tables like it, and checks them all.
func (p *plan) sinkerOnMore(e *env, name string) side {
	var more []string
	var sinks variant
	for i := 1; i < fanout; i++ {
		table := fmt.Sprintf("%s_%d", target, i)
		more = append(more, table)
		sinks.lines = append(sinks.lines, "  - topic: "+p.topic.name, "    table: "+table)
		for _, line := range p.data.lines() {
			sinks.lines = append(sinks.lines, "    "+line)
		}
	}
	first := p.sinkerOn(e, name, p.topic, sinks)
	return side{name, func(ctx context.Context, n int) (measure, error) {
		for _, table := range more {
			if err := e.fresh(ctx, p.data, table); err != nil {
				return measure{}, err
			}
		}
		m, err := first.turn(ctx, n)
		for _, table := range more {
			if err == nil {
				err = e.holds(ctx, table, p.want)
			}
			if dropErr := e.pg.exec(ctx, "DROP TABLE "+table); err == nil {
				err = dropErr
			}
		}
		return m, err
	}}
}

// holds says whether a table holds what it should.
func (e *env) holds(ctx context.Context, table string, want content) error {
	got, err := e.read(ctx, table)
	if err != nil {
		return err
	}
	return mustAgree(table, got, want)
}
