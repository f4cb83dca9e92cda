package pgbin

import (
	"encoding/binary"
	"fmt"

	"sinker/internal/record"
	"sinker/internal/value"
)

// Encoding is how values are written as a type: the type with everything about it worked out beforehand, and its
// appender.
type Encoding struct {
	append           appender
	isKey            bool  // equal values must have equal bytes
	length           int   // varchar(n), char(n): characters; -1: any
	precision, scale int   // numeric(p,s); precision 0: any
	fraction         int   // of times: digits of a second
	unit             int64 // of a time that is cut down: microseconds
	labels           map[string]struct{}
	element          *Encoding // of an array; of what Cut and Finite change

	Of Type
}

// Append appends a value that is there and not null, as the length and the bytes of a field of a binary COPY tuple.
// When it returns a BadRecord, what it appended is of no use.
func (enc *Encoding) Append(dst []byte, v *value.Value) ([]byte, *record.BadRecord) {
	return enc.append(dst, v, enc)
}

// IsKey says whether values that are equal to Postgres have equal bytes.
func (enc *Encoding) IsKey() bool { return enc.isKey }

// appender is what Append calls.
type appender func(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord)

// appenders by the kind of type. Arrays are apart, because theirs come back here for the elements.
var appenders = map[Kind]appender{
	Bool:        appendBool,
	Int2:        appendInt2,
	Int4:        appendInt4,
	Int8:        appendInt8,
	Float4:      appendFloat4,
	Float8:      appendFloat8,
	Numeric:     appendNumeric,
	Text:        appendText,
	Varchar:     appendText,
	Char:        appendText,
	Enum:        appendEnum,
	Bytea:       appendBytea,
	UUID:        appendUUID,
	Date:        appendDate,
	Time:        appendTime,
	Timestamp:   appendTimestamp,
	TimestampTZ: appendTimestampTZ,
	Interval:    appendInterval,
	JSON:        appendJSON,
	JSONB:       appendJSONB,
	Inet:        appendInet,
	CIDR:        appendInet,
	MACAddr:     appendMACAddr,
}

// ComesAs is the type as which a value is read, before Cut makes another of it.
func (enc *Encoding) ComesAs() Type {
	if enc.unit > 0 {
		return enc.element.Of
	}
	return enc.Of
}

// NewEncoding returns the encoding of a type. In a key, values that are equal to Postgres have equal bytes; types whose
// equal values cannot be told are refused.
func NewEncoding(t Type, isKey bool) (Encoding, error) {
	enc := Encoding{Of: t, append: appenders[t.Kind], isKey: isKey, length: -1, fraction: t.fraction()}
	switch t.Kind {
	case Array:
		if t.OID == 0 || t.Elem.OID == 0 {
			return enc, fmt.Errorf("arrays of %s cannot be written", t.Elem)
		}
		elem, err := NewEncoding(*t.Elem, isKey)
		enc.append, enc.element = appendArray, &elem
		return enc, err
	case Numeric:
		if t.Typmod >= 0 {
			enc.precision, enc.scale = t.precision()
		}
	case Varchar, Char:
		enc.length = t.length()
	case Interval:
		if !t.fields() {
			return enc, fmt.Errorf("an interval of some fields only would cut values; make it a plain interval")
		}
	case Enum:
		enc.labels = make(map[string]struct{}, len(t.Labels))
		for _, l := range t.Labels {
			enc.labels[l] = struct{}{}
		}
	}
	if enc.append == nil {
		return enc, fmt.Errorf("type %s cannot be written; list the other columns under `columns:` if it may be NULL or "+
			"has a default, or make it text or jsonb", t)
	}
	if isKey && !canBeKey(t) {
		return enc, fmt.Errorf("type %s cannot be a key here, because equal values of it have several forms", t)
	}
	return enc, nil
}

// canBeKey says whether the appender can give equal values equal bytes.
func canBeKey(t Type) bool {
	switch t.Kind {
	case JSON, JSONB, Interval:
		return false
	case Text:
		return t.Name == ""
	}
	return true
}

// appendInt32 appends a length, or another number of four bytes.
func appendInt32(dst []byte, n int32) []byte { return binary.BigEndian.AppendUint32(dst, uint32(n)) }

// setLength writes the length of what was appended behind the four bytes at.
func setLength(dst []byte, at int) { binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4)) }

func wrongType(v *value.Value, enc *Encoding) *record.BadRecord {
	return record.Bad(record.CodeWrongType, fmt.Sprintf("%s is %s and does not go into %s", glimpse(v), v.Kind, enc.Of))
}

func invalid(text []byte, enc *Encoding, form string) *record.BadRecord {
	return record.Bad(record.CodeInvalid,
		fmt.Sprintf("%s is not valid for %s; expected is %s", record.Glimpse(text), enc.Of, form))
}

// unfitNumber is invalid of a number.
func unfitNumber(v *value.Value, enc *Encoding, form string) *record.BadRecord {
	return record.Bad(record.CodeInvalid, fmt.Sprintf("%s is not valid for %s; expected is %s", glimpse(v), enc.Of, form))
}

func outOfRange(v *value.Value, enc *Encoding) *record.BadRecord {
	return record.Bad(record.CodeOutOfRange, fmt.Sprintf("%s is out of the range of %s", glimpse(v), enc.Of))
}

func inexact(v *value.Value, enc *Encoding, holds string) *record.BadRecord {
	return record.Bad(record.CodeInexact,
		fmt.Sprintf("%s would have to be rounded: %s holds %s", glimpse(v), enc.Of, holds))
}
