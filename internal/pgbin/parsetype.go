package pgbin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sinker/internal/nearest"
)

// spellings are the names a configuration may use, besides those that format_type prints.
var spellings = map[string]Kind{
	"bool": Bool, "boolean": Bool,
	"int2": Int2, "smallint": Int2,
	"int4": Int4, "int": Int4, "integer": Int4,
	"int8": Int8, "bigint": Int8,
	"float4": Float4, "real": Float4,
	"float8": Float8, "float": Float8, "double precision": Float8,
	"numeric": Numeric, "decimal": Numeric, "dec": Numeric,
	"text":    Text,
	"varchar": Varchar, "character varying": Varchar, "char varying": Varchar,
	"char": Char, "character": Char, "bpchar": Char,
	"bytea": Bytea,
	"uuid":  UUID,
	"date":  Date,
	"time":  Time, "time without time zone": Time,
	"timestamp": Timestamp, "timestamp without time zone": Timestamp,
	"timestamptz": TimestampTZ, "timestamp with time zone": TimestampTZ,
	"interval": Interval,
	"json":     JSON, "jsonb": JSONB,
	"inet": Inet, "cidr": CIDR, "macaddr": MACAddr,
}

// ParseType reads a type as a configuration spells it: any of Postgres' names for it, in any case, with a modifier
// where the type takes one and [] for an array: bigint, numeric(12,2), varchar(20), timestamp(3) with time zone,
// text[].
//
// citext is known too, with its schema before it where tables are to be made. Types made in a database (enumerations,
// domains) have no spelling here: leave the type out and the table's is used.
func ParseType(s string) (Type, error) {
	name := strings.Join(strings.Fields(strings.ToLower(s)), " ")
	name, dims := cutArray(name)
	name, mods, err := cutModifier(name)
	if err != nil {
		return Type{}, fmt.Errorf("type %q: %w", s, err)
	}
	if t := TextType(0, name); t.baseName() == "citext" && mods == nil {
		return inArray(t, dims), nil
	}
	kind, ok := spellings[name]
	if !ok {
		return Type{}, unknownType(s, name)
	}
	typmod, err := modifier(kind, name, mods)
	if err != nil {
		return Type{}, fmt.Errorf("type %q: %w", s, err)
	}
	if name == "float" && len(mods) == 1 && mods[0] <= 24 {
		kind = Float4
	}
	return inArray(OfKind(kind, typmod), dims), nil
}

// inArray makes the array type of any number of dimensions: to Postgres int[] and int[][] are one type.
func inArray(t Type, dims int) Type {
	if dims == 0 {
		return t
	}
	for _, b := range builtins {
		if b.kind == t.Kind && t.Name == "" {
			return ArrayOf(b.arrayOID, t)
		}
	}
	return ArrayOf(0, t)
}

func cutArray(s string) (name string, dims int) {
	for strings.HasSuffix(s, "]") {
		i := strings.LastIndexByte(s, '[')
		if i < 0 || strings.Trim(s[i+1:len(s)-1], "0123456789 ") != "" {
			break
		}
		s, dims = strings.TrimSpace(s[:i]), dims+1
	}
	return s, dims
}

// cutModifier takes the numbers in parentheses out of the name, wherever they stand: timestamp(3) with time zone.
func cutModifier(s string) (name string, mods []int, err error) {
	open := strings.IndexByte(s, '(')
	if open < 0 {
		return s, nil, nil
	}
	inner, after, ok := strings.Cut(s[open+1:], ")")
	if !ok {
		return "", nil, fmt.Errorf("the parenthesis is not closed")
	}
	for part := range strings.SplitSeq(inner, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil {
			return "", nil, fmt.Errorf("%q is not a number", strings.TrimSpace(part))
		}
		mods = append(mods, n)
	}
	return strings.TrimSpace(strings.TrimSpace(s[:open]) + " " + strings.TrimSpace(after)), mods, nil
}

// modifier checks the numbers in parentheses by the rules of the type and packs them as Postgres does.
func modifier(kind Kind, name string, mods []int) (int32, error) {
	if mods == nil {
		if kind == Char && name != "bpchar" {
			return varHeader + 1, nil // char is char(1)
		}
		return -1, nil
	}
	within := func(n, low, high int, what string) error {
		if n < low || n > high {
			return fmt.Errorf("%s must be between %d and %d", what, low, high)
		}
		return nil
	}
	switch {
	case kind == Numeric && len(mods) <= 2:
		scale := 0
		if len(mods) == 2 {
			scale = mods[1]
		}
		if err := within(mods[0], 1, 1000, "the precision"); err != nil {
			return 0, err
		}
		return int32(mods[0]<<16|scale&0x7ff) + varHeader, within(scale, -1000, 1000, "the scale")
	case len(mods) != 1:
	case kind == Varchar || kind == Char:
		return int32(mods[0]) + varHeader, within(mods[0], 1, 10485760, "the length")
	case kind == Time || kind == Timestamp || kind == TimestampTZ:
		return int32(mods[0]), within(mods[0], 0, 6, "the digits of a second")
	case kind == Interval:
		return 0x7fff<<16 | int32(mods[0]), within(mods[0], 0, 6, "the digits of a second")
	case name == "float":
		return -1, within(mods[0], 1, 53, "the precision")
	}
	return 0, fmt.Errorf("%s does not take (%s)", name, strings.Trim(strings.ReplaceAll(fmt.Sprint(mods), " ", ","), "[]"))
}

func unknownType(spelled, name string) error {
	known := make([]string, 0, len(spellings))
	for k := range spellings {
		known = append(known, k)
	}
	slices.Sort(known)
	if near := nearest.Name(name, known); near != "" {
		return fmt.Errorf("unknown type %q; did you mean %q?", spelled, near)
	}
	known = slices.DeleteFunc(known, func(k string) bool { return strings.Contains(k, " ") })
	return fmt.Errorf("unknown type %q; known are %s, and arrays of them as text[]; for a type made in your database "+
		"leave the type out, then the table's is used", spelled, strings.Join(known, ", "))
}
