package record

import "regexp"

// Codes of a BadRecord: short, stable, fit for a metric's label.
const (
	CodeNoTable     = "no_table"     // it has a change for a table that the sink does not have
	CodeNotJSON     = "not_json"     // the value, or the key where it is read as JSON, is not one JSON text
	CodeNotObject   = "not_object"   // it is JSON, but columns are read from fields and it has none
	CodeNoField     = "no_field"     // it is an object, and has none of the fields that columns are read from
	CodeTooDeep     = "too_deep"     // nested deeper than Rule.MaxDepth
	CodeTombstone   = "tombstone"    // the value is null, and the sink does not delete
	CodeMissing     = "missing"      // a NOT NULL column gets nothing: the field is not there, or null
	CodeWrongType   = "wrong_type"   // a JSON type that the column's type does not take
	CodeInvalid     = "invalid"      // a text that is not in a form of the column's type
	CodeOutOfRange  = "out_of_range" // larger or smaller than the column's type holds
	CodeInexact     = "inexact"      // it would have to be rounded
	CodeTooLong     = "too_long"     // more characters than varchar(n) or char(n) holds
	CodeInvalidUTF8 = "invalid_utf8" // Postgres stores no such text
	CodeNUL         = "nul"          // \u0000, which Postgres' text cannot hold
	CodeSurrogate   = "surrogate"    // half of a UTF-16 pair, which is no character
)

// BadRecord says why a record cannot become a row. The encoder that returns it has appended nothing.
type BadRecord struct {
	Table  string // as the record's change names it; empty for the sink's own
	Column string // the table's column; empty when it is about the whole record
	Code   string // one of the Code constants
	Reason string // one sentence for people, with a glimpse of the value: for sinker.dead_letters only
	Shown  string // the same without any value of the record, where Code alone does not say it
}

// Error is what may be shown to anybody: the column and what is wrong, and nothing of the record's contents.
func (b *BadRecord) Error() string {
	s := b.Shown
	if s == "" {
		s = b.Code + ": " + glimpses.ReplaceAllString(b.Reason, "…")
	}
	if b.Column == "" {
		return s
	}
	return "column " + b.Column + ": " + s
}

// glimpses are values in a reason, in quotes and cut where they are long.
var glimpses = regexp.MustCompile(`"(?:[^"\\]|\\.)*"…?`)
