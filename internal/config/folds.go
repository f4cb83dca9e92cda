package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sinker/internal/transform"

	"go.yaml.in/yaml/v4"
)

// folds reads group, add, max or min: "column: path type" as in columns, around a group's path minute( ), hour( ) or
// day( ) of a time, and for add also 1, which counts the records.
func (r *reader) folds(s *Sink, fold transform.Fold) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
			r.problem(n, "%s must be a mapping of column: path type, not %s", fold, map[bool]string{true: "an empty one", false: kindOf(n)}[n.Kind == yaml.MappingNode])
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], follow(n.Content[i+1])
			if problem := badIdentifier(k.Value); problem != "" {
				r.problem(k, "column %q %s", k.Value, problem)
				continue
			}
			if slices.ContainsFunc(s.folded.Columns, func(c transform.Column) bool { return c.Name == k.Value }) {
				r.problem(k, "column %s is given twice: a column is filled in one way", k.Value)
				continue
			}
			c := transform.Column{Name: k.Value}
			if v.Tag != "!!null" {
				text, ok := r.scalar(v, "column "+k.Value)
				if !ok {
					continue
				}
				if err := readFold(&c, text, fold); err != nil {
					r.problem(v, "column %s: %v%s", k.Value, err, cutByComma(n, text))
				}
			}
			s.folded.Columns, s.folded.Folds = append(s.folded.Columns, c), append(s.folded.Folds, fold)
			if fold == transform.Group {
				s.folded.Key = append(s.folded.Key, c.Name)
			}
		}
	}
}

var (
	aroundPath = regexp.MustCompile(`^([a-zA-Z_]+)\((.*)\)(?:\s+(.*))?$`)
	onlyDigits = regexp.MustCompile(`^([0-9]+)(?:\s+(.*))?$`)
)

// readFold reads what readColumn does, and what only folds have.
func readFold(c *transform.Column, text string, fold transform.Fold) error {
	text = strings.TrimSpace(text)
	if m := onlyDigits.FindStringSubmatch(text); m != nil && fold == transform.Add {
		if m[1] != transform.CountPath {
			return fmt.Errorf("%s: add takes a path, or 1 to count the records; a field of that name goes in double quotes", m[1])
		}
		c.Path, c.Type = m[1], m[2]
		return checkType(c.Type)
	}
	m := aroundPath.FindStringSubmatch(text)
	if m == nil {
		return readColumn(c, text)
	}
	if _, err := transform.ParseType(text); err == nil { // numeric(12,2)
		return readColumn(c, text)
	}
	if unit, _ := transform.SplitUnit(m[1] + "()"); fold != transform.Group || unit == "" {
		return fmt.Errorf("%s( ) is not known here: a column of group may be minute(path), hour(path) or day(path) of a time; other expressions are not supported by this version of sinker", m[1])
	}
	var inner transform.Column
	if err := readColumn(&inner, strings.TrimSpace(m[2])+" timestamptz"); err != nil || m[2] == "" {
		return fmt.Errorf("%s( ) takes the path of a time, such as minute(created_at), not %q", m[1], m[2])
	}
	c.Path, c.Type = m[1]+"("+inner.Path+")", m[3]
	return checkType(c.Type)
}

// cutByComma explains what became of a type such as numeric(14,2) in a mapping in braces.
func cutByComma(n *yaml.Node, text string) string {
	if n.Style&yaml.FlowStyle == 0 || strings.Count(text, "(") == strings.Count(text, ")") {
		return ""
	}
	return "; within { } a comma ends a value: put it in quotes"
}

func checkType(text string) error {
	if text == "" {
		return nil
	}
	_, err := transform.ParseType(text)
	return err
}

// finishFolds checks the keys of a sink that aggregates, and makes its rule of them.
func (r *reader) finishFolds(n *yaml.Node, s *Sink, given map[string]*yaml.Node) {
	if given["group"] == nil {
		for _, k := range []string{"add", "max", "min"} {
			if given[k] != nil {
				r.problem(given[k], "%s needs group: of which records is it?", k)
			}
		}
		return
	}
	if given["add"] == nil && given["max"] == nil && given["min"] == nil {
		r.problem(given["group"], "group needs add, max or min: `add: { records: 1 }` counts the records")
	}
	for _, k := range []string{"columns", "key", "delete", "meta"} {
		what := k
		if k == "delete" {
			what = "delete: tombstone"
		}
		if given[k] != nil && !(k == "delete" && s.Rule.IgnoreTombstones) {
			r.problem(given[k], "%s does not go with group: the table's rows are groups of records, and group, add, max and min name its columns", what)
		}
	}
	depth, ignore := s.Rule.MaxDepth, s.Rule.IgnoreTombstones
	s.Rule, s.folded = s.folded, transform.Rule{}
	s.Rule.MaxDepth, s.Rule.IgnoreTombstones = depth, ignore
	for i, c := range s.Rule.Columns {
		if s.Create && s.Rule.TypeOrUsual(i) == "" {
			r.problem(given[s.Rule.Folds[i].String()], "to make the table, column %s needs a type: `%s: %s TYPE`", c.Name, c.Name, pathText(c))
		}
	}
}

// foldNodes shows what folds reads.
func (s *Sink) foldNodes(m *mapping) {
	for _, fold := range []transform.Fold{transform.Group, transform.Add, transform.Max, transform.Min} {
		columns := &mapping{}
		for i, c := range s.Rule.Columns {
			if s.Rule.Folds[i] == fold {
				columns.column(c)
			}
		}
		if len(columns.content) > 0 {
			m.add(fold.String(), columns.node())
		}
	}
}
