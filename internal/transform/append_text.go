package transform

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// appendText writes text, varchar and char. A number, a boolean, an object or an array becomes its JSON text.
func appendText(e *Encoder, dst, src []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	if v.flags == 0 && v.kind == text && enc.length < 0 && !enc.isKey {
		return appendPlain(dst, src, int(v.start), int(v.end)), nil
	}
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	s := src[v.start:v.end]
	var err *BadRecord
	switch {
	case v.flags&(escaped|nonASCII|odd) == 0 || v.kind == number:
		dst = append(dst, s...)
	case v.kind == text:
		if dst, err = appendContent(dst, s, v.flags); err != nil {
			return dst, err
		}
	default:
		if err = checkJSON(s, v.flags); err != nil {
			return dst, err
		}
		dst = append(dst, s...)
	}
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

// appendPlain appends src[start:end] and its length. A short one is copied as the sixteen bytes that begin with it, which
// takes two moves whatever its length.
func appendPlain(dst, src []byte, start, end int) []byte {
	n := end - start
	if at := len(dst); n <= 16 && len(src)-start >= 16 && cap(dst)-at >= 20 {
		from, to := src[start:start+16], dst[at:at+20]
		binary.BigEndian.PutUint32(to, uint32(n))
		binary.LittleEndian.PutUint64(to[4:], binary.LittleEndian.Uint64(from))
		binary.LittleEndian.PutUint64(to[12:], binary.LittleEndian.Uint64(from[8:]))
		return dst[:at+4+n]
	}
	return append(appendInt32(dst, int32(n)), src[start:end]...)
}

// appendContent appends what a text means: its bytes without escapes, once they are seen to be text for Postgres.
func appendContent(dst, s []byte, flags uint8) ([]byte, *BadRecord) {
	if flags&nonASCII != 0 && !utf8.Valid(s) {
		return dst, invalidUTF8(s)
	}
	if flags&raw != 0 && bytes.IndexByte(s, 0) >= 0 {
		return dst, bad(CodeNUL, fmt.Sprintf("%s holds a zero byte, which Postgres' text can not", glimpse(s)))
	}
	if flags&escaped == 0 {
		return append(dst, s...), nil
	}
	for rest := s; ; {
		i := bytes.IndexByte(rest, '\\')
		if i < 0 {
			return append(dst, rest...), nil
		}
		dst = append(dst, rest[:i]...)
		r, n := unescape(rest[i:])
		switch {
		case r < utf8.RuneSelf && r != 0:
			dst = append(dst, byte(r))
		case r == 0:
			return dst, bad(CodeNUL, fmt.Sprintf(`%s holds \u0000, which Postgres' text can not`, glimpse(s)))
		case utf16.IsSurrogate(r):
			return dst, bad(CodeSurrogate, fmt.Sprintf("%s holds half of a surrogate pair, which is no character", glimpse(s)))
		default:
			dst = utf8.AppendRune(dst, r)
		}
		rest = rest[i+n:]
	}
}

func invalidUTF8(s []byte) *BadRecord {
	return bad(CodeInvalidUTF8, fmt.Sprintf("%s is not valid UTF-8", glimpse(s)))
}

// unescape decodes the valid escape that s begins with, and both halves of a surrogate pair as one. Half a pair alone is
// returned as it is.
func unescape(s []byte) (r rune, n int) {
	switch c := s[1]; c {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
	default:
		return rune(c), 2
	}
	r = hex4(s[2:])
	if utf16.IsSurrogate(r) && len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if whole := utf16.DecodeRune(r, hex4(s[8:])); whole != utf8.RuneError {
			return whole, 12
		}
	}
	return r, 6
}

func hex4(s []byte) rune {
	return rune(hexValue[s[0]])<<12 | rune(hexValue[s[1]])<<8 | rune(hexValue[s[2]])<<4 | rune(hexValue[s[3]])
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

// contentOf returns what a text means, for types that read a text. It holds until the next call. Bytes that are no
// UTF-8 pass: no type that reads texts takes them.
func (e *Encoder) contentOf(src []byte, v *value) ([]byte, *BadRecord) {
	if v.flags&escaped == 0 {
		return src[v.start:v.end], nil
	}
	var err *BadRecord
	e.content, err = appendContent(e.content[:0], src[v.start:v.end], escaped)
	return e.content, err
}

// appendEnum writes an enumeration's label.
func appendEnum(e *Encoder, dst, src []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	if v.kind != text {
		return dst, wrongType(src, v, enc)
	}
	s, err := e.contentOf(src, v)
	if err != nil {
		return dst, err
	}
	if _, ok := enc.labels[string(s)]; !ok {
		return dst, invalid(s, enc, "one of "+strings.Join(enc.of.Labels, ", "))
	}
	return append(appendInt32(dst, int32(len(s))), s...), nil
}
