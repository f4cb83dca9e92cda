package pgbin

import (
	"slices"
	"strconv"
	"strings"
)

// Kind is a family of Postgres types that one appender writes.
type Kind uint8

// The kinds. Unknown is a type that cannot be written.
const (
	Unknown Kind = iota
	Bool
	Int2
	Int4
	Int8
	Float4
	Float8
	Numeric
	Text    // text, and text-like types of extensions
	Varchar // character varying
	Char    // character(n), bpchar
	Bytea
	UUID
	Date
	Time
	Timestamp
	TimestampTZ
	Interval
	JSON
	JSONB
	Inet
	CIDR
	MACAddr
	Enum
	Array
)

// Type is a Postgres type with its modifier. The zero Type, and one with only OID and Name set, is a type that the
// encoder cannot write; Compile refuses columns that would need it.
type Type struct {
	Kind   Kind
	OID    uint32 // 0: not known here, as for the types of extensions named in a configuration
	Typmod int32  // as in pg_attribute.atttypmod; -1: none
	Elem   *Type  // of an array
	Name   string // of a type that is not built in, as Postgres prints it
	Labels []string
}

// builtin is what is fixed about a built-in type.
type builtin struct {
	kind     Kind
	oid      uint32
	arrayOID uint32
	name     string // as format_type prints it, without a modifier
}

var builtins = []builtin{
	{Bool, 16, 1000, "boolean"},
	{Int2, 21, 1005, "smallint"},
	{Int4, 23, 1007, "integer"},
	{Int8, 20, 1016, "bigint"},
	{Float4, 700, 1021, "real"},
	{Float8, 701, 1022, "double precision"},
	{Numeric, 1700, 1231, "numeric"},
	{Text, 25, 1009, "text"},
	{Varchar, 1043, 1015, "character varying"},
	{Char, 1042, 1014, "bpchar"},
	{Bytea, 17, 1001, "bytea"},
	{UUID, 2950, 2951, "uuid"},
	{Date, 1082, 1182, "date"},
	{Time, 1083, 1183, "time without time zone"},
	{Timestamp, 1114, 1115, "timestamp without time zone"},
	{TimestampTZ, 1184, 1185, "timestamp with time zone"},
	{Interval, 1186, 1187, "interval"},
	{JSON, 114, 199, "json"},
	{JSONB, 3802, 3807, "jsonb"},
	{Inet, 869, 1041, "inet"},
	{CIDR, 650, 651, "cidr"},
	{MACAddr, 829, 1040, "macaddr"},
}

// BaseType returns the built-in type, or array of built-in types, that has the OID. It reports false for a type that is
// not built in or that the encoder cannot write.
func BaseType(oid uint32, typmod int32) (Type, bool) {
	for _, b := range builtins {
		switch {
		case oid == 0:
		case b.oid == oid:
			return Type{Kind: b.kind, OID: oid, Typmod: typmod}, true
		case b.arrayOID == oid:
			return ArrayOf(oid, Type{Kind: b.kind, OID: b.oid, Typmod: typmod}), true
		}
	}
	return Type{}, false
}

// OfKind returns the built-in type of a kind.
func OfKind(kind Kind, typmod int32) Type {
	for _, b := range builtins {
		if b.kind == kind {
			return Type{Kind: kind, OID: b.oid, Typmod: typmod}
		}
	}
	panic("pgbin: no built-in type of kind " + strconv.Itoa(int(kind)))
}

// EnumType returns an enumeration. Labels are compared byte by byte, as Postgres does.
func EnumType(oid uint32, name string, labels []string) Type {
	return Type{Kind: Enum, OID: oid, Typmod: -1, Name: name, Labels: labels}
}

// TextType returns a type whose binary form is its text, such as citext.
func TextType(oid uint32, name string) Type {
	return Type{Kind: Text, OID: oid, Typmod: -1, Name: name}
}

// ArrayOf returns the array type with the OID, of any number of dimensions. A modifier is the element's.
func ArrayOf(oid uint32, elem Type) Type {
	return Type{Kind: Array, OID: oid, Typmod: -1, Elem: &elem}
}

// Same says whether t and u are one type with one modifier.
func (t Type) Same(u Type) bool {
	if t.Kind != u.Kind || t.Typmod != u.Typmod && t.Kind != Array {
		return false
	}
	if t.Kind == Array {
		return t.Elem.Same(*u.Elem)
	}
	if t.OID != 0 && u.OID != 0 {
		return t.OID == u.OID
	}
	return t.baseName() == u.baseName() && slices.Equal(t.Labels, u.Labels)
}

// baseName is the name without a schema, which a configuration may leave out.
func (t Type) baseName() string { return t.Name[strings.LastIndexByte(t.Name, '.')+1:] }

// String spells the type as Postgres' format_type does.
func (t Type) String() string {
	if t.Kind == Array {
		return t.Elem.String() + "[]"
	}
	if t.Name != "" {
		return t.Name
	}
	for _, b := range builtins {
		if b.kind == t.Kind {
			return t.withModifier(b.name)
		}
	}
	return "type with OID " + strconv.FormatUint(uint64(t.OID), 10)
}

func (t Type) withModifier(name string) string {
	if t.Typmod < 0 {
		return name
	}
	switch t.Kind {
	case Numeric:
		p, s := t.precision()
		return name + "(" + strconv.Itoa(p) + "," + strconv.Itoa(s) + ")"
	case Char:
		return "character(" + strconv.Itoa(t.length()) + ")"
	case Varchar:
		return name + "(" + strconv.Itoa(t.length()) + ")"
	case Time:
		return "time(" + strconv.Itoa(t.fraction()) + ") without time zone"
	case Timestamp:
		return "timestamp(" + strconv.Itoa(t.fraction()) + ") without time zone"
	case TimestampTZ:
		return "timestamp(" + strconv.Itoa(t.fraction()) + ") with time zone"
	case Interval:
		if t.Typmod&0xffff != 0xffff {
			return name + "(" + strconv.Itoa(t.fraction()) + ")"
		}
	}
	return name
}

// varHeader is what Postgres adds to the modifiers of types with a length.
const varHeader = 4

// precision and scale of numeric(p,s); only with a modifier. The scale has eleven bits and a sign.
func (t Type) precision() (p, s int) {
	m := t.Typmod - varHeader
	return int(m >> 16 & 0xffff), int(m&0x7ff^1024) - 1024
}

// length of varchar(n) and char(n) in characters; -1 without a modifier.
func (t Type) length() int {
	if t.Typmod < varHeader {
		return -1
	}
	return int(t.Typmod) - varHeader
}

// fraction is the number of digits of a second that the type keeps: at most, and without a modifier, six.
func (t Type) fraction() int {
	if t.Typmod < 0 {
		return 6
	}
	return min(int(t.Typmod&0xffff), 6)
}

// fields says whether an interval type keeps all its fields: interval, not `interval day to hour`.
func (t Type) fields() bool { return t.Typmod < 0 || t.Typmod>>16&0x7fff == 0x7fff }
