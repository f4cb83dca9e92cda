package pgbin

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"sinker/internal/record"
	"sinker/internal/value"
)

// appendText writes text, varchar and char. What is no text becomes the text that Postgres makes of it: a number its
// digits, a time its ISO form; an object or an array its JSON text. Bytes are the text's.
func appendText(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	if v.Flags == 0 && v.Kind == value.Text && enc.length < 0 && !enc.isKey {
		return appendPlain(dst, v.B), nil
	}
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	switch v.Kind {
	case value.Text, value.Bytes:
		if err := unfit(v); err != nil {
			return dst, err
		}
		dst = append(dst, v.B...)
	case value.Object, value.List, value.JSON:
		if err := checkJSON(v); err != nil {
			return dst, err
		}
		dst = append(dst, v.B...)
	default:
		var err *record.BadRecord
		if dst, err = render(dst, v, enc, plainText); err != nil {
			return dst, err
		}
	}
	if enc.Of.Kind == Char && enc.isKey {
		// Spaces at the end of a char(n) do not count, and in a key the two forms must be one.
		dst = append(dst[:at+4], bytes.TrimRight(dst[at+4:], " ")...)
	}
	if enc.length >= 0 && len(dst)-at-4 > enc.length {
		if n := utf8.RuneCount(dst[at+4:]); n > enc.length {
			return dst, record.Bad(record.CodeTooLong,
				fmt.Sprintf("%s has %d characters, %s holds %d", record.Glimpse(dst[at+4:]), n, enc.Of, enc.length))
		}
	}
	setLength(dst, at)
	return dst, nil
}

// appendPlain appends s and its length. A short one is copied as the sixteen bytes that begin with it, which takes two
// moves whatever its length; what stands behind s in its memory is overwritten by what is appended next.
func appendPlain(dst, s []byte) []byte {
	n := len(s)
	if at := len(dst); n <= 16 && cap(s) >= 16 && cap(dst)-at >= 20 {
		from, to := s[:16], dst[at:at+20]
		binary.BigEndian.PutUint32(to, uint32(n))
		binary.LittleEndian.PutUint64(to[4:], binary.LittleEndian.Uint64(from))
		binary.LittleEndian.PutUint64(to[12:], binary.LittleEndian.Uint64(from[8:]))
		return dst[:at+4+n]
	}
	return append(appendInt32(dst, int32(n)), s...)
}

// content returns what a text means, for types that read a text. Bytes that are no UTF-8 pass: no type that reads texts
// takes them.
func content(v *value.Value) ([]byte, *record.BadRecord) {
	if v.Flags&(value.ZeroChar|value.HalfPair) != 0 {
		return nil, unfit(v)
	}
	return v.B, nil
}

// unfit says why a Text or Bytes is no text for Postgres; nil if it is one.
func unfit(v *value.Value) *record.BadRecord {
	raw := v.Flags&value.Raw != 0 || v.Kind == value.Bytes
	if v.Flags&^value.NonASCII == 0 && !raw && (v.Flags == 0 || utf8.Valid(v.B)) {
		return nil
	}
	switch {
	case (raw || v.Flags&value.NonASCII != 0) && v.Flags&value.HalfPair == 0 && !utf8.Valid(v.B):
		return invalidUTF8(v.B)
	case v.Flags&value.ZeroChar != 0:
		return record.Bad(record.CodeNUL, fmt.Sprintf(`%s holds \u0000, which Postgres' text cannot`, record.Glimpse(v.B)))
	case v.Flags&value.HalfPair != 0:
		return record.Bad(record.CodeSurrogate,
			fmt.Sprintf("%s holds half of a surrogate pair, which is no character", record.Glimpse(v.B)))
	case raw && bytes.IndexByte(v.B, 0) >= 0:
		return record.Bad(record.CodeNUL,
			fmt.Sprintf("%s holds a zero byte, which Postgres' text cannot", record.Glimpse(v.B)))
	}
	return nil
}

func invalidUTF8(s []byte) *record.BadRecord {
	return record.Bad(record.CodeInvalidUTF8, fmt.Sprintf("%s is not valid UTF-8", record.Glimpse(s)))
}

// hexValue of a hexadecimal digit; 0xff for any other byte.
var hexValue = func() (table [256]byte) {
	for i := range table {
		table[i] = 0xff
	}
	for i, c := range "0123456789abcdef" {
		table[c], table[strings.ToUpper(string(c))[0]] = byte(i), byte(i)
	}
	return table
}()

// appendEnum writes an enumeration's label.
func appendEnum(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	if v.Kind != value.Text {
		return dst, wrongType(v, enc)
	}
	s, err := content(v)
	if err != nil {
		return dst, err
	}
	if _, ok := enc.labels[string(s)]; !ok {
		return dst, invalid(s, enc, "one of "+strings.Join(enc.Of.Labels, ", "))
	}
	return append(appendInt32(dst, int32(len(s))), s...), nil
}
