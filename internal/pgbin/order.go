package pgbin

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
)

// Fixed reads a field of two, four or eight bytes with its sign.
func Fixed(field []byte) int64 {
	switch len(field) {
	case 2:
		return int64(int16(binary.BigEndian.Uint16(field)))
	case 4:
		return int64(int32(binary.BigEndian.Uint32(field)))
	}
	return int64(binary.BigEndian.Uint64(field))
}

// Compare compares two fields of a kind of types that has an order here, as Postgres does: numbers, dates and times.
func Compare(a, b []byte, k Kind) int {
	switch k {
	case Numeric:
		return compareNumeric(a, b)
	case Float4, Float8:
		return compareFloats(floatOf(a), floatOf(b))
	}
	return cmp.Compare(Fixed(a), Fixed(b))
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

// AppendFixed writes a field of the kind's two, four or eight bytes.
func AppendFixed(dst []byte, n int64, k Kind) []byte {
	switch k {
	case Int2:
		return append(dst, 0, 0, 0, 2, byte(n>>8), byte(n))
	case Int4, Float4, Date:
		return appendInt32(appendInt32(dst, 4), int32(n))
	}
	return binary.BigEndian.AppendUint64(appendInt32(dst, 8), uint64(n))
}
