package transform

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
)

// cutMicros cuts the time that was appended last down to the encoding's unit. Infinity stays what it is.
func cutMicros(dst []byte, enc *encoding) []byte {
	at := len(dst) - 8
	micros := int64(binary.BigEndian.Uint64(dst[at:]))
	infinite := micros == math.MaxInt64 || micros == math.MinInt64
	if enc.of.Kind != Date {
		if !infinite {
			binary.BigEndian.PutUint64(dst[at:], uint64(floorDiv(micros, enc.unit)*enc.unit))
		}
		return dst
	}
	days := int32(floorDiv(micros, dayMicros))
	switch micros {
	case math.MaxInt64:
		days = math.MaxInt32
	case math.MinInt64:
		days = math.MinInt32
	}
	return appendInt32(appendInt32(dst[:at-4], 4), days)
}

func isFinite(field []byte, k Kind) bool {
	var f float64
	switch k {
	case Numeric:
		return binary.BigEndian.Uint16(field[4:])&numericNaN != numericNaN
	case Float4:
		f = float64(math.Float32frombits(binary.BigEndian.Uint32(field)))
	case Float8:
		f = math.Float64frombits(binary.BigEndian.Uint64(field))
	}
	return !math.IsNaN(f) && !math.IsInf(f, 0)
}

// fixed reads a field of two, four or eight bytes with its sign.
func fixed(field []byte) int64 {
	switch len(field) {
	case 2:
		return int64(int16(binary.BigEndian.Uint16(field)))
	case 4:
		return int64(int32(binary.BigEndian.Uint32(field)))
	}
	return int64(binary.BigEndian.Uint64(field))
}

// compareFields compares two values of a type that has an order here, as Postgres does.
func compareFields(a, b []byte, k Kind) int {
	switch k {
	case Numeric:
		return compareNumeric(a, b)
	case Float4, Float8:
		return compareFloats(floatOf(a), floatOf(b))
	}
	return cmp.Compare(fixed(a), fixed(b))
}

func floatOf(field []byte) float64 {
	if len(field) == 4 {
		return float64(math.Float32frombits(binary.BigEndian.Uint32(field)))
	}
	return math.Float64frombits(binary.BigEndian.Uint64(field))
}

// compareFloats puts NaN above all others, as Postgres does and cmp.Compare does not.
func compareFloats(a, b float64) int {
	if math.IsNaN(a) || math.IsNaN(b) {
		return -cmp.Compare(a, b)
	}
	return cmp.Compare(a, b)
}

// compareNumeric compares two numerics as the encoder writes them: without groups of zeros at either end.
func compareNumeric(a, b []byte) int {
	if c := cmp.Compare(numericRank(a), numericRank(b)); c != 0 || numericRank(a)%2 == 0 {
		return c
	}
	c := cmp.Compare(int16(binary.BigEndian.Uint16(a[2:])), int16(binary.BigEndian.Uint16(b[2:]))) // weights
	if c == 0 {
		c = bytes.Compare(a[8:], b[8:]) // groups; a longer one goes on with what is not zero
	}
	if binary.BigEndian.Uint16(a[4:]) == numericNegative {
		return -c
	}
	return c
}

// numericRank is -infinity, negative, zero, positive, infinity, NaN; the odd ones hold more than one value.
func numericRank(a []byte) int {
	switch sign := binary.BigEndian.Uint16(a[4:]); {
	case sign == numericNaN:
		return 6
	case sign == numericInfinity:
		return 4
	case sign == numericNegativeInfinity:
		return -2
	case binary.BigEndian.Uint16(a) == 0:
		return 0
	case sign == numericNegative:
		return -1
	}
	return 1
}
