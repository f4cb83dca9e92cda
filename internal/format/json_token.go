package format

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"

	"sinker/internal/swar"
	"sinker/internal/value"
)

// escaped is the scanner's own flag of a string, or of a text with strings in it, that there are backslashes.
const escaped = value.Spare

// text reads a string from behind its opening quote and returns the place of the closing one. Eight bytes at a time are
// looked through for a quote, a backslash or a control character: in a word of which one byte is to be found, the
// lowest bit set by (x-swar.Ones)&^x&swar.Highs is exact.
func (s *scanner) text(i int) (int, value.Flags) {
	b := s.b
	var flags value.Flags
	var seen uint64
	for {
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			quote, backslash := x^'"'*swar.Ones, x^'\\'*swar.Ones
			stop := ((quote-swar.Ones)&^quote | (backslash-swar.Ones)&^backslash | (x-' '*swar.Ones)&^x) & swar.Highs
			if stop == 0 {
				seen |= x
				i += 8
				continue
			}
			n := bits.TrailingZeros64(stop)
			seen |= x & (1<<n - 1)
			i += n >> 3
			break
		}
		for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
			seen |= uint64(b[i])
			i++
		}
		switch {
		case i >= len(b):
			return s.syntax(i, "a string is not closed"), 0
		case b[i] == '"':
			if seen&swar.Highs != 0 {
				flags |= value.NonASCII
			}
			return i, flags
		case b[i] != '\\':
			return s.syntax(i, "a string holds a control character; JSON writes it as an escape"), 0
		}
		var fl value.Flags
		if i, fl = s.escape(i); i < 0 {
			return -1, 0
		}
		flags |= fl
	}
}

// escape checks the escape at the backslash. It returns the place behind it, and what is in it.
func (s *scanner) escape(i int) (int, value.Flags) {
	b := s.b
	if i+1 >= len(b) {
		return s.syntax(i, "a string is not closed"), 0
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, escaped
	case 'u':
		if isUnicode(b, i) {
			return codeUnit(b, i)
		}
	}
	return s.syntax(i, "a string holds an escape that JSON does not know"), 0
}

// codeUnit reads the escape \uXXXX at i, or two of them that are the halves of a pair.
func codeUnit(b []byte, i int) (int, value.Flags) {
	r := hex4(b[i+2:])
	switch {
	case r == 0:
		return i + 6, escaped | value.ZeroChar
	case !utf16.IsSurrogate(r):
		return i + 6, escaped
	case isUnicode(b, i+6) && utf16.DecodeRune(r, hex4(b[i+8:])) != utf8.RuneError:
		return i + 12, escaped
	}
	return i + 6, escaped | value.HalfPair
}

func isUnicode(b []byte, i int) bool {
	return i+6 <= len(b) && b[i] == '\\' && b[i+1] == 'u' &&
		isHex(b[i+2]) && isHex(b[i+3]) && isHex(b[i+4]) && isHex(b[i+5])
}

func isHex(c byte) bool { return c-'0' <= 9 || c|0x20-'a' <= 5 }

// longNumber is how many bytes a number may have, with an exponent of two digits, without being looked at again.
const longNumber = 300

// number reads a number, and its digits while they fit.
func (s *scanner) number(i int, v *value.Value) int {
	b := s.b
	start := i
	if b[i] == '-' {
		i++
	}
	m, end := readDigits(b, i, 0)
	count, scale := end-i, 0
	if count == 0 {
		return s.syntax(i, "no value can start like this")
	}
	if b[i] == '0' && count > 1 {
		return s.syntax(i, "a number has a leading zero")
	}
	i = end
	if i < len(b) && b[i] == '.' {
		m, end = readDigits(b, i+1, m)
		if scale = end - i - 1; scale == 0 {
			return s.syntax(end, "digits must follow the point of a number")
		}
		i = end
	}
	var flags value.Flags
	if count+scale <= value.ExactDigits {
		flags = value.Exact
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		flags = 0
		first := i + 1
		if i = s.exponent(first); i < 0 {
			return -1
		}
		if i-first > 2 {
			flags = far(b[start:i])
		}
	}
	if i-start > longNumber {
		flags |= far(b[start:i])
	}
	v.Num = int64(m)
	if b[start] == '-' {
		v.Num = -v.Num
	}
	v.Scale = int16(scale)
	v.Set(value.Number, flags, b[start:i])
	return i
}

// far returns the flag Far for a number that is.
func far(s []byte) value.Flags {
	if s[0] == '-' {
		s = s[1:]
	}
	whole, fraction, exponent := digits(s), 0, 0
	if s = s[whole:]; len(s) > 0 && s[0] == '.' {
		fraction = digits(s[1:])
		s = s[1+fraction:]
	}
	if len(s) > 0 { // an e
		negative := s[1] == '-'
		for _, c := range s[1:] {
			if c-'0' <= 9 {
				exponent = min(exponent*10+int(c-'0'), value.MostExponent+1)
			}
		}
		if negative {
			exponent = -exponent
		}
	}
	if value.IsFar(whole, fraction, exponent) {
		return value.Far
	}
	return 0
}

var tens = [8]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7}

func digits(s []byte) (n int) {
	for n < len(s) && s[n]-'0' <= 9 {
		n++
	}
	return n
}

// readDigits reads digits as far as they go, and counts them onto m, which is of use only while it does not overflow.
// Eight bytes are looked at together: those that are no digits are found by adding what lifts 10 and more to the
// highest bit, and the digits before the first such are summed by pairs, fours and eights.
func readDigits(b []byte, i int, m uint64) (uint64, int) {
	for len(b)-i >= 8 {
		x := binary.LittleEndian.Uint64(b[i:]) ^ '0'*swar.Ones
		other := ((x&^swar.Highs + (0x80-10)*swar.Ones) | x) & swar.Highs
		if other == 0 {
			m = m*1e8 + swar.SumDigits(x)
			i += 8
			continue
		}
		n := bits.TrailingZeros64(other) >> 3
		return m*tens[n&7] + swar.SumDigits(x<<1<<(63-8*n)), i + n
	}
	for i < len(b) && b[i]-'0' <= 9 {
		m = m*10 + uint64(b[i]-'0')
		i++
	}
	return m, i
}

func (s *scanner) exponent(i int) int {
	b := s.b
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		i++
	}
	first := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == first {
		return s.syntax(i, "digits must follow the e of a number")
	}
	return i
}

// word reads true, false or null.
func (s *scanner) word(i int) (value.Kind, int) {
	b := s.b
	if len(b)-i >= 4 {
		switch binary.LittleEndian.Uint32(b[i:]) {
		case 't' | 'r'<<8 | 'u'<<16 | 'e'<<24:
			return value.True, i + 4
		case 'n' | 'u'<<8 | 'l'<<16 | 'l'<<24:
			return value.Null, i + 4
		case 'f' | 'a'<<8 | 'l'<<16 | 's'<<24:
			if len(b)-i >= 5 && b[i+4] == 'e' {
				return value.False, i + 5
			}
		}
	}
	return value.Missing, s.syntax(i, "no value can start like this")
}
