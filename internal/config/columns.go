package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sinker/internal/pgbin"
	"sinker/internal/transform"

	"go.yaml.in/yaml/v4"
)

// columns is a mapping of `column: path type`, in the order of the file: columns of rows (NoFold), or group, add,
// max or min of a sink that aggregates.
func columns(fold transform.Fold) kind[Sink] {
	return kind[Sink]{
		shape: shape{
			kind: "columns", takes: "a mapping of `column: path type`", schema: columnSchema(fold), lines: showNames,
		},
		read: func(r *reader, n *yaml.Node, what string, s *Sink) {
			if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
				r.problem(n, "%s must be a mapping of column: path type, not %s", what, emptyOr(n, yaml.MappingNode))
				return
			}
			into := &s.Rule
			if fold != transform.NoFold {
				into = &s.folded
			}
			for i := 0; i+1 < len(n.Content); i += 2 {
				r.column(n, n.Content[i], follow(n.Content[i+1]), fold, into)
			}
		},
		show:  func(s Sink) *yaml.Node { return columnsNode(s.Rule, fold) },
		canon: func(s Sink) string { return columnsText(s.Rule, fold) },
	}
}

// columnSchema allows a number where 1 counts the records.
func columnSchema(fold transform.Fold) object {
	types := []string{"string", "null"}
	if fold == transform.Add {
		types = []string{"string", "integer", "null"}
	}
	return object{{"type", "object"}, {"minProperties", 1}, {"additionalProperties", object{{"type", types}}}}
}

// column reads one entry of the mapping n.
func (r *reader) column(n, k, v *yaml.Node, fold transform.Fold, into *transform.Rule) {
	if problem := badIdentifier(k.Value); problem != "" {
		r.problem(k, "column %q %s", k.Value, problem)
		return
	}
	if slices.ContainsFunc(into.Columns, func(c transform.Column) bool { return c.Name == k.Value }) {
		r.problem(k, "column %s is given twice: a column is filled in one way", k.Value)
		return
	}
	c := transform.Column{Name: k.Value}
	if v.Tag != "!!null" { // null: the field of that name, with the table's type
		text, ok := r.scalar(v, "column "+k.Value)
		if !ok {
			return
		}
		if err := readColumn(&c, text, fold); err != nil {
			r.problem(v, "column %s: %v%s", k.Value, err, cutByComma(n, text))
		}
	}
	into.Columns = append(into.Columns, c)
	if fold == transform.NoFold {
		return
	}
	into.Folds = append(into.Folds, fold)
	if fold == transform.Group {
		into.Key = append(into.Key, c.Name)
	}
}

// cutByComma explains what became of a type such as numeric(14,2) in a mapping in braces.
func cutByComma(n *yaml.Node, text string) string {
	if n.Style&yaml.FlowStyle == 0 || strings.Count(text, "(") == strings.Count(text, ")") {
		return ""
	}
	return "; within { } a comma ends a value: put it in quotes"
}

var (
	aroundPath = regexp.MustCompile(`^([a-zA-Z_]+)\((.*)\)(?:\s+(.*))?$`)
	onlyDigits = regexp.MustCompile(`^([0-9]+)(?:\s+(.*))?$`)
)

// readColumn reads "path type", "path" or "type"; in group also minute(path), hour(path) or day(path) of a time,
// and in add also 1, which counts the records.
func readColumn(c *transform.Column, text string, fold transform.Fold) error {
	text = strings.TrimSpace(text)
	if m := onlyDigits.FindStringSubmatch(text); m != nil && fold == transform.Add {
		if m[1] != transform.CountPath {
			return fmt.Errorf("%s: add takes a path, or 1 to count the records; "+
				"a field of that name goes in double quotes", m[1])
		}
		c.Path, c.Type = m[1], m[2]
		return checkType(c.Type)
	}
	_, notType := pgbin.ParseType(text) // a type may have parentheses: numeric(12,2)
	if m := aroundPath.FindStringSubmatch(text); m != nil && notType != nil && fold != transform.NoFold {
		return readUnit(c, m[1], m[2], m[3], fold)
	}
	if notType == nil {
		if mayBeField[strings.ToLower(text)] {
			return fmt.Errorf("%s could be a field or a type: write `%s %s` for that field with that type, "+
				"or '\"%s\"' for the field with the table's type", text, text, text, text)
		}
		c.Type = text
		return nil
	}
	c.Path, c.Type = splitColumn(text)
	if c.Path == "" {
		return fmt.Errorf("it is empty: write a path and a type, such as amount.total numeric(12,2)")
	}
	if strings.ContainsAny(withoutQuoted(c.Path), "()*+") {
		return fmt.Errorf("%s: expressions are not supported by this version of sinker; "+
			"a field with such a name goes in double quotes", c.Path)
	}
	if err := transform.CheckPath(c.Path); err != nil {
		return err
	}
	return checkType(c.Type)
}

// readUnit reads unit(path) type.
func readUnit(c *transform.Column, unit, path, typ string, fold transform.Fold) error {
	if known, _ := transform.SplitUnit(unit + "()"); fold != transform.Group || known == "" {
		return fmt.Errorf("%s( ) is not known here: a column of group may be minute(path), hour(path) or day(path) "+
			"of a time; other expressions are not supported by this version of sinker", unit)
	}
	var inner transform.Column
	if err := readColumn(&inner, strings.TrimSpace(path)+" timestamptz", transform.NoFold); err != nil || path == "" {
		return fmt.Errorf("%s( ) takes the path of a time, such as minute(created_at), not %q", unit, path)
	}
	c.Path, c.Type = unit+"("+inner.Path+")", typ
	return checkType(c.Type)
}

func checkType(text string) error {
	if text == "" {
		return nil
	}
	_, err := pgbin.ParseType(text)
	return err
}

// mayBeField are types that are just as well the name of a field. Alone they are ambiguous, and the wrong meaning
// would fill the column with nulls.
var mayBeField = set("date", "time", "timestamp", "text", "json", "uuid", "interval", "char", "character", "real",
	"float", "decimal", "dec", "numeric", "inet", "cidr", "macaddr", "bool", "boolean", "int", "integer")

// splitColumn parts "path type": the path ends at the first blank that is not within double quotes.
func splitColumn(s string) (path, typ string) {
	if i := strings.IndexAny(withoutQuoted(s), " \t"); i >= 0 {
		return s[:i], strings.TrimSpace(s[i:])
	}
	return s, ""
}

// withoutQuoted has every byte within double quotes, and the quotes, replaced by _: positions stay as they are.
func withoutQuoted(s string) string {
	b := []byte(s)
	quoted, escaped := false, false
	for i, c := range b {
		within := quoted || c == '"'
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		}
		if within {
			b[i] = '_'
		}
	}
	return string(b)
}

// pathText writes a column's path, which is its name when it has none of its own.
func pathText(c transform.Column) string {
	if c.Path != "" {
		return c.Path
	}
	if transform.CheckPath(c.Name) == nil && !strings.ContainsAny(c.Name, `."$()*+`) {
		return c.Name
	}
	return jsonText(c.Name)
}

// jsonText writes one value as JSON, and several as a list.
func jsonText(values ...string) string {
	var v any = values
	if len(values) == 1 {
		v = values[0]
	}
	text, err := json.Marshal(v)
	if err != nil {
		return strings.Join(values, ",") // strings always marshal
	}
	return string(text)
}

// columnsNode shows the columns of a fold as the file has them.
func columnsNode(rule transform.Rule, fold transform.Fold) *yaml.Node {
	m := &mapping{}
	for i, c := range rule.Columns {
		if foldAt(rule, i) != fold {
			continue
		}
		v := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
		switch {
		case c.Type != "":
			v = textNode(escape(pathText(c) + " " + c.Type))
		case c.Path != "":
			v = textNode(escape(c.Path))
		}
		m.addKey(c.Name, v)
	}
	if len(m.content) == 0 {
		return nil
	}
	return m.node()
}

// columnsText is equal for columns of the same meaning. Their order is not part of it: each is filled by its name.
func columnsText(rule transform.Rule, fold transform.Fold) string {
	var texts []string
	for i := range rule.Columns {
		if foldAt(rule, i) == fold {
			texts = append(texts, rule.Canonical(i))
		}
	}
	return setText(texts)
}

func foldAt(rule transform.Rule, i int) transform.Fold {
	if i < len(rule.Folds) {
		return rule.Folds[i]
	}
	return transform.NoFold
}
