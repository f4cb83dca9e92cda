package main

import (
	"context"
	"fmt"
	"strconv"

	"sinker/internal/orderdata"
)

// groupSizes are the numbers of groups that the aggregate scenario has, and the field that has that many values.
var groupSizes = []struct {
	groups uint64
	field  string
}{{1_000, "shop"}, {50_000, "account"}}

// grouped are orders with two fields more, whose values come in random order.
func grouped() *dataset {
	d := orders()
	d.name = "grouped"
	d.record = func(dst []byte, i int64) []byte {
		for n, g := range groupSizes {
			dst = append(dst, []string{`{"`, `,"`}[n]...)
			dst = append(dst, g.field...)
			dst = strconv.AppendUint(append(dst, `":`...), spread(uint64(i))%g.groups, 10)
		}
		at := len(dst)
		dst = orderdata.Order(dst, i)
		dst[at] = ','
		return dst
	}
	for _, g := range groupSizes {
		d.columns = append(d.columns, column{g.field, "integer", []string{g.field}})
	}
	return d
}

// spread mixes a number's bits (the finalizer of MurmurHash3).
func spread(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// runAggregate compares aggregates of a topic with the append of its records.
func runAggregate(ctx context.Context, e *env, s *scenario) ([]result, error) {
	p, err := e.plan(ctx, s, grouped(), e.size(2_000_000))
	if err != nil {
		return nil, err
	}
	sides := []side{p.sinkerOn(e, "append", p.topic, variant{})}
	for _, g := range groupSizes {
		a, err := p.aggregate(ctx, e, g.field)
		if err != nil {
			return nil, err
		}
		sides = append(sides, a.sinkerOn(e, fmt.Sprintf("%d groups", g.groups), p.topic, variant{}))
		for _, v := range e.variants {
			sides = append(sides, a.sinkerOn(e, fmt.Sprintf("%d groups, %s", g.groups, v.name), p.topic, v))
		}
	}
	all, err := e.alternate(ctx, sides)
	if err != nil {
		return nil, err
	}
	var results []result
	for _, a := range all[1:] {
		results = append(results, compare(s.name+", "+a.Name, p.rows, []turns{all[0], a}))
	}
	return results, nil
}

// aggregate is the plan of a table that sums the orders up by a field. What it must hold Postgres works out, from the
// reference that is in the target when the plan has been made.
func (p *plan) aggregate(ctx context.Context, e *env, field string) (*plan, error) {
	a := *p
	a.data = &dataset{name: "by_" + field, key: field,
		columns: []column{{field, "integer", nil}, {"orders", "bigint", nil}, {"revenue", "numeric(14,2)", nil},
			{"last", "timestamptz", nil}},
		sink: []string{fmt.Sprintf("group: { %s: }", field), "add: { orders: 1, revenue: total }",
			"max: { last: created_at }"},
	}
	a.keyed = true
	const want = "bench.aggregated"
	for _, sql := range []string{
		"DROP TABLE IF EXISTS " + want,
		fmt.Sprintf("CREATE TABLE %s AS SELECT %s, count(*) AS orders, sum(total)::numeric(14,2) AS revenue, "+
			"max(created_at) AS last FROM %s GROUP BY 1", want, field, target),
	} {
		if err := e.pg.exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	var err error
	a.want, err = e.read(ctx, want)
	return &a, err
}
