package transform

import (
	"encoding/binary"
	"math"
	"strconv"
)

func appendInt8(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	n := v.num
	if v.kind != number || v.flags&exact == 0 || v.scale != 0 {
		var err *BadRecord
		if n, err = integerOf(v, enc); err != nil {
			return dst, err
		}
	}
	dst = append(dst, 0, 0, 0, 8)
	return binary.BigEndian.AppendUint64(dst, uint64(n)), nil
}

func appendInt4(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	n := v.num
	if v.kind != number || v.flags&exact == 0 || v.scale != 0 {
		var err *BadRecord
		if n, err = integerOf(v, enc); err != nil {
			return dst, err
		}
	}
	if n != int64(int32(n)) {
		return dst, outOfRange(v.b, enc)
	}
	dst = append(dst, 0, 0, 0, 4)
	return binary.BigEndian.AppendUint32(dst, uint32(n)), nil
}

func appendInt2(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	n := v.num
	if v.kind != number || v.flags&exact == 0 || v.scale != 0 {
		var err *BadRecord
		if n, err = integerOf(v, enc); err != nil {
			return dst, err
		}
	}
	if n != int64(int16(n)) {
		return dst, outOfRange(v.b, enc)
	}
	return append(dst, 0, 0, 0, 2, byte(n>>8), byte(n)), nil
}

// integerOf reads an integer that is not written plainly. A number may have a point or an exponent as long as it is an
// integer: 1e2 and 5.0 are. A text must be digits with or without a sign, as Postgres reads one.
func integerOf(v *value, enc *encoding) (int64, *BadRecord) {
	var s []byte
	switch v.kind {
	case number:
		s = v.b
	case text:
		content, err := v.content()
		if err != nil {
			return 0, err
		}
		s = trimSpace(content)
	default:
		return 0, wrongType(v, enc)
	}
	d, ok := parseDecimal(s)
	if !ok || v.kind == text && len(d.whole) != len(s) && (s[0]-'0' <= 9 || len(d.whole) != len(s)-1) {
		return 0, invalid(s, enc, "an integer")
	}
	n, isInteger, fits := d.integer()
	switch {
	case !isInteger:
		return 0, inexact(s, enc, "integers only")
	case !fits:
		return 0, outOfRange(s, enc)
	}
	return n, nil
}

func appendFloat8(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	f, err := nearestFloat(v, enc, 64)
	if err != nil {
		return dst, err
	}
	dst = append(dst, 0, 0, 0, 8)
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(f)), nil
}

func appendFloat4(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	f, err := nearestFloat(v, enc, 32)
	if err != nil {
		return dst, err
	}
	dst = append(dst, 0, 0, 0, 4)
	return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(f))), nil
}

var powersOfTen = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// nearestFloat reads a floating point number: the nearest one, as is the nature of the type. What would become infinite, or
// zero without being it, is out of range. A text may also be NaN or Infinity, as Postgres reads it.
func nearestFloat(v *value, enc *encoding, size int) (float64, *BadRecord) {
	s := v.b
	switch v.kind {
	case number:
		if v.flags&exact != 0 && v.num != 0 && size == 64 && -1<<53 <= v.num && v.num <= 1<<53 {
			return float64(v.num) / powersOfTen[v.scale], nil // both exact, so the quotient is the nearest
		}
	case text:
		content, err := v.content()
		if err != nil {
			return 0, err
		}
		s = trimSpace(content)
		if f, ok := specialFloat(s); ok {
			return f, nil
		}
	default:
		return 0, wrongType(v, enc)
	}
	d, ok := parseDecimal(s)
	if !ok {
		return 0, invalid(s, enc, "a number")
	}
	f, err := strconv.ParseFloat(string(s), size)
	if err != nil {
		return 0, outOfRange(s, enc)
	}
	if f == 0 {
		if first, end := d.significant(); first != end {
			return 0, outOfRange(s, enc)
		}
		if enc.isKey {
			f = 0 // -0 and 0 are one key
		}
	}
	return f, nil
}

func specialFloat(s []byte) (float64, bool) {
	switch name, sign := special(s); name {
	case "nan":
		return math.Float64frombits(0x7ff8 << 48), true // the one that Postgres writes
	case "infinity":
		return math.Inf(sign), true
	}
	return 0, false
}

// special reads the numbers that are none: NaN, Infinity and inf, in any case, the latter two with or without a sign.
func special(s []byte) (name string, sign int) {
	if equalFold(s, "nan") {
		return "nan", 1
	}
	sign = 1
	if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	if equalFold(s, "inf") || equalFold(s, "infinity") {
		return "infinity", sign
	}
	return "", 0
}

// equalFold compares with a word in lower case.
func equalFold(s []byte, word string) bool {
	if len(s) != len(word) {
		return false
	}
	for i, c := range s {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// appendBool writes booleans: true and false, the numbers 1 and 0, and the texts that Postgres reads as one.
func appendBool(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	switch v.kind {
	case isTrue:
		return append(dst, 0, 0, 0, 1, 1), nil
	case isFalse:
		return append(dst, 0, 0, 0, 1, 0), nil
	case number:
		if s := v.b; len(s) == 1 && s[0] <= '1' {
			return append(dst, 0, 0, 0, 1, s[0]-'0'), nil
		}
		return dst, invalid(v.b, enc, "true, false, 1 or 0")
	case text:
		content, err := v.content()
		if err != nil {
			return dst, err
		}
		if b, ok := boolOf(trimSpace(content)); ok {
			return append(dst, 0, 0, 0, 1, b), nil
		}
		return dst, invalid(content, enc, "true or false, yes or no, on or off, 1 or 0")
	}
	return dst, wrongType(v, enc)
}

// boolOf reads a boolean as Postgres does: a word may be cut short as long as it is clear.
func boolOf(s []byte) (byte, bool) {
	if len(s) == 0 {
		return 0, false
	}
	for _, w := range [...]struct {
		word  string
		least int
		means byte
	}{{"true", 1, 1}, {"false", 1, 0}, {"yes", 1, 1}, {"no", 1, 0}, {"on", 2, 1}, {"off", 2, 0}, {"1", 1, 1}, {"0", 1, 0}} {
		if len(s) >= w.least && len(s) <= len(w.word) && equalFold(s, w.word[:len(s)]) {
			return w.means, true
		}
	}
	return 0, false
}
