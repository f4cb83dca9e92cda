package transform

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// unescaped appends what a JSON string means to dst, and says what Postgres' text cannot hold of it: the flags zeroChar
// and halfPair. Half a surrogate pair is left out.
func unescaped(dst, s []byte) ([]byte, uint8) {
	var flags uint8
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...), flags
		}
		dst = append(dst, s[:i]...)
		r, n := unescape(s[i:])
		switch {
		case r == 0:
			flags |= zeroChar
			dst = append(dst, 0)
		case r < utf8.RuneSelf:
			dst = append(dst, byte(r))
		case utf16.IsSurrogate(r):
			flags |= halfPair
		default:
			flags |= nonASCII
			dst = utf8.AppendRune(dst, r)
		}
		s = s[i+n:]
	}
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
