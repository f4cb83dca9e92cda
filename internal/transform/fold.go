package transform

import (
	"fmt"
	"strings"
)

// Fold is what becomes of a column's value in a rule that aggregates: records with equal group columns become one row.
type Fold uint8

// The folds. NoFold is a column of a rule that does not aggregate.
const (
	NoFold  Fold = iota
	Group        // the row's group: the columns of Rule.Key
	Add          // the sum of the records' values; a null or missing one adds nothing
	Max          // the largest, null and missing ones left out
	Min          // the smallest
	counted      // Add of the path 1: the number of records
)

func (f Fold) String() string {
	return [...]string{"a column", "group", "add", "max", "min", "add"}[f]
}

// CountPath is the Path of an Add column that counts records. A field of that name is written in quotes.
const CountPath = "1"

// units are the functions that a group column's path may have around it, in microseconds.
var units = map[string]int64{"minute": minuteMicros, "hour": hourMicros, "day": dayMicros}

// SplitUnit cuts minute(path), hour(path) or day(path) into the function's name and the path; unit is empty when the
// path has none around it.
func SplitUnit(s string) (unit, path string) {
	name, rest, ok := strings.Cut(s, "(")
	if _, known := units[name]; ok && known && strings.HasSuffix(rest, ")") {
		return name, rest[:len(rest)-1]
	}
	return "", s
}

// foldOf returns the fold of a configured column.
func (r Rule) foldOf(name string) Fold {
	for i, c := range r.Columns {
		if i < len(r.Folds) && c.Name == name {
			if r.Folds[i] == Add && c.Path == CountPath {
				return counted
			}
			return r.Folds[i]
		}
	}
	return NoFold
}

// isSum says whether a column is one of Add, which always has a value.
func (r Rule) isSum(name string) bool { f := r.foldOf(name); return f == Add || f == counted }

// typeOrUsual is the type that a configured column has in a table that sinker makes; empty when it has none.
func (r Rule) typeOrUsual(c Column) string {
	unit, _ := SplitUnit(c.Path)
	switch f := r.foldOf(c.Name); {
	case c.Type != "":
		return c.Type
	case f == counted:
		return "bigint"
	case f == Group && unit != "":
		return "timestamp with time zone"
	}
	return ""
}

// TypeOrUsual says whether create can make the i-th column: it has a type, or a usual one.
func (r Rule) TypeOrUsual(i int) string { return r.typeOrUsual(r.Columns[i]) }

// checkFolds refuses a rule whose folds do not fit together.
func (r Rule) checkFolds() error {
	if len(r.Folds) == 0 {
		return nil
	}
	if len(r.Folds) != len(r.Columns) || len(r.Meta) > 0 || r.Tombstones || len(r.Key) == 0 {
		return fmt.Errorf("a rule that aggregates has group columns, a fold for every column, no meta and no deletes")
	}
	return nil
}

// foldEncoding is how one record's value is written for its fold: as for any other column, but that a time of a unit is
// cut down to it, and that what has no sum is refused.
func foldEncoding(f Fold, unit string, t Type) (encoding, error) {
	switch f {
	case Group:
		return groupEncoding(unit, t)
	case Add, counted:
		switch t.Kind {
		case Int2, Int4, Int8:
			return newEncoding(t, false)
		case Numeric, Float4, Float8:
			inner, err := newEncoding(t, false)
			return encoding{append: appendFinite, element: &inner, of: t, precision: inner.precision, scale: inner.scale}, err
		}
		return encoding{}, fmt.Errorf("%s has no sum; add goes into smallint, integer, bigint, numeric, real and double precision", t)
	}
	switch t.Kind {
	case Int2, Int4, Int8, Numeric, Float4, Float8, Date, Time, Timestamp, TimestampTZ:
		return newEncoding(t, false)
	}
	return encoding{}, fmt.Errorf("%s goes into numbers, dates and times, not into %s, whose order only Postgres knows", f, t)
}

func groupEncoding(unit string, t Type) (encoding, error) {
	if t.Kind == Array {
		return encoding{}, fmt.Errorf("an array can not be a group")
	}
	if unit == "" {
		return newEncoding(t, true)
	}
	whole := t
	whole.Typmod = -1 // the fraction goes anyway
	switch {
	case t.Kind == Timestamp || t.Kind == TimestampTZ:
	case t.Kind == Date && unit == "day":
		whole = baseType(TimestampTZ, -1)
	default:
		return encoding{}, fmt.Errorf("%s( ) gives timestamp with time zone or timestamp, and day( ) also date; the column is %s", unit, t)
	}
	inner, err := newEncoding(whole, true)
	return encoding{append: appendCut, element: &inner, isKey: true, unit: units[unit], of: t, fraction: 6}, err
}

// appendCut writes a time cut down to its minute, hour or day, in UTC.
func appendCut(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	dst, err := enc.element.append(dst, v, enc.element)
	if err != nil {
		return dst, err
	}
	return cutMicros(dst, enc), nil
}

// appendFinite writes a number that a sum can go on from: one NaN or infinity would stay in it for ever.
func appendFinite(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	at := len(dst)
	dst, err := enc.element.append(dst, v, enc.element)
	if err == nil && !isFinite(dst[at+4:], enc.of.Kind) {
		return dst, bad(CodeOutOfRange, fmt.Sprintf("%s can not be added: the sum would be that for ever", glimpse(v.b)))
	}
	return dst, err
}
