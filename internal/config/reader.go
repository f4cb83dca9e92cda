package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// reader walks the YAML tree and collects problems with their places.
type reader struct {
	file     string
	source   *source
	lookup   func(string) (string, bool)
	problems []Problem
}

// problem notes what is wrong at n; nil means the file, or the command line, as a whole.
func (r *reader) problem(n *yaml.Node, format string, args ...any) {
	p := Problem{File: r.file, Message: fmt.Sprintf(format, args...)}
	if n != nil && n.Line > 0 {
		p.Line, p.Column = n.Line, max(n.Column, 1)
		p.source = r.source.line(p.Line, p.Column)
	}
	r.problems = append(r.problems, p)
}

// field is one key of a mapping and what reads its value.
type field struct {
	name string
	read func(*yaml.Node)
}

// later are the keys of what sinker does not do yet, by place: they must neither be ignored nor look like misspellings.
var later = map[string][]string{
	"the configuration": {"tests"},
	"kafka":             {"schema_registry"},
	"a sink":            {"where", "newest_wins", "sql"},
}

// fields reads a mapping strictly: every key must be known, and given once. It returns the keys that were there.
func (r *reader) fields(n *yaml.Node, place string, fields ...field) (given map[string]*yaml.Node) {
	given = map[string]*yaml.Node{}
	if n.Kind != yaml.MappingNode {
		r.problem(n, "%s must be a mapping of keys, not %s", place, kindOf(n))
		return given
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], follow(n.Content[i+1])
		at := slices.IndexFunc(fields, func(f field) bool { return f.name == k.Value })
		if at < 0 {
			r.unknown(k, place, fields)
			continue
		}
		if first := given[k.Value]; first != nil {
			r.problem(k, "%s is given twice; first in line %d", k.Value, first.Line)
			continue
		}
		given[k.Value] = k
		fields[at].read(v)
	}
	return given
}

// follow returns the node that an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func (r *reader) unknown(k *yaml.Node, place string, fields []field) {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	switch {
	case slices.Contains(later[place], k.Value):
		r.problem(k, "%s is not supported by this version of sinker", k.Value)
	case k.Value == "<<":
		r.problem(k, "<< is not supported: write the keys out, or give a whole value by its alias")
	case k.Kind != yaml.ScalarNode || !plainKey.MatchString(k.Value):
		r.problem(k, "here must be a key of %s: %s", place, strings.Join(names, ", "))
	default:
		r.problem(k, "unknown key %q in %s%s", k.Value, place, didYouMean(k.Value, names))
	}
}

// kindOf names what n is, without its content: that may be a secret in the wrong place.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	}
	return "a single value"
}

// scalar reads one value as text, with variables expanded. Expanding comes after parsing: whatever a variable holds, it
// stays this one value.
func (r *reader) scalar(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.problem(n, "%s must be a single value, not %s", what, kindOf(n))
		return "", false
	}
	if n.Style&yaml.TaggedStyle != 0 {
		r.problem(n, "%s: tags such as !env are not supported; a variable is written ${NAME}", what)
		return "", false
	}
	s, err := expand(n.Value, r.lookup)
	if err == nil && strings.Contains(s, "\x00") {
		err = fmt.Errorf("a zero byte can not be part of it")
	}
	if err != nil {
		r.problem(n, "%s: %v", what, err)
		return "", false
	}
	return s, true
}

// quoted is the value for a message. A variable is named, not shown: it may hold a secret that belongs elsewhere.
func (r *reader) quoted(n *yaml.Node) string {
	v := n.Value
	if from, ok := r.source.hidden[n.Line]; ok && n.Anchor != "" && n.Column >= from {
		return "what &" + n.Anchor + " holds"
	}
	if strings.Contains(v, "${") {
		return "what " + v + " holds"
	}
	return shownText(v)
}

// shownText quotes a value that is no secret: unless it is a URL in the wrong place.
func shownText(v string) string {
	if strings.Contains(v, "://") || strings.Contains(v, "@") {
		v = RedactURL(v)
	}
	if r := []rune(v); len(r) > 80 {
		v = string(r[:80]) + "…"
	}
	return strconv.Quote(v)
}

// entry is one value of a list.
type entry struct {
	node *yaml.Node
	text string
}

// entries reads a list of values, or a single one. It is never empty, unless a problem was noted.
func (r *reader) entries(n *yaml.Node, what string) (list []entry) {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	for _, c := range nodes {
		c = follow(c)
		if s, ok := r.scalar(c, what); ok {
			list = append(list, entry{c, s})
		}
	}
	if len(nodes) == 0 {
		r.problem(n, "%s is an empty list; give at least one, or leave the key out", what)
	}
	return list
}
