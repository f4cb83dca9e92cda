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

// checkGroups checks the keys of a sink that aggregates, and makes its rule of them.
func checkGroups(r *reader, _ *yaml.Node, s *Sink, g given) {
	if g["group"] == nil {
		for _, k := range []string{"add", "max", "min"} {
			if g[k] != nil {
				r.problem(g[k], "%s requires group, which says what makes a group of records", k)
			}
		}
		return
	}
	if g["add"] == nil && g["max"] == nil && g["min"] == nil {
		r.problem(g["group"], "group requires add, max or min: `add: { records: 1 }` counts the records")
	}
	for _, k := range []string{"columns", "key", "delete", "meta"} {
		what := k
		if k == "delete" {
			what = "delete: tombstone"
		}
		if g[k] != nil && !(k == "delete" && s.Rule.IgnoreTombstones) {
			r.problem(g[k], "%s does not go with group: the table's rows are groups of records, "+
				"and group, add, max and min name its columns", what)
		}
	}
	depth, ignore := s.Rule.MaxDepth, s.Rule.IgnoreTombstones
	s.Rule, s.folded = s.folded, transform.Rule{}
	s.Rule.MaxDepth, s.Rule.IgnoreTombstones = depth, ignore
	for i, c := range s.Rule.Columns {
		if s.Create && s.Rule.TypeOrUsual(i) == "" {
			r.problem(g[s.Rule.Folds[i].String()], needsType, c.Name, c.Name, pathText(c))
		}
	}
}
