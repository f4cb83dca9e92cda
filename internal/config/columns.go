package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"sinker/internal/transform"

	"go.yaml.in/yaml/v4"
)

// columns reads "column: path type" in the order of the file.
func (r *reader) columns(n *yaml.Node, s *Sink) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		r.problem(n, "columns must be a mapping of column: path type, not %s; without columns the table's own are filled by name", map[bool]string{true: "an empty one", false: kindOf(n)}[n.Kind == yaml.MappingNode])
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], follow(n.Content[i+1])
		if problem := badIdentifier(k.Value); problem != "" {
			r.problem(k, "column %q %s", k.Value, problem)
			continue
		}
		if slices.ContainsFunc(s.Rule.Columns, func(c transform.Column) bool { return c.Name == k.Value }) {
			r.problem(k, "column %s is given twice", k.Value)
			continue
		}
		c := transform.Column{Name: k.Value}
		if v.Tag != "!!null" { // null: the field of that name, with the table's type
			text, ok := r.scalar(v, "column "+k.Value)
			if !ok {
				continue
			}
			if err := readColumn(&c, text); err != nil {
				r.problem(v, "column %s: %v%s", k.Value, err, cutByComma(n, text))
			}
		}
		s.Rule.Columns = append(s.Rule.Columns, c)
	}
}

// readColumn reads "path type", "path" or "type".
func readColumn(c *transform.Column, text string) error {
	text = strings.TrimSpace(text)
	if _, err := transform.ParseType(text); err == nil {
		if mayBeField[strings.ToLower(text)] {
			return fmt.Errorf("%s could be a field or a type: write `%s %s` for that field with that type, or '\"%s\"' for the field with the table's type", text, text, text, text)
		}
		c.Type = text
		return nil
	}
	c.Path, c.Type = splitColumn(text)
	if c.Path == "" {
		return fmt.Errorf("it is empty: write a path and a type, such as amount.total numeric(12,2)")
	}
	if strings.ContainsAny(outsideQuotes(c.Path), "()*+") {
		return fmt.Errorf("%s: expressions are not supported by this version of sinker; a field with such a name goes in double quotes", c.Path)
	}
	if err := transform.CheckPath(c.Path); err != nil {
		return err
	}
	if c.Type != "" {
		if _, err := transform.ParseType(c.Type); err != nil {
			return err
		}
	}
	return nil
}

// mayBeField are types that are just as well the name of a field: alone, nobody can say which is meant, and the wrong
// one would fill the column with nulls.
var mayBeField = set("date", "time", "timestamp", "text", "json", "uuid", "interval", "char", "character", "real", "float", "decimal", "dec", "numeric",
	"inet", "cidr", "macaddr", "bool", "boolean", "int", "integer")

// splitColumn parts "path type": the path ends at the first blank that is not within double quotes.
func splitColumn(s string) (path, typ string) {
	quoted, escaped := false, false
	for i, c := range s {
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case (c == ' ' || c == '\t') && !quoted:
			return s[:i], strings.TrimSpace(s[i:])
		}
	}
	return s, ""
}

// outsideQuotes is a path without its quoted parts.
func outsideQuotes(path string) string {
	var b strings.Builder
	quoted, escaped := false, false
	for _, c := range path {
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case !quoted:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// pathText writes a column's path, which is its name when it has none of its own.
func pathText(c transform.Column) string {
	if c.Path != "" {
		return c.Path
	}
	if transform.CheckPath(c.Name) == nil && !strings.ContainsAny(c.Name, `."$()*+`) {
		return c.Name
	}
	text, err := json.Marshal(c.Name)
	if err != nil {
		return c.Name // strings always marshal
	}
	return string(text)
}

// columnText is what readColumn reads.
func columnText(c transform.Column) string {
	if c.Type == "" {
		return c.Path
	}
	return pathText(c) + " " + c.Type
}
