package config

import (
	"slices"
	"strings"

	"sinker/internal/transform"

	"go.yaml.in/yaml/v4"
)

// sinkRows are the keys of sinks that write a row per record: append and upsert.
var sinkRows = part{
	check: checkRows,
	keys: []key{
		{
			name: "columns", value: of(columns(transform.NoFold), itself),
			unsaid: "the table's own columns, each from the record's top-level field of that name", hashed: true,
			doc:     "What the table's columns are filled with, as `column: path type` (see *Columns*).",
			example: "columns: { id: bigint, total: amount.total numeric }",
		},
		{
			name: "key", value: of(keyColumns, itself), unsaid: "none: append", hashed: true,
			flag:    &option{name: "key", usage: "key columns: upsert instead of append"},
			doc:     "Columns with a unique index. They make the sink an upsert: the last record of a key wins.",
			example: "key: [id]",
		},
		{
			name: "delete", value: of(deletes, itself), hashed: true,
			unsaid: "such a record becomes a dead letter, unless no column is filled from the value",
			doc: "What a record with a null value does. `tombstone` deletes the row of its key. `ignore` writes " +
				"nothing and counts the record as filtered.",
			example: "key: [id]\ndelete: tombstone",
		},
		{
			name: "meta", value: of(metaList, func(s *Sink) *[]string { return &s.Rule.Meta }), unsaid: "none", hashed: true,
			doc: "Where a record comes from: any of `topic`, `partition`, `offset`, `timestamp`, `key` and " +
				"`headers`, in columns `kafka_topic` and so on.",
			example: "meta: [topic, partition, offset]",
		},
	},
}

// needsType is said of a column without a type in a table that is to be made.
const needsType = "to make the table, column %s needs a type: `%s: %s TYPE`"

func checkRows(r *reader, _ *yaml.Node, s *Sink, g given) {
	for _, c := range s.Rule.Columns {
		if s.Create && c.Type == "" {
			r.problem(g["columns"], needsType, c.Name, c.Name, pathText(c))
		}
		if m, ok := strings.CutPrefix(c.Name, "kafka_"); ok && slices.Contains(s.Rule.Meta, m) {
			r.problem(g["meta"], "meta: %s fills column %s, and so does columns", m, c.Name)
		}
	}
	for _, k := range s.Rule.Key {
		m, isMeta := strings.CutPrefix(k, "kafka_")
		names := columnNames(s)
		if len(names) > 0 && !slices.Contains(names, k) && !(isMeta && slices.Contains(s.Rule.Meta, m)) {
			r.problem(g["key"], "key column %s is not among the columns%s", k, didYouMean(k, names))
		}
	}
}

func columnNames(s *Sink) (names []string) {
	for _, c := range s.Rule.Columns {
		names = append(names, c.Name)
	}
	return names
}

// keyColumns of a sink that aggregates are those of group, which shows them.
var keyColumns = kind[Sink]{
	shape: shape{kind: "key", takes: "a column or a list of columns", schema: ref("names"), many: true, lines: showScalar},
	read: func(r *reader, n *yaml.Node, what string, s *Sink) {
		for _, e := range r.entries(n, what) {
			if problem := badIdentifier(e.text); problem != "" {
				r.problem(e.node, "%s: column %s %s", what, r.quoted(e.node), problem)
			} else if slices.Contains(s.Rule.Key, e.text) {
				r.problem(e.node, "%s: column %s is given twice", what, r.quoted(e.node))
			} else {
				s.Rule.Key = append(s.Rule.Key, e.text)
			}
		}
	},
	show: func(s Sink) *yaml.Node {
		if len(s.Rule.Folds) > 0 {
			return nil
		}
		return listNode(s.Rule.Key)
	},
	canon: func(s Sink) string {
		if len(s.Rule.Folds) > 0 {
			return ""
		}
		return setText(s.Rule.Key)
	},
}

var deletes = func() kind[Sink] {
	how := oneOf("tombstone", "ignore")
	return kind[Sink]{
		shape: how.shape,
		read: func(r *reader, n *yaml.Node, what string, s *Sink) {
			if strings.ContainsAny(n.Value, "=<>!( ") {
				r.problem(n, "%s %s is not supported by this version of sinker; tombstone deletes the row of the key of a record "+
					"with a null value, ignore skips such a record", what, r.quoted(n))
				return
			}
			var word string
			how.readInto(r, n, what, &word)
			s.Rule.Tombstones, s.Rule.IgnoreTombstones = word == "tombstone", word == "ignore"
		},
		text: func(s Sink) string {
			switch {
			case s.Rule.Tombstones:
				return "tombstone"
			case s.Rule.IgnoreTombstones:
				return "ignore"
			}
			return ""
		},
	}
}()

var metaNames = []string{"topic", "partition", "offset", "timestamp", "key", "headers"}

var metaList = kind[[]string]{
	shape: shape{
		kind: "meta", takes: "a list of " + strings.Join(metaNames, ", "), lines: showScalar, names: metaNames,
		schema: anyOf(object{{"enum", metaNames}},
			object{{"type", "array"}, {"minItems", 1}, {"items", object{{"enum", metaNames}}}}),
	},
	read: func(r *reader, n *yaml.Node, what string, dst *[]string) {
		for _, e := range r.entries(n, what) {
			switch {
			case !slices.Contains(metaNames, e.text):
				r.problem(e.node, "%s: %s is not one of %s", what, r.quoted(e.node), strings.Join(metaNames, ", "))
			case slices.Contains(*dst, e.text):
				r.problem(e.node, "%s: %s is given twice", what, e.text)
			default:
				*dst = append(*dst, e.text)
			}
		}
	},
	show:  listNode,
	canon: setText,
}
