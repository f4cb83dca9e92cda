package transform

import (
	"fmt"
	"strings"

	"sinker/internal/pgbin"
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
var units = map[string]int64{"minute": pgbin.Minute, "hour": pgbin.Hour, "day": pgbin.Day}

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
func foldEncoding(f Fold, unit string, t pgbin.Type) (pgbin.Encoding, error) {
	switch f {
	case Group:
		return groupEncoding(unit, t)
	case Add, counted:
		switch t.Kind {
		case pgbin.Int2, pgbin.Int4, pgbin.Int8:
			return pgbin.NewEncoding(t, false)
		case pgbin.Numeric, pgbin.Float4, pgbin.Float8:
			return pgbin.Finite(t)
		}
		return pgbin.Encoding{}, fmt.Errorf("%s has no sum; add goes into smallint, integer, bigint, numeric, real and "+
			"double precision", t)
	}
	switch t.Kind {
	case pgbin.Int2, pgbin.Int4, pgbin.Int8, pgbin.Numeric, pgbin.Float4, pgbin.Float8,
		pgbin.Date, pgbin.Time, pgbin.Timestamp, pgbin.TimestampTZ:
		return pgbin.NewEncoding(t, false)
	}
	return pgbin.Encoding{}, fmt.Errorf("%s goes into numbers, dates and times, not into %s, whose order only "+
		"Postgres knows", f, t)
}

func groupEncoding(unit string, t pgbin.Type) (pgbin.Encoding, error) {
	switch {
	case t.Kind == pgbin.Array:
		return pgbin.Encoding{}, fmt.Errorf("an array cannot be a group")
	case unit == "":
		return pgbin.NewEncoding(t, true)
	case t.Kind == pgbin.Timestamp, t.Kind == pgbin.TimestampTZ, t.Kind == pgbin.Date && unit == "day":
		return pgbin.Cut(t, units[unit])
	}
	return pgbin.Encoding{}, fmt.Errorf("%s( ) gives timestamp with time zone or timestamp, and day( ) also date; "+
		"the column is %s", unit, t)
}
