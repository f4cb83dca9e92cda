package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sinker/internal/nearest"

	"go.yaml.in/yaml/v4"
)

// reader walks the YAML tree and collects problems with their places.
type reader struct {
	file     string
	source   *source // nil with flags
	lookup   func(string) (string, bool)
	flags    bool              // the tree was made of flags: keys are called by their flags' names
	instead  map[string]string // with flags: the variable that a flag's value is from
	partial  bool              // required keys may be missing, but for those that a variable can give
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

// mapping reads a section strictly: every key must be known, and given once. It returns the keys that were there.
func (r *reader) mapping(n *yaml.Node, s *section, owner any) given {
	g := given{}
	if n.Kind != yaml.MappingNode {
		r.problem(n, "%s must be a mapping of keys, not %s", s.place, kindOf(n))
		return g
	}
	before, meant := len(r.problems), []string(nil)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], follow(n.Content[i+1])
		d := s.key(k.Value)
		if d == nil {
			meant = append(meant, r.unknown(k, s))
			continue
		}
		if first := g[k.Value]; first != nil {
			r.problem(k, "%s is given twice; first on line %d", k.Value, first.Line)
			continue
		}
		if other := g[d.sameAs]; d.sameAs != "" && other != nil {
			r.problem(k, "give %s or %s, not both", d.sameAs, k.Value)
		}
		g[k.Value] = k
		d.value.read(r, v, r.called(s, d), owner)
	}
	if s.onlyClean && len(r.problems) > before {
		return g
	}
	r.required(n, s, g, meant)
	if s.check != nil {
		s.check(r, n, owner, g)
	}
	return g
}

// required reports the keys of the section that must be there and are not. A key that was misspelled is not missing.
func (r *reader) required(n *yaml.Node, s *section, g given, misspelled []string) {
	for i := range s.keys {
		k := &s.keys[i]
		there := func(other key) bool {
			isIt := other.name == k.name || other.sameAs == k.name
			return isIt && (g[other.name] != nil || slices.Contains(misspelled, other.name))
		}
		if !k.required || r.partial && (k.flag == nil || k.flag.env == "") || slices.ContainsFunc(s.keys, there) {
			continue
		}
		if r.flags && k.flag != nil && k.flag.env != "" {
			r.problem(n, missingFlag, "--"+k.flag.name, k.flag.env, "--"+k.flag.name)
			continue
		}
		what := ""
		if k.value.takes != "" {
			what = ": give " + k.value.takes
		}
		r.problem(n, "%s is missing%s", r.called(s, k), what)
	}
}

// called is how messages name a key.
func (r *reader) called(s *section, k *key) string {
	if r.flags && k.flag != nil {
		return cmp.Or(r.instead[k.flag.name], "--"+k.flag.name)
	}
	return s.lead + k.name
}

// spelled is how messages name a key of a sink, for checks that do not have its declaration: a flag has the same
// name.
func (r *reader) spelled(key string) string {
	if r.flags {
		return "--" + key
	}
	return key
}

// follow returns the node that an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// unknown reports a key that is not one of the section's, and returns the one that was probably meant.
func (r *reader) unknown(k *yaml.Node, s *section) (meant string) {
	names := s.names()
	switch {
	case slices.Contains(s.later, k.Value):
		r.problem(k, "%s is not supported by this version of sinker", k.Value)
	case k.Value == "<<":
		r.problem(k, "<< is not supported: write the keys out, or give a whole value by its alias")
	case k.Kind != yaml.ScalarNode || !plainKey.MatchString(k.Value):
		r.problem(k, "expected a key of %s: %s", s.place, strings.Join(names, ", "))
	default:
		r.problem(k, "unknown key %q in %s%s", k.Value, s.place, didYouMean(k.Value, names))
		return nearest.Name(k.Value, names)
	}
	return ""
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

// emptyOr is kindOf, and for an empty mapping or list of the wanted kind says that it is empty.
func emptyOr(n *yaml.Node, wanted yaml.Kind) string {
	if n.Kind == wanted {
		return "an empty one"
	}
	return kindOf(n)
}

// scalar reads one value as text, with variables expanded. Expanding comes after parsing: whatever a variable
// holds, it stays this one value.
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
		err = fmt.Errorf("it must not contain a zero byte")
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
	if from, ok := r.source.hides(n.Line); ok && n.Anchor != "" && n.Column >= from {
		return "the value of &" + n.Anchor
	}
	if strings.Contains(v, "${") {
		return "the value of " + v
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
