package transform

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"sinker/internal/nearest"
	"sinker/internal/pgbin"
)

// Rule is a sink's configured way from a record to a row.
type Rule struct {
	// Columns in the configured order. Empty: every column of the table is filled from the record's top-level field of
	// the same name, except what Plan.LeftToPostgres returns and what is generated from other columns.
	Columns []Column
	// Meta lists provenance to keep with the row: topic, partition, offset, timestamp, key, headers. Each goes into
	// the column of that name with kafka_ before it.
	Meta []string
	// Key lists the columns of the upsert key; empty means append.
	Key []string
	// Tombstones makes a record with a null value delete the row of its key.
	Tombstones bool
	// IgnoreTombstones makes a record with a null value no row and no dead letter: it is filtered. Not with Tombstones.
	IgnoreTombstones bool `json:",omitempty"`
	// Folds makes the rule one that aggregates: it says what becomes of each of the Columns, of which Key are the groups.
	Folds []Fold `json:",omitempty"`
	// Format is the name of the format of the records' values (format.Names); empty means format.Default.
	Format string `json:",omitempty"`
	// Envelope is how records say what they do to rows; nil: each record is one change.
	Envelope Envelope `json:"-"`
	// MaxDepth is how many objects and arrays may be inside one another; 0 means 512. More than 10000 is not possible.
	MaxDepth int
}

// Column is one configured column.
//
// Path says where its value comes from: a field's name, names joined by dots for objects within objects (quoted where
// a name has dots or odd characters: `"a.b".c`), `.` for the whole value, $topic, $partition, $offset, $timestamp,
// $key for the key's bytes, $key.name for a field of a JSON key, $headers for all headers as JSON, or $headers.name
// for the last header of that name. An empty Path is the field with the column's name.
//
// In a rule that aggregates the path of a group may be minute(path), hour(path) or day(path), and that of an Add may be
// CountPath.
//
// Type is a type as pgbin.ParseType reads it, or empty for the table's.
type Column struct {
	Name, Path, Type string
}

// Table is a table's columns as the encoder needs them.
type Table struct {
	Schema, Name string
	Columns      []TableColumn
}

// TableColumn is one column of a table.
type TableColumn struct {
	Name       string
	Type       pgbin.Type
	NotNull    bool
	Generated  bool   // GENERATED ALWAYS AS (an expression): never written
	Identity   bool   // GENERATED ALWAYS AS IDENTITY: written where the rule names it
	HasDefault bool   // one that is not NULL, of the column or of its domain; also a sequence or an identity
	Default    []byte // binary value of a constant default; nil when there is none or only Postgres can compute it
}

const (
	mostDepth   = 10000
	mostColumns = 1600 // Postgres' limit of a table
	mostName    = 63   // bytes of a name; Postgres cuts longer ones, so that two could become one
)

// computed says whether only Postgres can tell what stands in the column when nothing is given for it.
func (c TableColumn) computed() bool { return c.HasDefault && c.Default == nil && !c.Generated }

// metaPrefix leads the names of provenance columns.
const metaPrefix = "kafka_"

// meta is a piece of provenance: where it comes from, and its type in a table that sinker makes. The key is bytea
// because any other type would turn records with a binary key into bad records; a table made by hand may choose text.
var meta = []struct{ name, path, typ string }{
	{"topic", "$topic", "text"},
	{"partition", "$partition", "integer"},
	{"offset", "$offset", "bigint"},
	{"timestamp", "$timestamp", "timestamp with time zone"},
	{"key", "$key", "bytea"},
	{"headers", "$headers", "jsonb"},
}

// metaColumns returns the columns that r.Meta asks for.
func (r Rule) metaColumns() ([]Column, error) {
	var columns []Column
	for _, want := range r.Meta {
		i := slices.IndexFunc(meta, func(m struct{ name, path, typ string }) bool { return m.name == want })
		if i < 0 {
			names := make([]string, len(meta))
			for i, m := range meta {
				names[i] = m.name
			}
			return nil, fmt.Errorf("meta %q is not known%s; known are %s",
				want, didYouMean(want, names), strings.Join(names, ", "))
		}
		columns = append(columns, Column{Name: metaPrefix + want, Path: meta[i].path, Type: meta[i].typ})
	}
	return columns, nil
}

// Declared returns the table that `create: yes` makes: the listed columns, which all need a type, and those of Meta
// (kafka_topic text, kafka_partition integer, kafka_offset bigint, kafka_timestamp timestamp with time zone,
// kafka_key bytea, kafka_headers jsonb). Key columns and sums are NOT NULL, all others may be NULL.
func (r Rule) Declared(schema, name string) (Table, error) {
	t := Table{Schema: schema, Name: name}
	more, err := r.metaColumns()
	if err != nil {
		return Table{}, err
	}
	for _, c := range slices.Concat(r.Columns, more) {
		if err := checkName(c.Name); err != nil {
			return Table{}, err
		}
		text := r.typeOrUsual(c)
		if text == "" {
			return Table{}, fmt.Errorf("column %s has no type, and without one the table %s cannot be made; write `%s: %s "+
				"bigint`, or whatever its type is", c.Name, name, c.Name, c.pathOrName())
		}
		typ, err := pgbin.ParseType(text)
		if err != nil {
			return Table{}, fmt.Errorf("column %s: %w", c.Name, err)
		}
		if t.has(c.Name) {
			return Table{}, fmt.Errorf("column %s is there twice", c.Name)
		}
		notNull := slices.Contains(r.Key, c.Name) || r.isSum(c.Name)
		t.Columns = append(t.Columns, TableColumn{Name: c.Name, Type: typ, NotNull: notNull})
	}
	if len(t.Columns) == 0 {
		return Table{}, fmt.Errorf("table %s would have no column; list some under columns:", name)
	}
	for _, k := range r.Key {
		if !t.has(k) {
			return Table{}, fmt.Errorf("key column %s is not among the columns%s; list it under columns: with its type",
				k, didYouMean(k, t.names()))
		}
	}
	return t, nil
}

func (c Column) pathOrName() string {
	if c.Path == "" {
		return quoteSegment(c.Name)
	}
	return c.Path
}

func (t Table) has(name string) bool { return t.index(name) >= 0 }

func (t Table) index(name string) int {
	return slices.IndexFunc(t.Columns, func(c TableColumn) bool { return c.Name == name })
}

func (t Table) names() []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

// checkName refuses a column name that Postgres would cut, or could not hold.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a column has an empty name")
	case len(name) > mostName:
		return fmt.Errorf("column %s: the name has %d bytes and Postgres keeps %d; choose a shorter one: `short: %s`",
			name, len(name), mostName, quoteSegment(name))
	case !utf8.ValidString(name) || strings.Contains(name, "\x00"):
		return fmt.Errorf("column %q: the name is not valid text", name)
	}
	return nil
}

func didYouMean(name string, candidates []string) string {
	if near := nearest.Name(name, candidates); near != "" {
		return fmt.Sprintf(" (did you mean %s?)", near)
	}
	return ""
}
