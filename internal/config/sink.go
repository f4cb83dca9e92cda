package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"sinker/internal/transform"

	"go.yaml.in/yaml/v4"
)

// mostSinks bounds a file: an alias can stand for a sink very often.
const mostSinks = 1000

func (r *reader) sinks(n *yaml.Node, p *Pipeline) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.problem(n, "sinks must be a list with at least one topic and table, not %s", map[bool]string{true: "an empty one", false: kindOf(n)}[n.Kind == yaml.SequenceNode])
		return
	}
	if len(n.Content) > mostSinks {
		r.problem(n, "sinks: %d are more than the %d that one pipeline takes", len(n.Content), mostSinks)
		return
	}
	for _, c := range n.Content {
		c = follow(c)
		s := Sink{Format: "json", At: fmt.Sprintf("%s:%d:%d", r.file, c.Line, c.Column)}
		r.sink(c, &s)
		for i := range p.Sinks {
			if before := &p.Sinks[i]; s.Table != "" && before.Schema == s.Schema && before.Table == s.Table && overlap(before, &s) {
				r.problem(c, "the sink at %s writes the same topic into the same table: every record would be there twice", before.At)
				break
			}
		}
		p.Sinks = append(p.Sinks, s)
	}
}

// overlap says whether a topic belongs to both. Of two different expressions nobody can say.
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

func (r *reader) sink(n *yaml.Node, s *Sink) {
	given := r.fields(n, "a sink",
		field{"topic", r.topics(s)}, field{"topics", r.topics(s)},
		field{"format", r.format(s)},
		field{"table", r.table(s)},
		field{"create", r.create(s)},
		field{"key", r.key(s)},
		field{"delete", r.deletes(s)},
		field{"columns", func(n *yaml.Node) { r.columns(n, s) }},
		field{"group", r.folds(s, transform.Group)},
		field{"add", r.folds(s, transform.Add)},
		field{"max", r.folds(s, transform.Max)},
		field{"min", r.folds(s, transform.Min)},
		field{"meta", r.meta(s)},
		field{"errors", r.sinkErrors(s)},
		field{"max_depth", r.number(&s.Rule.MaxDepth, "max_depth", 1, 10_000)},
	)
	if n.Kind != yaml.MappingNode {
		return
	}
	switch {
	case given["topic"] == nil && given["topics"] == nil:
		r.problem(n, "topic is missing")
	case given["topic"] != nil && given["topics"] != nil:
		r.problem(given["topics"], "give topic or topics, not both")
	}
	r.finishSink(n, s, given)
	r.finishFolds(n, s, given)
}

// finishSink checks what only the whole sink tells.
func (r *reader) finishSink(n *yaml.Node, s *Sink, given map[string]*yaml.Node) {
	if given["table"] == nil && len(s.Topics) > 0 {
		if s.Regex || len(s.Topics) != 1 {
			r.problem(n, "table is missing; only a sink of one topic has a default, the topic's name")
			return
		}
		s.Schema, s.Table = "public", s.Topics[0]
		if problem := badIdentifier(s.Table); problem != "" {
			r.problem(n, "table is missing, and the topic's name can not be one: it %s", problem)
		}
	}
	if s.Rule.Tombstones && len(s.Rule.Key) == 0 && given["key"] == nil {
		r.problem(given["delete"], "delete: tombstone needs a key: which row would it be? `delete: ignore` passes over records with a null value")
	}
	for _, c := range s.Rule.Columns {
		if s.Create && c.Type == "" {
			r.problem(given["columns"], "to make the table, column %s needs a type: `%s: %s TYPE`", c.Name, c.Name, pathText(c))
		}
		if m, ok := strings.CutPrefix(c.Name, "kafka_"); ok && slices.Contains(s.Rule.Meta, m) {
			r.problem(given["meta"], "meta: %s fills column %s, and so does columns", m, c.Name)
		}
	}
	for _, k := range s.Rule.Key {
		if has := func(c transform.Column) bool { return c.Name == k }; len(s.Rule.Columns) > 0 && !slices.ContainsFunc(s.Rule.Columns, has) && !isMetaColumn(s, k) {
			r.problem(given["key"], "key column %s is not among the columns%s", k, didYouMean(k, columnNames(s)))
		}
	}
}

func columnNames(s *Sink) (names []string) {
	for _, c := range s.Rule.Columns {
		names = append(names, c.Name)
	}
	return names
}

func isMetaColumn(s *Sink, name string) bool {
	m, ok := strings.CutPrefix(name, "kafka_")
	return ok && slices.Contains(s.Rule.Meta, m)
}

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func (r *reader) topics(s *Sink) func(*yaml.Node) {
	return func(n *yaml.Node) {
		list := r.entries(n, "topic")
		for _, e := range list {
			if problem := s.addTopic(e.text, len(list)); problem != "" {
				r.problem(e.node, "topic %s %s", r.quoted(e.node), problem)
			}
		}
	}
}

// addTopic adds a topic's name, or a regular expression between slashes, one of so many; or says why not.
func (s *Sink) addTopic(t string, of int) (problem string) {
	switch isExpr := len(t) > 2 && t[0] == '/' && t[len(t)-1] == '/'; {
	case isExpr && of > 1:
		return "must be the sink's only topic: it is a regular expression"
	case isExpr:
		expr, err := regexp.Compile(t[1 : len(t)-1])
		if err != nil {
			return "is not a regular expression: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		}
		s.Regex, s.expr, t = true, expr, expr.String()
	case !topicName.MatchString(t) || t == "." || t == "..":
		return "can not be a topic: Kafka allows up to 249 letters, digits, dots, dashes and underscores (a regular expression stands between slashes: /^orders-.*/)"
	case slices.Contains(s.Topics, t):
		return "is given twice"
	}
	s.Topics = append(s.Topics, t)
	return ""
}

// The forms of the design that this version does not have.
var (
	laterFormats = []string{"avro", "protobuf", "debezium", "csv", "text", "bytes"}
	notYet       = "%s %s is not supported by this version of sinker; %s"
)

func (r *reader) format(s *Sink) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if slices.Contains(laterFormats, n.Value) {
			r.problem(n, notYet, "format", r.quoted(n), "json is")
			return
		}
		r.oneOf(&s.Format, "format", "json")(n)
	}
}

func (r *reader) create(s *Sink) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Value == "evolve" {
			r.problem(n, notYet, "create", r.quoted(n), "yes makes the table once, no leaves it to you")
			return
		}
		r.boolean(&s.Create, "create")(n)
	}
}

func (r *reader) deletes(s *Sink) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if strings.ContainsAny(n.Value, "=<>!( ") {
			r.problem(n, notYet, "delete", r.quoted(n), "tombstone is (a record with a null value deletes the row of its key), and ignore (it is passed over)")
			return
		}
		var how string
		r.oneOf(&how, "delete", "tombstone", "ignore")(n)
		s.Rule.Tombstones, s.Rule.IgnoreTombstones = how == "tombstone", how == "ignore"
	}
}

func (r *reader) key(s *Sink) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, e := range r.entries(n, "key") {
			if problem := badIdentifier(e.text); problem != "" {
				r.problem(e.node, "key column %s %s", r.quoted(e.node), problem)
			} else if slices.Contains(s.Rule.Key, e.text) {
				r.problem(e.node, "key column %s is given twice", r.quoted(e.node))
			} else {
				s.Rule.Key = append(s.Rule.Key, e.text)
			}
		}
	}
}

var metaNames = []string{"topic", "partition", "offset", "timestamp", "key", "headers"}

func (r *reader) meta(s *Sink) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, e := range r.entries(n, "meta") {
			switch {
			case !slices.Contains(metaNames, e.text):
				r.problem(e.node, "meta: %s is not one of %s", r.quoted(e.node), strings.Join(metaNames, ", "))
			case slices.Contains(s.Rule.Meta, e.text):
				r.problem(e.node, "meta: %s is given twice", e.text)
			default:
				s.Rule.Meta = append(s.Rule.Meta, e.text)
			}
		}
	}
}

// defaultAtMost is how long a sink with wait_for waits.
const defaultAtMost = 30 * time.Second

var sqlstate = regexp.MustCompile(`^[0-9A-Z]{5}$`)

func (r *reader) sinkErrors(s *Sink) func(*yaml.Node) {
	return func(n *yaml.Node) {
		e := &SinkErrors{AtMost: defaultAtMost}
		given := r.fields(n, "errors of a sink",
			field{"wait_for", func(n *yaml.Node) {
				for _, c := range r.entries(n, "errors.wait_for") {
					switch {
					case !sqlstate.MatchString(c.text):
						r.problem(c.node, "errors.wait_for: %s is not a SQLSTATE, which has five digits or capital letters, such as 23503 (foreign_key_violation)", r.quoted(c.node))
					case slices.Contains(e.WaitFor, c.text):
						r.problem(c.node, "errors.wait_for: %s is given twice", c.text)
					default:
						e.WaitFor = append(e.WaitFor, c.text)
					}
				}
			}},
			field{"at_most", r.duration(&e.AtMost, "errors.at_most", time.Second, 10*time.Minute)})
		if given["at_most"] != nil && given["wait_for"] == nil {
			r.problem(given["at_most"], "errors.at_most goes with errors.wait_for: at most so long for what?")
		}
		if len(e.WaitFor) > 0 {
			s.Errors = e
		}
	}
}
