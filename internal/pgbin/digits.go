package pgbin

import (
	"encoding/binary"
	"math"
	"math/big"
	"strconv"

	"sinker/internal/value"
)

// digitBuf is memory for the digits of a number that has no literal.
type digitBuf [128]byte

// literal returns a Number, Decimal or Float as Postgres writes it, in buf unless it has a text of its own.
func literal(v *value.Value, buf *digitBuf) []byte {
	switch {
	case v.Kind == value.Float:
		return floatText(v, buf)
	case v.Kind == value.Number && len(v.B) > 0:
		return v.B
	}
	d := unscaled(v, buf)
	if v.Scale == 0 && !d.negative {
		return d.whole
	}
	var apart digitBuf // the digits move where zeros or the point come in
	return append(buf[:0], appendPoint(apart[:0], &d)...)
}

// appendPoint writes whole × 10^exponent with its sign and its point.
func appendPoint(dst []byte, d *decimal) []byte {
	if d.negative {
		dst = append(dst, '-')
	}
	point := len(d.whole) + d.exponent
	if d.exponent >= 0 {
		dst = append(dst, d.whole...)
		for i := len(d.whole); i < point && d.whole[0] != '0'; i++ {
			dst = append(dst, '0')
		}
		return dst
	}
	if point <= 0 {
		dst = append(dst, '0', '.')
		for ; point < 0; point++ {
			dst = append(dst, '0')
		}
		return append(dst, d.whole...)
	}
	dst = append(append(dst, d.whole[:point]...), '.')
	return append(dst, d.whole[point:]...)
}

// number reads a Number, Decimal or Float. It reports false for a Float that is none.
func number(v *value.Value, buf *digitBuf) (d decimal, finite bool) {
	switch {
	case v.Kind == value.Float:
		f, finite := finiteFloat(v)
		if !finite {
			return d, false
		}
		return parseDecimal(strconv.AppendFloat(buf[:0], f, 'e', -1, floatBits(v)))
	case v.Kind == value.Number && len(v.B) > 0:
		return parseDecimal(v.B)
	}
	return unscaled(v, buf), true
}

// unscaled reads a Decimal, or a Number without a literal.
func unscaled(v *value.Value, buf *digitBuf) decimal {
	d := decimal{exponent: -int(v.Scale)}
	if v.Kind == value.Number {
		m := uint64(v.Num)
		if d.negative = v.Num < 0; d.negative {
			m = -m
		}
		d.whole = strconv.AppendUint(buf[:0], m, 10)
		return d
	}
	d.negative = len(v.B) > 0 && v.B[0]&0x80 != 0
	d.whole = signedDigits(v.B, buf)
	return d
}

// limbs are how many times four bytes a number may have whose digits fit a digitBuf, nine at a time: 2^384 has 116.
const limbs = 12

// signedDigits returns the decimal digits of a signed number, whose first byte is the highest, without the sign.
func signedDigits(b []byte, buf *digitBuf) []byte {
	if len(b) > 4*limbs {
		n := new(big.Int).SetBytes(b)
		if b[0]&0x80 != 0 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		return n.Abs(n).Append(buf[:0], 10)
	}
	var padded [4 * limbs]byte
	copy(padded[4*limbs-len(b):], b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		for i := range padded[:4*limbs-len(b)] {
			padded[i] = 0xff
		}
		carry := 1
		for i := len(padded) - 1; i >= 0; i-- {
			n := int(^padded[i]) + carry
			padded[i], carry = byte(n), n>>8
		}
	}
	var n [limbs]uint32
	for i := range n {
		n[i] = binary.BigEndian.Uint32(padded[4*i:])
	}
	return divided(&n, buf)
}

// divided writes the digits of a number of limbs, nine at a time from the end.
func divided(n *[limbs]uint32, buf *digitBuf) []byte {
	first, at := 0, len(buf)
	for {
		for first < limbs && n[first] == 0 {
			first++
		}
		if first == limbs {
			break
		}
		rest := uint64(0)
		for i := first; i < limbs; i++ {
			rest = rest<<32 | uint64(n[i])
			n[i], rest = uint32(rest/1e9), rest%1e9
		}
		for range 9 {
			at--
			buf[at], rest = byte('0'+rest%10), rest/10
		}
	}
	for at < len(buf) && buf[at] == '0' {
		at++
	}
	if at == len(buf) {
		at--
		buf[at] = '0'
	}
	return buf[at:]
}

func floatBits(v *value.Value) int {
	if v.Flags&value.Single != 0 {
		return 32
	}
	return 64
}

func finiteFloat(v *value.Value) (f float64, finite bool) {
	f = v.Float64()
	return f, !math.IsNaN(f) && !math.IsInf(f, 0)
}

// floatText writes a Float as Postgres does: the fewest digits that tell it from others of its size, with an exponent
// where it is large or small.
func floatText(v *value.Value, buf *digitBuf) []byte {
	f := v.Float64()
	switch {
	case math.IsNaN(f):
		return append(buf[:0], "NaN"...)
	case math.IsInf(f, 1):
		return append(buf[:0], "Infinity"...)
	case math.IsInf(f, -1):
		return append(buf[:0], "-Infinity"...)
	}
	bits := floatBits(v)
	large := 15
	if bits == 32 {
		large = 6
	}
	s := strconv.AppendFloat(buf[:0], f, 'e', -1, bits)
	d, _ := parseDecimal(s)
	if d.exponent < -4 || d.exponent >= large {
		return s
	}
	return strconv.AppendFloat(buf[:0], f, 'f', -1, bits)
}

// digitsText counts digits for a message.
func digitsText(n int) string {
	if n == 1 {
		return "1 digit"
	}
	return strconv.Itoa(n) + " digits"
}
