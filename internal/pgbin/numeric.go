package pgbin

import (
	"encoding/binary"

	"sinker/internal/record"
	"sinker/internal/value"
)

// The limits of Postgres' numeric: digits before and after the point.
const (
	numericWhole = 131072
	numericScale = 16383
)

// Signs of a numeric's binary form.
const (
	numericPositive         = 0x0000
	numericNegative         = 0x4000
	numericNaN              = 0xc000
	numericInfinity         = 0xd000
	numericNegativeInfinity = 0xf000
)

// appendNumeric writes numeric without loss. numeric(p,s) takes a number only if it has no digits but zeros behind the
// s-th, where Postgres itself would round.
func appendNumeric(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	switch v.Kind {
	case value.Number:
		if v.Flags&value.Exact != 0 && (enc.precision > 0 || !enc.isKey) {
			if out, ok := appendSmallNumeric(dst, v.Num, int(v.Scale), enc); ok {
				return out, nil
			}
		}
		return appendAnyNumeric(dst, v, enc)
	case value.Float, value.Decimal:
		return appendAnyNumeric(dst, v, enc)
	case value.Text:
	default:
		return dst, wrongType(v, enc)
	}
	text, err := content(v)
	if err != nil {
		return dst, err
	}
	s := trimSpace(text)
	if sign := specialNumeric(s); sign != 0 {
		return appendSpecialNumeric(dst, sign, v, enc)
	}
	d, ok := parseDecimal(s)
	if !ok {
		return dst, invalid(s, enc, "a number")
	}
	return appendDecimal(dst, &d, v, enc)
}

// appendAnyNumeric writes a Number, Float or Decimal the long way. A float has the digits that tell it from others.
func appendAnyNumeric(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	var buf digitBuf
	d, finite := number(v, &buf)
	if !finite {
		return appendSpecialNumeric(dst, specialNumeric(literal(v, &buf)), v, enc)
	}
	return appendDecimal(dst, &d, v, enc)
}

func appendSpecialNumeric(dst []byte, sign int, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	if sign != numericNaN && enc.precision > 0 {
		return dst, outOfRange(v, enc)
	}
	return appendNumericHeader(dst, 0, 0, uint16(sign), 0), nil
}

func specialNumeric(s []byte) int {
	switch name, sign := special(s); {
	case name == "nan":
		return numericNaN
	case name != "" && sign > 0:
		return numericInfinity
	case name != "":
		return numericNegativeInfinity
	}
	return 0
}

func appendNumericHeader(dst []byte, groups, weight int, sign uint16, scale int) []byte {
	dst = appendInt32(dst, int32(8+2*groups))
	dst = binary.BigEndian.AppendUint16(dst, uint16(groups))
	dst = binary.BigEndian.AppendUint16(dst, uint16(weight))
	dst = binary.BigEndian.AppendUint16(dst, sign)
	return binary.BigEndian.AppendUint16(dst, uint16(scale))
}

// appendDecimal writes any decimal: groups of four digits, of which the first has a weight counted from the point, and
// the number of digits after the point that Postgres is to show.
func appendDecimal(dst []byte, d *decimal, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	first, end := d.significant()
	point := d.point()
	scale := max(0, len(d.fraction)-d.exponent)
	if scale > numericScale || first < end && point-first > numericWhole {
		return dst, outOfRange(v, enc)
	}
	switch {
	case enc.precision == 0 && enc.isKey:
		scale = 0 // 1.0 and 1.00 are one key
		if first < end {
			scale = max(0, end-point)
		}
	case enc.precision > 0:
		if first < end && end-point > enc.scale {
			return dst, inexact(v, enc, digitsText(enc.scale)+" after the point")
		}
		if first < end && point-first > enc.precision-enc.scale {
			return dst, outOfRange(v, enc)
		}
		scale = max(0, enc.scale)
	}
	if first == end {
		return appendNumericHeader(dst, 0, 0, numericPositive, scale), nil
	}
	// The first group begins before first, at a place that is a multiple of four away from the point.
	lead := floorMod(point-first, 4)
	if lead > 0 {
		lead = 4 - lead
	}
	from := first - lead
	weight := (point-from)/4 - 1
	sign := uint16(numericPositive)
	if d.negative {
		sign = numericNegative
	}
	dst = appendNumericHeader(dst, (end-from+3)/4, weight, sign, scale)
	for i := from; i < end; i += 4 {
		group := uint16(d.at(i))*1000 + uint16(d.at(i+1))*100 + uint16(d.at(i+2))*10 + uint16(d.at(i+3))
		dst = binary.BigEndian.AppendUint16(dst, group)
	}
	return dst, nil
}

func floorMod(a, b int) int { return (a%b + b) % b }

// appendSmallNumeric writes num / 10^scale. It reports false, having written nothing, when the number does not fit the
// type, or this short way.
func appendSmallNumeric(dst []byte, num int64, scale int, enc *Encoding) ([]byte, bool) {
	sign, m := uint16(numericPositive), uint64(num)
	if num < 0 {
		sign, m = numericNegative, uint64(-num)
	}
	shown := scale
	if enc.precision > 0 {
		if scale > enc.scale || enc.precision > value.ExactDigits || enc.scale > enc.precision ||
			m >= tens[enc.precision-enc.scale+scale] {
			return dst, false
		}
		shown = enc.scale
	}
	if m == 0 {
		return appendNumericHeader(dst, 0, 0, numericPositive, shown), true
	}
	if m >= tens[16] {
		return dst, false
	}
	groups := (scale + 3) / 4 // after the point
	m *= tens[groups*4-scale]
	var digits [8]uint16
	at, low := len(digits), 0
	for m > 0 {
		at--
		digits[at] = uint16(m % 10000)
		m /= 10000
		if digits[at] == 0 && low == len(digits)-1-at {
			low++ // groups of zeros at the end are not written
		}
	}
	n := len(digits) - at - low
	dst = appendNumericHeader(dst, n, len(digits)-at-groups-1, sign, shown)
	for _, g := range digits[at : at+n] {
		dst = binary.BigEndian.AppendUint16(dst, g)
	}
	return dst, true
}

// tens are the powers of ten that fit.
var tens = func() (t [20]uint64) {
	t[0] = 1
	for i := 1; i < len(t); i++ {
		t[i] = t[i-1] * 10
	}
	return t
}()
