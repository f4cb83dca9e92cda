package config

import (
	"sinker/internal/transform"

	"go.yaml.in/yaml/v4"
)

// sinkGroups are the keys of sinks that aggregate.
var sinkGroups = part{
	check: checkGroups,
	keys: []key{
		{
			name: "group", value: of(columns(transform.Group), itself), unsaid: "none: a row per record", hashed: true,
			doc: "In place of `columns` and `key`: one row per group of records (see *Aggregates*). The columns " +
				"say what makes a group, as `column: path type`; a path may be `minute(path)`, `hour(path)` or " +
				"`day(path)`.",
			example: "group: { country: customer.country }\nadd: { orders: 1 }",
		},
		{
			name: "add", value: of(columns(transform.Add), itself), unsaid: "none", hashed: true,
			doc:     "With `group`: columns that are sums, as `column: path type`. `1` counts the records.",
			example: "group: { country: customer.country }\nmax: { latest: created_at }\nadd: { orders: 1 }",
		},
		{
			name: "max", value: of(columns(transform.Max), itself), unsaid: "none", hashed: true,
			doc:     "With `group`: columns that are the largest values, as `column: path type`.",
			example: "group: { country: customer.country }\nadd: { orders: 1 }\nmax: { latest: created_at }",
		},
		{
			name: "min", value: of(columns(transform.Min), itself), unsaid: "none", hashed: true,
			doc:     "With `group`: columns that are the smallest values, as `column: path type`.",
			example: "group: { country: customer.country }\nadd: { orders: 1 }\nmin: { first: created_at }",
		},
	},
}

// checkGroups checks the keys of the sink's mode, and makes the rule of a sink that aggregates.
func checkGroups(r *reader, _ *yaml.Node, s *Sink, g given) {
	problems := transform.CheckKeys(func(key string) bool {
		if key == transform.DeleteTombstone {
			return g["delete"] != nil && s.Rule.Tombstones
		}
		return g[key] != nil
	})
	for _, p := range problems {
		r.problem(g[p.Key], "%s", p.Text)
	}
	if g["group"] == nil {
		return
	}
	s.folded.Format, s.folded.MaxDepth, s.folded.IgnoreTombstones = s.Rule.Format, s.Rule.MaxDepth, s.Rule.IgnoreTombstones
	s.Rule, s.folded = s.folded, transform.Rule{}
	for i, c := range s.Rule.Columns {
		if s.Create && s.Rule.TypeOrUsual(i) == "" {
			r.problem(g[s.Rule.Folds[i].String()], needsType, c.Name, c.Name, pathText(c))
		}
	}
}
