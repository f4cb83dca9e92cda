package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"sinker/internal/transform"

	"go.yaml.in/yaml/v4"
)

// later are keys of the design that this version does not have yet: they must not look accepted.
var later = []string{"where", "group", "add", "max", "min", "newest_wins", "sql"}

func (r *reader) sinks(n *yaml.Node, p *Pipeline) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.problem(n, "sinks must be a list with at least one topic and table, not %s", kindOf(n))
		return
	}
	for _, c := range n.Content {
		s := Sink{Format: "json"}
		r.sink(c, &s)
		for _, before := range p.Sinks {
			if before.Schema == s.Schema && before.Table == s.Table && overlap(&before, &s) {
				r.problem(c, "a sink above writes the same topic into the same table: every record would be there twice")
			}
		}
		p.Sinks = append(p.Sinks, s)
	}
}

func overlap(a, b *Sink) bool {
	for _, t := range a.Topics {
		if slices.Contains(b.Topics, t) && a.Regex == b.Regex {
			return true
		}
	}
	return false
}

func (r *reader) sink(n *yaml.Node, s *Sink) {
	fields := []field{
		{"topic", r.topics(s)}, {"topics", r.topics(s)},
		{"format", r.oneOf(&s.Format, "format", "json")},
		{"table", r.table(s)},
		{"create", r.boolean(&s.Create, "create")},
		{"key", r.list(&s.Rule.Key, "key")},
		{"delete", r.deletes(s)},
		{"columns", func(n *yaml.Node) { r.columns(n, s) }},
		{"meta", r.meta(s)},
		{"max_depth", r.number(&s.Rule.MaxDepth, "max_depth", 1, 10_000)},
	}
	for _, name := range later {
		fields = append(fields, field{name, func(n *yaml.Node) { r.problem(n, "%s is not supported by this version", name) }})
	}
	given := r.fields(n, "a sink", fields...)
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
}

// finishSink checks what only the whole sink tells.
func (r *reader) finishSink(n *yaml.Node, s *Sink, given map[string]*yaml.Node) {
	if given["table"] == nil {
		if s.Regex || len(s.Topics) != 1 {
			r.problem(n, "table is missing")
			return
		}
		s.Schema, s.Table = "public", s.Topics[0]
		if problem := badIdentifier(s.Table); problem != "" {
			r.problem(n, "table is missing, and the topic's name can not be one: it %s", problem)
		}
	}
	if s.Rule.Tombstones && len(s.Rule.Key) == 0 {
		r.problem(given["delete"], "delete needs a key: which row would it be?")
	}
	if s.Create && len(s.Rule.Columns) > 0 {
		for _, c := range s.Rule.Columns {
			if c.Type == "" {
				r.problem(given["create"], "to make the table, column %s needs a type: %s: %s TYPE", c.Name, c.Name, c.Path)
			}
		}
	}
	for _, k := range s.Rule.Key {
		if len(s.Rule.Columns) > 0 && !slices.ContainsFunc(s.Rule.Columns, func(c transform.Column) bool { return c.Name == k }) {
			r.problem(given["key"], "key column %s is not among the columns", k)
		}
	}
}

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func (r *reader) topics(s *Sink) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var list []string
		r.list(&list, "topic")(n)
		for _, t := range list {
			if len(t) > 2 && t[0] == '/' && t[len(t)-1] == '/' {
				expr, err := regexp.Compile(t[1 : len(t)-1])
				if err != nil || len(list) > 1 {
					r.problem(n, "topic %s: %s", t, regexpProblem(err))
					continue
				}
				s.Regex, s.expr, t = true, expr, expr.String()
			} else if !topicName.MatchString(t) {
				r.problem(n, "%q can not be a topic: Kafka allows up to 249 letters, digits, dots, dashes and underscores (a regular expression stands between slashes: /^orders-.*/)", t)
				continue
			}
			s.Topics = append(s.Topics, t)
		}
	}
}

func regexpProblem(err error) string {
	if err == nil {
		return "a regular expression must be the sink's only topic"
	}
	return err.Error()
}

// table reads "table", "schema.table", and parts in double quotes.
func (r *reader) table(s *Sink) func(*yaml.Node) {
	return func(n *yaml.Node) {
		text, ok := r.scalar(n, "table")
		if !ok {
			return
		}
		parts, err := splitName(text)
		if err != nil {
			r.problem(n, "table %q: %v", text, err)
			return
		}
		s.Schema, s.Table = "public", parts[len(parts)-1]
		if len(parts) == 2 {
			s.Schema = parts[0]
		}
	}
}

func splitName(text string) (parts []string, err error) {
	rest := text
	for {
		var part string
		if strings.HasPrefix(rest, `"`) {
			end := 1
			for end < len(rest) && (rest[end] != '"' || strings.HasPrefix(rest[end:], `""`)) {
				if rest[end] == '"' {
					end++
				}
				end++
			}
			if end >= len(rest) {
				return nil, fmt.Errorf(`a " is never closed`)
			}
			part, rest = strings.ReplaceAll(rest[1:end], `""`, `"`), rest[end+1:]
		} else {
			end := strings.IndexByte(rest, '.')
			if end < 0 {
				end = len(rest)
			}
			part, rest = rest[:end], rest[end:]
		}
		if problem := badIdentifier(part); problem != "" {
			return nil, fmt.Errorf("%q %s", part, problem)
		}
		parts = append(parts, part)
		if rest == "" {
			break
		}
		if rest[0] != '.' || len(parts) == 2 {
			return nil, fmt.Errorf(`write table or schema.table; a name with dots goes in double quotes`)
		}
		rest = rest[1:]
	}
	return parts, nil
}

// badIdentifier says why a name can not be Postgres'. A longer one would be cut with a mere notice, and two could
// become one.
func badIdentifier(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > 63:
		return fmt.Sprintf("has %d bytes, and Postgres keeps 63: choose a shorter name", len(s))
	case !utf8.ValidString(s) || strings.Contains(s, "\x00"):
		return "is not valid UTF-8"
	}
	return ""
}

func (r *reader) deletes(s *Sink) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var how string
		r.oneOf(&how, "delete", "tombstone")(n)
		s.Rule.Tombstones = how == "tombstone"
	}
}

var metaNames = []string{"topic", "partition", "offset", "timestamp", "key", "headers"}

func (r *reader) meta(s *Sink) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.list(&s.Rule.Meta, "meta")(n)
		for i, m := range s.Rule.Meta {
			if !slices.Contains(metaNames, m) || slices.Contains(s.Rule.Meta[:i], m) {
				r.problem(n, "meta: %q is not one of %s, once each", m, strings.Join(metaNames, ", "))
			}
		}
	}
}

// columns reads "column: path type" in the order of the file.
func (r *reader) columns(n *yaml.Node, s *Sink) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		r.problem(n, "columns must be a mapping of column: path type, not %s", kindOf(n))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if problem := badIdentifier(k.Value); problem != "" {
			r.problem(k, "column %q %s", k.Value, problem)
			continue
		}
		if slices.ContainsFunc(s.Rule.Columns, func(c transform.Column) bool { return c.Name == k.Value }) {
			r.problem(k, "column %s is given twice", k.Value)
			continue
		}
		c := transform.Column{Name: k.Value}
		if v.Tag != "!!null" {
			text, ok := r.scalar(v, "column "+k.Value)
			if !ok {
				continue
			}
			c.Path, c.Type = splitColumn(text)
		}
		if c.Type != "" {
			if _, err := transform.ParseType(c.Type); err != nil {
				r.problem(v, "column %s: %v", k.Value, err)
			}
		}
		s.Rule.Columns = append(s.Rule.Columns, c)
	}
}

// splitColumn parts "path type": the path ends at the first space that is not within double quotes.
func splitColumn(s string) (path, typ string) {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ' ' && !quoted:
			return s[:i], strings.TrimSpace(s[i:])
		}
	}
	return s, ""
}
