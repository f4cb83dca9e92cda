package transform

import (
	"encoding/json"

	"sinker/internal/pgbin"
)

// Canonical writes the i-th column as every column of the same meaning is written, for the hash of a configuration: its
// name, the parts of its path and its type, all in JSON. A path that is left out is written out, and a type in the
// words that Postgres uses. What neither ParseType nor CheckPath can read is written as it stands.
//
// Hashes of configurations are kept in databases: what Canonical returns for a column must not change.
func (r Rule) Canonical(i int) string {
	c := r.Columns[i]
	typ := c.Type
	if t, err := pgbin.ParseType(typ); err == nil {
		typ = t.String()
	}
	text, err := json.Marshal([]any{c.Name, r.canonicalPath(c), typ})
	if err != nil {
		return c.Name // strings always marshal
	}
	return string(text)
}

// canonicalPath is where the column's value comes from: a word for the part of the record, then the names in it.
func (r Rule) canonicalPath(c Column) []string {
	f := r.foldOf(c.Name)
	if c.Path == "" {
		return []string{"field", c.Name}
	}
	if f == counted {
		return []string{"count"}
	}
	if unit, path := SplitUnit(c.Path); unit != "" && f == Group {
		return append([]string{unit}, r.canonicalPath(Column{Name: c.Name, Path: path})...)
	}
	p, err := parsePath(c.Path)
	switch {
	case err != nil:
		return []string{"as written", c.Path}
	case p.origin == fromField:
		return append([]string{"field"}, p.fields...)
	case p.origin == fromKeyField:
		return append([]string{"key"}, p.fields...)
	case p.origin == fromHeader:
		return []string{"header", p.header}
	}
	return []string{c.Path} // . $key $headers $topic $partition $offset $timestamp
}
