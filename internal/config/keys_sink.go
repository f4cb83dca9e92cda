package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sinker/internal/format"

	"go.yaml.in/yaml/v4"
)

// part is what a mode or a format adds to a sink: its keys, and what it checks once every key of the sink was read.
type part struct {
	keys  []key
	check func(r *reader, n *yaml.Node, s *Sink, g given)
}

// sinkParts are all there are. A mode with keys of its own adds one, in a file of its own.
var sinkParts = []part{sinkTarget, sinkRows, sinkGroups, sinkLimits}

// sinkSection is one sink. Its owner is a *Sink.
var sinkSection = section{
	path: "sinks", place: "a sink", later: []string{"where", "newest_wins", "sql"},
	check: checked(func(r *reader, n *yaml.Node, s *Sink, g given) {
		for _, p := range sinkParts {
			if p.check != nil {
				p.check(r, n, s, g)
			}
		}
	}),
	keys: slices.Concat(sinkTarget.keys, sinkRows.keys, sinkGroups.keys, sinkLimits.keys),
}

// sinkTarget is which records go into which table.
var sinkTarget = part{
	check: checkTable,
	keys: []key{
		{
			name: "topic", value: of(topics, itself), required: true, hashed: true,
			flag: &option{name: "topic", usage: "topic to load, or a /regular expression/"},
			doc: "A topic, a list of topics, or a regular expression between slashes: `/^orders-.*/`. The " +
				"expression may match anywhere in the name: `^` and `$` bind it to the beginning and the end. " +
				"One topic may feed several tables, but one table only once.",
			example: "topic: /^orders-.*/\ntable: orders",
		},
		{
			name: "topics", value: of(topicList, itself), sameAs: "topic",
			doc: "The same as `topic`. A sink has one of the two.", example: "topics: [orders, returns]\ntable: orders",
		},
		{
			name: "format", value: of(formatName, func(s *Sink) *string { return &s.Rule.Format }),
			initial: format.Default, hashed: true,
			doc: "Format of the records' values; only plain JSON.", example: "format: json",
		},
		{
			name: "table", value: of(table, itself), unsaid: "the topic's name, in the schema `public`", hashed: true,
			flag: &option{name: "table", usage: "target table (default: the topic's name)"},
			doc: "Table that the rows go into: `table` or `schema.table`. A part with dots or unusual characters " +
				"goes in double quotes: `'\"a.b\".c'`. Names are taken as written: `Orders` is not `orders`. " +
				"Without a schema it is `public`. A name of more than 63 bytes is refused, because Postgres " +
				"would cut it. Only a sink of one topic has a default.",
			example: "table: sales.orders",
		},
		{
			name: "create", value: of(create, func(s *Sink) *bool { return &s.Create }), initial: "no", hashed: true,
			flag: &option{name: "create", usage: "make the table when it is missing"},
			doc: "Makes the table when it is missing: from `columns` with their types or, without `columns`, " +
				"from the first records (see *Columns from records*).",
			example: "create: yes",
		},
	},
}

// itself is for keys that fill more than one field of a sink.
func itself(s *Sink) *Sink { return s }

var (
	formatName = func() kind[string] {
		k := oneOf(format.Names()...)
		k.parse = func(s string) (string, error) { // also one that was registered later
			if !slices.Contains(format.Names(), s) {
				return "", errTakes
			}
			return s, nil
		}
		k.shape = k.not("json is", "avro", "protobuf", "debezium", "csv", "text", "bytes")
		return k
	}()
	create = func() kind[bool] {
		k := yes()
		k.shape = k.not("yes makes the table once, no leaves it to you", "evolve")
		return k
	}()
)

// checkTable fills in the default table.
func checkTable(r *reader, n *yaml.Node, s *Sink, g given) {
	if g["table"] != nil || len(s.Topics) == 0 {
		return
	}
	what := r.spelled("table")
	if s.Regex || len(s.Topics) != 1 {
		r.problem(n, "%s is missing; only a sink of one topic has a default, the topic's name", what)
		return
	}
	s.Schema, s.Table = "public", s.Topics[0]
	if problem := badIdentifier(s.Table); problem != "" {
		r.problem(n, "%s is missing, and the topic's name cannot be a table's: it %s", what, problem)
	}
}

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

var topics = kind[Sink]{
	shape: shape{
		kind: "topics", takes: "a topic or a list of topics", schema: ref("names"), many: true, lines: showScalar,
	},
	read: func(r *reader, n *yaml.Node, what string, s *Sink) {
		list := r.entries(n, what)
		for _, e := range list {
			if problem := s.addTopic(e.text, len(list)); problem != "" {
				r.problem(e.node, "%s %s %s", what, r.quoted(e.node), problem)
			}
		}
	},
	show: func(s Sink) *yaml.Node {
		if !s.Regex {
			return nil
		}
		return textNode(escape("/" + strings.Join(s.Topics, "") + "/"))
	},
	canon: func(s Sink) string {
		if s.Regex {
			return "/" + strings.Join(s.Topics, "") + "/"
		}
		return setText(s.Topics)
	},
}

// topicList is topics, and shows what topics does not.
var topicList = func() kind[Sink] {
	k := topics
	k.show = func(s Sink) *yaml.Node {
		if s.Regex {
			return nil
		}
		return listNode(s.Topics)
	}
	return k
}()

// addTopic adds a topic's name, or a regular expression between slashes, one of a list of the length; or says why
// not.
func (s *Sink) addTopic(t string, length int) (problem string) {
	switch isExpr := len(t) > 2 && t[0] == '/' && t[len(t)-1] == '/'; {
	case isExpr && length > 1:
		return "must be the sink's only topic: it is a regular expression"
	case isExpr:
		expr, err := regexp.Compile(t[1 : len(t)-1])
		if err != nil {
			return "is not a regular expression: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		}
		s.Regex, s.expr, t = true, expr, expr.String()
	case !topicName.MatchString(t) || t == "." || t == "..":
		return "cannot be a topic: Kafka allows up to 249 letters, digits, dots, dashes and underscores " +
			"(a regular expression goes between slashes: /^orders-.*/)"
	case slices.Contains(s.Topics, t):
		return "is given twice"
	}
	s.Topics = append(s.Topics, t)
	return ""
}

var table = kind[Sink]{
	shape: shape{kind: "table", takes: "table or schema.table", schema: object{{"type", "string"}}, lines: showScalar},
	read: func(r *reader, n *yaml.Node, what string, s *Sink) {
		text, ok := r.scalar(n, what)
		if !ok {
			return
		}
		if err := s.setTable(text); err != nil {
			r.problem(n, "%s %s: %v", what, r.quoted(n), err)
		}
	},
	text:  func(s Sink) string { return joinName(s.Schema, s.Table) },
	canon: func(s Sink) string { return jsonText(s.Schema, s.Table) },
}

// sinkLimits is what becomes of records that cannot be written.
var sinkLimits = part{
	check: func(_ *reader, _ *yaml.Node, s *Sink, _ given) {
		if s.Errors != nil && len(s.Errors.WaitFor) == 0 {
			s.Errors = nil
		}
	},
	keys: []key{
		{
			name: "errors", value: sub(&sinkErrorsSection, func(s *Sink, create bool) *SinkErrors {
				if s.Errors == nil && create {
					s.Errors = &SinkErrors{}
				}
				return s.Errors
			}, nil), unsaid: "nothing is waited for",
			doc: "Errors of Postgres that may pass by themselves.", example: "errors: { wait_for: [23503] }",
		},
		{
			name: "max_depth", value: of(number(1, 10_000), func(s *Sink) *int { return &s.Rule.MaxDepth }),
			initial: strconv.Itoa(format.DefaultDepth),
			hashed:  true, doc: "Maximum nesting of objects and arrays.", example: "max_depth: 64",
		},
	},
}

var sinkErrorsSection = section{
	path: "sinks.errors", place: "errors of a sink", lead: "errors.",
	check: checked(func(r *reader, _ *yaml.Node, e *SinkErrors, g given) {
		if g["at_most"] != nil && g["wait_for"] == nil {
			r.problem(g["at_most"], "errors.at_most needs errors.wait_for: it bounds the wait for those errors")
		}
	}),
	keys: []key{
		{
			name: "wait_for", value: of(sqlstates, func(e *SinkErrors) *[]string { return &e.WaitFor }),
			unsaid: "none", hashed: true,
			doc: "SQLSTATEs of errors that may pass, such as `[23503]` where the parent row comes from another " +
				"topic. The partition waits at the record and tries again; other partitions go on. See [foreign " +
				"keys](guide.md#foreign-keys).",
			example: "wait_for: [23503]",
		},
		{
			name: "at_most", value: of(duration(time.Second, 10*time.Minute),
				func(e *SinkErrors) *time.Duration { return &e.AtMost }),
			initial: "30s", hashed: true,
			doc: "Maximum wait since the record's batch was refused first. After that the records that are still " +
				"refused become dead letters, or stop the partition (`errors.do`).",
			example: "wait_for: [23503]\nat_most: 2m",
		},
	},
}

var sqlstate = regexp.MustCompile(`^[0-9A-Z]{5}$`)

var sqlstates = kind[[]string]{
	shape: shape{
		kind: "sqlstates", takes: "a list of SQLSTATEs", lines: showScalar,
		schema: anyOf(ref("sqlstate"), object{{"type", "array"}, {"minItems", 1}, {"items", ref("sqlstate")}}),
	},
	read: func(r *reader, n *yaml.Node, what string, dst *[]string) {
		for _, c := range r.entries(n, what) {
			switch {
			case !sqlstate.MatchString(c.text):
				r.problem(c.node, "%s: %s is not a SQLSTATE, which has five digits or capital letters, "+
					"such as 23503 (foreign_key_violation)", what, r.quoted(c.node))
			case slices.Contains(*dst, c.text):
				r.problem(c.node, "%s: %s is given twice", what, c.text)
			default:
				*dst = append(*dst, c.text)
			}
		}
	},
	show:  listNode,
	canon: setText,
}

// mostSinks bounds a file: an alias can stand for a sink very often.
const mostSinks = 1000

var sinksValue = value{
	shape: shape{kind: "sinks", takes: "at least one topic and table"}, section: &sinkSection, list: true,
	read: func(r *reader, n *yaml.Node, what string, owner any) { r.sinks(n, what, owner.(*Pipeline)) },
	owners: func(owner any) (sinks []any) {
		p := owner.(*Pipeline)
		for i := range p.Sinks {
			sinks = append(sinks, &p.Sinks[i])
		}
		return sinks
	},
}

func (r *reader) sinks(n *yaml.Node, what string, p *Pipeline) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.problem(n, "%s must be a list with at least one topic and table, not %s", what, emptyOr(n, yaml.SequenceNode))
		return
	}
	if len(n.Content) > mostSinks {
		r.problem(n, "%s: %d are more than the %d that one pipeline takes", what, len(n.Content), mostSinks)
		return
	}
	for _, c := range n.Content {
		c = follow(c)
		s := Sink{At: fmt.Sprintf("%s:%d:%d", r.file, c.Line, c.Column)}
		if r.flags {
			s.At = ""
		}
		sinkSection.fill(&s)
		r.mapping(c, &sinkSection, &s)
		doubled := func(before Sink) bool {
			return s.Table != "" && before.Schema == s.Schema && before.Table == s.Table && overlap(&before, &s)
		}
		if i := slices.IndexFunc(p.Sinks, doubled); i >= 0 {
			r.problem(c, "the sink at %s writes the same topic into the same table: every record would be written twice",
				p.Sinks[i].At)
		}
		p.Sinks = append(p.Sinks, s)
	}
}

// overlap says whether a topic belongs to both. Of two different expressions this cannot be told.
func overlap(a, b *Sink) bool {
	if a.Regex && b.Regex {
		return a.expr.String() == b.expr.String()
	}
	if a.Regex {
		a, b = b, a
	}
	if b.Regex {
		return slices.ContainsFunc(a.Topics, b.expr.MatchString)
	}
	return slices.ContainsFunc(a.Topics, func(t string) bool { return slices.Contains(b.Topics, t) })
}
