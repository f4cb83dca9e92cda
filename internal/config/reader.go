package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// reader walks the YAML tree and collects problems with their places.
type reader struct {
	file     string
	lines    []string
	lookup   func(string) (string, bool)
	problems []Problem
}

func (r *reader) problem(n *yaml.Node, format string, args ...any) {
	p := Problem{File: r.file, Message: fmt.Sprintf(format, args...)}
	if n != nil && n.Line > 0 {
		p.Line, p.Column = n.Line, n.Column
		if n.Line <= len(r.lines) && !strings.Contains(r.lines[n.Line-1], "\t") {
			p.source = r.lines[n.Line-1]
		}
	}
	r.problems = append(r.problems, p)
}

// field is one key of a mapping and what reads its value.
type field struct {
	name string
	read func(*yaml.Node)
}

// fields reads a mapping strictly: every key must be known, and given once. It returns the keys that were there.
func (r *reader) fields(n *yaml.Node, what string, fields ...field) (given map[string]*yaml.Node) {
	given = map[string]*yaml.Node{}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		r.problem(n, "%s must be a mapping of keys, not %s", what, kindOf(n))
		return given
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		at := slices.IndexFunc(fields, func(f field) bool { return f.name == k.Value })
		if at < 0 {
			r.unknown(k, what, fields)
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

func (r *reader) unknown(k *yaml.Node, what string, fields []field) {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	msg := fmt.Sprintf("unknown key %q in %s", k.Value, what)
	if near := Nearest(k.Value, names); near != "" {
		msg += fmt.Sprintf("; did you mean %q?", near)
	} else {
		msg += "; known are " + strings.Join(names, ", ")
	}
	r.problem(k, "%s", msg)
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.Tag == "!!null" {
		return "nothing"
	}
	return strconv.Quote(n.Value)
}

// scalar reads one value as text, with variables expanded. Expanding comes after parsing: whatever a variable holds, it
// stays this one value.
func (r *reader) scalar(n *yaml.Node, what string) (string, bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.problem(n, "%s must be a single value, not %s", what, kindOf(n))
		return "", false
	}
	s, err := expand(n.Value, r.lookup)
	if err != nil {
		r.problem(n, "%s: %v", what, err)
		return "", false
	}
	return s, true
}

func (r *reader) text(dst *string, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if s, ok := r.scalar(n, what); ok {
			*dst = s
		}
	}
}

func (r *reader) secret(dst *Secret, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if s, ok := r.scalar(n, what); ok {
			*dst = Secret(s)
		}
	}
}

func (r *reader) oneOf(dst *string, what string, allowed ...string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		if !slices.Contains(allowed, s) {
			msg := fmt.Sprintf("%s must be one of %s, not %q", what, strings.Join(allowed, ", "), s)
			if near := Nearest(s, allowed); near != "" {
				msg += fmt.Sprintf("; did you mean %q?", near)
			}
			r.problem(n, "%s", msg)
			return
		}
		*dst = s
	}
}

func (r *reader) boolean(dst *bool, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		switch strings.ToLower(s) {
		case "yes", "true", "on":
			*dst = true
		case "no", "false", "off":
			*dst = false
		default:
			if ok {
				r.problem(n, "%s must be yes or no, not %q", what, s)
			}
		}
	}
}

func (r *reader) number(dst *int, what string, least, most int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		v, err := strconv.Atoi(strings.ReplaceAll(s, "_", ""))
		if err != nil || v < least || v > most {
			r.problem(n, "%s must be a whole number from %d to %d, not %q", what, least, most, s)
			return
		}
		*dst = v
	}
}

func (r *reader) duration(dst *time.Duration, what string, least time.Duration) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		d, err := time.ParseDuration(s)
		if s == "0" {
			d, err = 0, nil
		}
		if err != nil || d < least {
			r.problem(n, "%s must be a duration of at least %s, such as 500ms, 2s or 1m30s, not %q", what, least, s)
			return
		}
		*dst = d
	}
}

var units = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}

func (r *reader) bytes(dst *int64, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		for _, u := range units {
			digits, found := strings.CutSuffix(s, u.name)
			if !found {
				continue
			}
			v, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
			if err == nil && v > 0 && v <= (1<<40)/u.bytes {
				*dst = v * u.bytes
				return
			}
			break
		}
		r.problem(n, "%s must be a size such as 32MiB or 500KB, not %q", what, s)
	}
}

// list reads a list of values, or a single one.
func (r *reader) list(dst *[]string, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			if s, ok := r.scalar(n, what); ok {
				*dst = []string{s}
			}
			return
		}
		*dst = nil
		for _, c := range n.Content {
			if s, ok := r.scalar(c, "an entry of "+what); ok {
				*dst = append(*dst, s)
			}
		}
	}
}
