package config

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// A problem is shown with its line of the file, and such a line may hold a password, next to the mistake or as the
// mistake: `pasword: …`. So only what is known to be harmless is shown: keys, and values whose key is declared as
// shown.

// plainKey is what may be a key's name at all; `{postgres://user:password@host}` is, to YAML, a key.
var plainKey = regexp.MustCompile(`^[\pL\pN_. -]{1,64}$`)

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// source is the file's lines, and from which column on each is hidden.
type source struct {
	lines  []string
	hidden map[int]int // line → column, both from 1
	open   int         // the line in which a hidden value began that may not have ended yet; 0: none
}

// otherBreaks end a line for YAML and not for newSource, which would then show the wrong one.
var otherBreaks = regexp.MustCompile("\r[^\n]|[\u0085\u2028\u2029]")

func newSource(src []byte) *source {
	s := &source{hidden: map[int]int{}}
	if !utf8.Valid(src) || otherBreaks.Match(src) {
		return s
	}
	for line := range strings.SplitSeq(strings.TrimPrefix(string(src), "\ufeff"), "\n") {
		s.lines = append(s.lines, strings.TrimSuffix(line, "\r"))
	}
	return s
}

// line returns what may be shown of the line with a problem at the column; nothing if the place itself is hidden.
func (s *source) line(line, column int) string {
	if s == nil || line < 1 || line > len(s.lines) {
		return ""
	}
	text := []rune(s.lines[line-1])
	if from, ok := s.hidden[line]; ok {
		if column >= from {
			return ""
		}
		text = append(text[:from-1:from-1], '…')
	}
	shown := string(text)
	if len(text) > 160 || column > len(text)+1 || strings.Contains(shown, "\t") || strings.Contains(shown, "://") {
		return ""
	}
	return shown
}

// hideSecrets notes every value that may not be shown.
func (s *source) hideSecrets(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		s.hideMapping(n, &root)
	} else {
		s.see(n, false)
	}
	if s.open > 0 {
		s.hideLines(s.open+1, len(s.lines))
	}
}

// hides returns from which column on a line is hidden.
func (s *source) hides(line int) (column int, ok bool) {
	if s == nil {
		return 0, false
	}
	column, ok = s.hidden[line]
	return column, ok
}

func (s *source) hideLines(from, to int) {
	for l := from; l <= to; l++ {
		s.hidden[l] = 1
	}
}

func (s *source) hideMapping(n *yaml.Node, sec *section) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		s.see(k, plainKey.MatchString(k.Value))
		s.hide(v, sec.key(k.Value))
	}
}

// hide goes through the value of a key; nil: of one that is not known.
func (s *source) hide(n *yaml.Node, k *key) {
	switch {
	case k == nil:
		s.see(n, false)
	case n.Kind == yaml.MappingNode && k.value.section != nil:
		s.hideMapping(n, k.value.section)
	case n.Kind == yaml.SequenceNode && (k.value.section != nil || k.value.lines != showNothing):
		for _, c := range n.Content {
			s.hide(c, k)
		}
	case n.Kind == yaml.MappingNode && k.value.lines == showNames:
		for _, c := range n.Content {
			s.see(c, c.Kind == yaml.ScalarNode)
		}
	default:
		s.see(n, n.Kind == yaml.ScalarNode && k.value.lines != showNothing)
	}
}

// see notes the next node of the file. It ends the one before, which may have taken several lines.
func (s *source) see(n *yaml.Node, shown bool) {
	if n.Line > len(s.lines) {
		return
	}
	if s.open > 0 && n.Line > s.open {
		s.hideLines(s.open+1, n.Line-1)
		if before := []rune(s.lines[n.Line-1]); strings.Trim(string(before[:min(n.Column-1, len(before))]), " -") != "" {
			s.hidden[n.Line] = 1 // the end of the hidden value stands before it
		}
	}
	s.open = 0
	if shown {
		return
	}
	s.open = n.Line
	if from, ok := s.hidden[n.Line]; !ok || n.Column < from {
		s.hidden[n.Line] = max(n.Column, 1)
	}
}
