package transform

import (
	"encoding/binary"
	"math/bits"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// text reads a string from behind its opening quote and returns the place of the closing one. Eight bytes at a time are
// looked through for a quote, a backslash or a control character: in a word of which one byte is to be found, the
// lowest bit set by (x-ones)&^x&highs is exact.
func (s *scanner) text(i int) (int, uint8) {
	b := s.b
	var flags uint8
	var seen uint64
	for {
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			quote, backslash := x^'"'*ones, x^'\\'*ones
			stop := ((quote-ones)&^quote | (backslash-ones)&^backslash | (x-' '*ones)&^x) & highs
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
			if seen&highs != 0 {
				flags |= nonASCII
			}
			return i, flags
		case b[i] != '\\':
			return s.syntax(i, "a string holds a control character; JSON writes it as an escape"), 0
		}
		flags |= escaped
		if i = s.escape(i); i < 0 {
			return -1, 0
		}
	}
}

// escape checks the escape at the backslash and returns the place behind it.
func (s *scanner) escape(i int) int {
	b := s.b
	if i+1 >= len(b) {
		return s.syntax(i, "a string is not closed")
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if i+6 <= len(b) && isHex(b[i+2]) && isHex(b[i+3]) && isHex(b[i+4]) && isHex(b[i+5]) {
			return i + 6
		}
	}
	return s.syntax(i, "a string holds an escape that JSON does not know")
}

func isHex(c byte) bool { return c-'0' <= 9 || c|0x20-'a' <= 5 }

const (
	exactDigits = 18  // so many always fit an int64
	longNumber  = 300 // bytes of a number that is looked at again before it goes into JSON
)

// number reads a number, and its digits while they fit.
func (s *scanner) number(i int, v *value) int {
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
	var flags uint8
	if count+scale <= exactDigits {
		flags = exact
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		flags = odd
		if i = s.exponent(i + 1); i < 0 {
			return -1
		}
	}
	if i-start > longNumber {
		flags |= odd
	}
	v.num = int64(m)
	if b[start] == '-' {
		v.num = -v.num
	}
	v.scale = uint8(scale)
	v.set(number, flags, b[start:i])
	return i
}

// readDigits reads digits as far as they go, and counts them onto m, which is of use only while it does not overflow.
// Eight bytes are looked at together: those that are no digits are found by adding what lifts 10 and more to the
// highest bit, and the digits before the first such are summed by pairs, fours and eights.
func readDigits(b []byte, i int, m uint64) (uint64, int) {
	for len(b)-i >= 8 {
		x := binary.LittleEndian.Uint64(b[i:]) ^ '0'*ones
		other := ((x&^highs + (0x80-10)*ones) | x) & highs
		if other == 0 {
			m = m*1e8 + sumDigits(x)
			i += 8
			continue
		}
		n := bits.TrailingZeros64(other) >> 3
		return m*tens[n&7] + sumDigits(x<<1<<(63-8*n)), i + n
	}
	for i < len(b) && b[i]-'0' <= 9 {
		m = m*10 + uint64(b[i]-'0')
		i++
	}
	return m, i
}

// sumDigits returns the number of eight decimal digits, the first in the lowest byte.
func sumDigits(x uint64) uint64 {
	x = (x*10 + x>>8) & 0x00ff00ff00ff00ff
	x = (x*100 + x>>16) & 0x0000ffff0000ffff
	return (x*10000 + x>>32) & 0xffffffff
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
func (s *scanner) word(i int) (kind, int) {
	b := s.b
	if len(b)-i >= 4 {
		switch binary.LittleEndian.Uint32(b[i:]) {
		case 't' | 'r'<<8 | 'u'<<16 | 'e'<<24:
			return isTrue, i + 4
		case 'n' | 'u'<<8 | 'l'<<16 | 'l'<<24:
			return null, i + 4
		case 'f' | 'a'<<8 | 'l'<<16 | 's'<<24:
			if len(b)-i >= 5 && b[i+4] == 'e' {
				return isFalse, i + 5
			}
		}
	}
	return missing, s.syntax(i, "no value can start like this")
}
