package pgbin

import (
	"encoding/binary"
	"math"
	"strconv"

	"sinker/internal/record"
	"sinker/internal/value"
)

func appendInt8(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	n := v.Num
	if v.Kind != value.Number || v.Flags&value.Exact == 0 || v.Scale != 0 {
		var err *record.BadRecord
		if n, err = integerOf(v, enc); err != nil {
			return dst, err
		}
	}
	dst = append(dst, 0, 0, 0, 8)
	return binary.BigEndian.AppendUint64(dst, uint64(n)), nil
}

func appendInt4(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	n := v.Num
	if v.Kind != value.Number || v.Flags&value.Exact == 0 || v.Scale != 0 {
		var err *record.BadRecord
		if n, err = integerOf(v, enc); err != nil {
			return dst, err
		}
	}
	if n != int64(int32(n)) {
		return dst, outOfRange(v, enc)
	}
	dst = append(dst, 0, 0, 0, 4)
	return binary.BigEndian.AppendUint32(dst, uint32(n)), nil
}

func appendInt2(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	n := v.Num
	if v.Kind != value.Number || v.Flags&value.Exact == 0 || v.Scale != 0 {
		var err *record.BadRecord
		if n, err = integerOf(v, enc); err != nil {
			return dst, err
		}
	}
	if n != int64(int16(n)) {
		return dst, outOfRange(v, enc)
	}
	return append(dst, 0, 0, 0, 2, byte(n>>8), byte(n)), nil
}

// integerOf reads an integer that is not written plainly. A number may have a point or an exponent as long as it is an
// integer: 1e2 and 5.0 are. A text must be digits with or without a sign, as Postgres reads one.
func integerOf(v *value.Value, enc *Encoding) (int64, *record.BadRecord) {
	var d decimal
	switch v.Kind {
	case value.Number, value.Float, value.Decimal:
		var buf digitBuf
		var finite bool
		if d, finite = number(v, &buf); !finite {
			return 0, outOfRange(v, enc)
		}
	case value.Text:
		text, err := content(v)
		if err != nil {
			return 0, err
		}
		s := trimSpace(text)
		var ok bool
		if d, ok = parseDecimal(s); !ok || len(d.whole) != len(s) && (s[0]-'0' <= 9 || len(d.whole) != len(s)-1) {
			return 0, invalid(s, enc, "an integer")
		}
	default:
		return 0, wrongType(v, enc)
	}
	n, isInteger, fits := d.integer()
	switch {
	case !isInteger:
		return 0, inexact(v, enc, "integers only")
	case !fits:
		return 0, outOfRange(v, enc)
	}
	return n, nil
}

func appendFloat8(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	f, err := nearestFloat(v, enc, 64)
	if err != nil {
		return dst, err
	}
	dst = append(dst, 0, 0, 0, 8)
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(f)), nil
}

func appendFloat4(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	f, err := nearestFloat(v, enc, 32)
	if err != nil {
		return dst, err
	}
	dst = append(dst, 0, 0, 0, 4)
	return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(f))), nil
}

var powersOfTen = [...]float64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
}

// nearestFloat reads a floating point number: the nearest one, as is the nature of the type. What would become
// infinite, or zero without being it, is out of range. A text may also be NaN or Infinity, as Postgres reads it.
func nearestFloat(v *value.Value, enc *Encoding, size int) (float64, *record.BadRecord) {
	if v.Kind == value.Number && v.Flags&value.Exact != 0 && v.Num != 0 && size == 64 &&
		-1<<53 <= v.Num && v.Num <= 1<<53 {
		return float64(v.Num) / powersOfTen[v.Scale], nil // both exact, so the quotient is the nearest
	}
	return readFloat(v, enc, size)
}

func readFloat(v *value.Value, enc *Encoding, size int) (float64, *record.BadRecord) {
	var s []byte
	var buf digitBuf
	switch v.Kind {
	case value.Number, value.Decimal:
		s = literal(v, &buf)
	case value.Float:
		return floatOfFloat(v, enc, size)
	case value.Text:
		text, err := content(v)
		if err != nil {
			return 0, err
		}
		s = trimSpace(text)
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
		return 0, outOfRange(v, enc)
	}
	if f == 0 {
		if first, end := d.significant(); first != end {
			return 0, outOfRange(v, enc)
		}
		if enc.isKey {
			f = 0 // -0 and 0 are one key
		}
	}
	return f, nil
}

// floatOfFloat narrows a float to a float32, where that is wanted. A float32 in a column of float64s is the number that
// it is, and not the one that its digits show: to Postgres, too, 0.1::real::float8 is 0.10000000149011612.
func floatOfFloat(v *value.Value, enc *Encoding, size int) (float64, *record.BadRecord) {
	f := v.Float64()
	if math.IsNaN(f) {
		return nan, nil
	}
	if f == 0 && enc.isKey {
		return 0, nil // -0 and 0 are one key
	}
	if narrow := float64(float32(f)); size == 32 {
		if math.IsInf(narrow, 0) != math.IsInf(f, 0) || narrow == 0 && f != 0 {
			return 0, outOfRange(v, enc)
		}
		return narrow, nil
	}
	return f, nil
}

// nan is the one that Postgres writes.
var nan = math.Float64frombits(0x7ff8 << 48)

func specialFloat(s []byte) (float64, bool) {
	switch name, sign := special(s); name {
	case "nan":
		return nan, true
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
func appendBool(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	switch v.Kind {
	case value.True:
		return append(dst, 0, 0, 0, 1, 1), nil
	case value.False:
		return append(dst, 0, 0, 0, 1, 0), nil
	case value.Number:
		if s := v.B; len(s) == 1 && s[0] <= '1' {
			return append(dst, 0, 0, 0, 1, s[0]-'0'), nil
		} else if len(s) == 0 && v.Scale == 0 && 0 <= v.Num && v.Num <= 1 {
			return append(dst, 0, 0, 0, 1, byte(v.Num)), nil
		}
		return dst, unfitNumber(v, enc, "true, false, 1 or 0")
	case value.Text:
		text, err := content(v)
		if err != nil {
			return dst, err
		}
		if b, ok := boolOf(trimSpace(text)); ok {
			return append(dst, 0, 0, 0, 1, b), nil
		}
		return dst, invalid(text, enc, "true or false, yes or no, on or off, 1 or 0")
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
	}{{"true", 1, 1}, {"false", 1, 0}, {"yes", 1, 1}, {"no", 1, 0},
		{"on", 2, 1}, {"off", 2, 0}, {"1", 1, 1}, {"0", 1, 0}} {
		if len(s) >= w.least && len(s) <= len(w.word) && equalFold(s, w.word[:len(s)]) {
			return w.means, true
		}
	}
	return 0, false
}
