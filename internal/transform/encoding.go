package transform

import (
	"encoding/binary"
	"fmt"
)

// encoding is how values are written as a type: the type with everything about it worked out beforehand, and its
// appender.
type encoding struct {
	append           appender
	isKey            bool  // equal values must have equal bytes: see Plan.KeyOf
	length           int   // varchar(n), char(n): characters; -1: any
	precision, scale int   // numeric(p,s); precision 0: any
	fraction         int   // of times: digits of a second
	unit             int64 // of a time that is cut down: microseconds
	labels           map[string]struct{}
	element          *encoding // of an array; of what a fold changes
	of               Type
}

// appender appends a value that is there and not null, as the length and the bytes of a field of a binary COPY tuple.
// When it returns a BadRecord, what it appended is of no use.
type appender func(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord)

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

// comesAs is the type as which a value is read, before a fold makes another of it.
func (enc *encoding) comesAs() Type {
	if enc.unit > 0 {
		return enc.element.of
	}
	return enc.of
}

func newEncoding(t Type, isKey bool) (encoding, error) {
	enc := encoding{of: t, append: appenders[t.Kind], isKey: isKey, length: -1, fraction: t.fraction()}
	switch t.Kind {
	case Array:
		if t.OID == 0 || t.Elem.OID == 0 {
			return enc, fmt.Errorf("arrays of %s can not be written", t.Elem)
		}
		elem, err := newEncoding(*t.Elem, isKey)
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
		return enc, fmt.Errorf("type %s cannot be written; list the other columns under `columns:` if it may be NULL or has a default, or make it text or jsonb", t)
	}
	if isKey && !canBeKey(t) {
		return enc, fmt.Errorf("type %s can not be a key here, because equal values of it have several forms", t)
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

func wrongType(v *value, enc *encoding) *BadRecord {
	return bad(CodeWrongType, fmt.Sprintf("%s is %s and does not go into %s", glimpse(v.b), v.kind, enc.of))
}

func invalid(text []byte, enc *encoding, form string) *BadRecord {
	return bad(CodeInvalid, fmt.Sprintf("%s is not valid for %s; expected is %s", glimpse(text), enc.of, form))
}

func outOfRange(text []byte, enc *encoding) *BadRecord {
	return bad(CodeOutOfRange, fmt.Sprintf("%s is out of the range of %s", glimpse(text), enc.of))
}

func inexact(text []byte, enc *encoding, holds string) *BadRecord {
	return bad(CodeInexact, fmt.Sprintf("%s would have to be rounded: %s holds %s", glimpse(text), enc.of, holds))
}
