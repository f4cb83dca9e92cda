package transform

import (
	"encoding/binary"
	"slices"

	"sinker/internal/format"
	"sinker/internal/pgbin"
	"sinker/internal/value"
)

// Plan is a rule compiled for a table. It does not change and may be shared; encoders are made from it.
type Plan struct {
	columns    []column // in tuple order: key columns first
	keys       int
	left       []Left
	computes   bool // some columns are for Postgres to compute where a record has no field for them
	tombstones bool
	ignored    bool // tombstones are filtered
	maxDepth   int
	envelope   Envelope // nil: each record is one change

	value *format.Document // nil: no column needs the value
	key   *format.Document // nil: no column needs a field of the key
	// deletion finds the key columns of a tombstone in the record's key; nil: there is nothing to find.
	deletion *format.Document
	fields   bool // columns come from fields of the value, which must be an object then
	// sought is how many columns come from fields of the value; -1 where a record that has none of them is a row all the
	// same, because a listed column takes what every record has.
	sought int
	byName bool // no columns are listed
}

// column is one column of the tuple. What every record needs stands first, in one line of the processor's cache.
type column struct {
	pgbin.Encoding
	origin origin
	node   int32  // fromField, fromKeyField: the place in the document
	absent []byte // the tuple's bytes for a field that is not there; nil: see omit
	omit   bool   // a field that is not there is left out of the tuple, for Postgres to compute; else it is a bad record
	place  uint16 // in the tuple

	TableColumn
	header string
	fields []string // fromField, fromKeyField: the path
	way    []int32  // the nodes of the objects it is in
	listed bool     // under columns:, and not one of Meta's

	// Of key columns: where a tombstone's key has it, first choice and second.
	deletion [2]int32
	soleKey  bool // the record's key may be this column's value itself

	fold Fold
}

// Columns returns the columns of the tuples, in their order: the key columns first, in the order of Rule.Key.
func (p *Plan) Columns() []TableColumn {
	columns := make([]TableColumn, len(p.columns))
	for i := range p.columns {
		columns[i] = p.columns[i].TableColumn
	}
	return columns
}

// KeyColumns returns how many of the first columns are the key; 0 means append.
func (p *Plan) KeyColumns() int { return p.keys }

// Folds returns what becomes of each of the Columns in a plan that aggregates; nil in any other.
func (p *Plan) Folds() []Fold {
	if p.keys == 0 || p.columns[0].fold == NoFold {
		return nil
	}
	folds := make([]Fold, len(p.columns))
	for i := range p.columns {
		folds[i] = min(p.columns[i].fold, Min)
		if p.columns[i].fold == counted {
			folds[i] = Add
		}
	}
	return folds
}

// Left is a column that is not read from the records, even where a field has its name, and why.
type Left struct{ Column, Why string }

// LeftToPostgres returns the columns that matching by name left out although they could be listed, or hold what
// Postgres computes.
func (p *Plan) LeftToPostgres() []Left { return slices.Clone(p.left) }

// Computes says whether tuples of the plan may lack columns: see Encoder.Shape.
func (p *Plan) Computes() bool { return p.computes }

// KeyOf returns the bytes of the key columns, which no tuple lacks, within a tuple made by Append, of a write or of a
// delete. Two rows that are one to Postgres' unique index have the same bytes (but for text under a nondeterministic
// collation).
func (p *Plan) KeyOf(tuple []byte) []byte {
	end := 2
	for range p.keys {
		end += 4 + int(binary.BigEndian.Uint32(tuple[end:])) // a key column is never NULL
	}
	return tuple[2:end]
}

// NewEncoder returns an encoder of records whose values have the format f; nil: they are plain JSON. It has scratch
// memory of its own.
func (p *Plan) NewEncoder(f format.Format) *Encoder {
	e := &Encoder{plan: p, json: format.JSON(p.maxDepth)}
	e.format = f
	if f == nil {
		e.format = e.json
	}
	e.value = newReader(e.format, p.value)
	e.key = newReader(e.json, p.key)
	e.deletion = newReader(e.json, p.deletion)
	return e
}

// reader is a decoder with the values that it fills.
type reader struct {
	format.Decoder
	values []value.Value
}

// newReader returns nil where nothing is to be read.
func newReader(f format.Format, want *format.Document) *reader {
	if want == nil {
		return nil
	}
	values := make([]value.Value, want.Len())
	return &reader{f.Decoder(want, values), values}
}
