package transform

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// appendText writes text, varchar and char. A number, a boolean, an object or an array becomes its JSON text.
func appendText(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	if v.flags == 0 && v.kind == text && enc.length < 0 && !enc.isKey {
		return appendPlain(dst, v.b), nil
	}
	if v.kind == text {
		if v.flags&^nonASCII != 0 || v.flags&nonASCII != 0 && !utf8.Valid(v.b) {
			if err := v.unfit(); err != nil {
				return dst, err
			}
		}
	} else if v.kind != number {
		if err := checkJSON(v.b, v.flags); err != nil {
			return dst, err
		}
	}
	s := v.b
	at := len(dst)
	dst = append(appendInt32(dst, 0), s...)
	if enc.of.Kind == Char && enc.isKey {
		// Spaces at the end of a char(n) do not count, and in a key the two forms must be one.
		dst = append(dst[:at+4], bytes.TrimRight(dst[at+4:], " ")...)
	}
	if enc.length >= 0 && len(dst)-at-4 > enc.length {
		if n := utf8.RuneCount(dst[at+4:]); n > enc.length {
			return dst, bad(CodeTooLong, fmt.Sprintf("%s has %d characters, %s holds %d", glimpse(s), n, enc.of, enc.length))
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

// unfit says why a text is none for Postgres; nil if it is one.
func (v *value) unfit() *BadRecord {
	switch {
	case v.flags&nonASCII != 0 && !utf8.Valid(v.b) && v.flags&halfPair == 0:
		return invalidUTF8(v.b)
	case v.flags&zeroChar != 0:
		return bad(CodeNUL, fmt.Sprintf(`%s holds \u0000, which Postgres' text can not`, glimpse(v.b)))
	case v.flags&halfPair != 0:
		return bad(CodeSurrogate, fmt.Sprintf("%s holds half of a surrogate pair, which is no character", glimpse(v.b)))
	case v.flags&raw != 0 && bytes.IndexByte(v.b, 0) >= 0:
		return bad(CodeNUL, fmt.Sprintf("%s holds a zero byte, which Postgres' text can not", glimpse(v.b)))
	}
	return nil
}

func invalidUTF8(s []byte) *BadRecord {
	return bad(CodeInvalidUTF8, fmt.Sprintf("%s is not valid UTF-8", glimpse(s)))
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
func appendEnum(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	if v.kind != text {
		return dst, wrongType(v, enc)
	}
	s, err := v.content()
	if err != nil {
		return dst, err
	}
	if _, ok := enc.labels[string(s)]; !ok {
		return dst, invalid(s, enc, "one of "+strings.Join(enc.of.Labels, ", "))
	}
	return append(appendInt32(dst, int32(len(s))), s...), nil
}
