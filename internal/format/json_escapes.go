package format

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"

	"sinker/internal/value"
)

// unescaped appends what a JSON string means to dst, and says what Postgres' text cannot hold of it: the flags ZeroChar
// and HalfPair. Half a surrogate pair is left out.
func unescaped(dst, s []byte) ([]byte, value.Flags) {
	var flags value.Flags
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...), flags
		}
		dst = append(dst, s[:i]...)
		r, n := unescape(s[i:])
		switch {
		case r == 0:
			flags |= value.ZeroChar
			dst = append(dst, 0)
		case r < utf8.RuneSelf:
			dst = append(dst, byte(r))
		case utf16.IsSurrogate(r):
			flags |= value.HalfPair
		default:
			flags |= value.NonASCII
			dst = utf8.AppendRune(dst, r)
		}
		s = s[i+n:]
	}
}

// unescape decodes the valid escape that s begins with, and both halves of a surrogate pair as one. Half a pair alone
// is returned as it is.
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

// hex4 reads four hexadecimal digits.
func hex4(s []byte) (r rune) {
	for _, c := range s[:4] {
		if c > '9' {
			c += 9 // of a letter the low four bits are 1 for A
		}
		r = r<<4 | rune(c&15)
	}
	return r
}
