package transform

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/bits"
)

// mostUnits is how many groups of four digits a number may have to be added within 128 bits: less than 2^94, so that
// more records than any batch has fit.
const mostUnits = 7

// addNumeric adds a numeric, if it is short enough and has no digits behind the cell's last.
func (c *cell) addNumeric(field []byte, fraction int) bool {
	n, weight := int(binary.BigEndian.Uint16(field)), int(int16(binary.BigEndian.Uint16(field[2:])))
	zeros := fraction + weight - (n - 1) // groups between the number's last and the cell's
	if n == 0 {
		return true
	}
	if zeros < 0 || n+zeros > mostUnits {
		return false
	}
	var high, low uint64
	for i := range n + zeros {
		digits := uint64(0)
		if i < n {
			digits = uint64(binary.BigEndian.Uint16(field[8+2*i:]))
		}
		over, units := bits.Mul64(low, 10000)
		var carry uint64
		low, carry = bits.Add64(units, digits, 0)
		high = high*10000 + over + carry
	}
	if binary.BigEndian.Uint16(field[4:]) == numericNegative {
		var borrow uint64
		c.low, borrow = bits.Sub64(c.low, low, 0)
		c.high, _ = bits.Sub64(c.high, high, borrow)
		return true
	}
	var carry uint64
	c.low, carry = bits.Add64(c.low, low, 0)
	c.high, _ = bits.Add64(c.high, high, carry)
	return true
}

// largeSum is the sum of a cell's numerics that are too long for it: units of 10000^-fraction.
type largeSum struct {
	units    big.Int
	fraction int
}

var tenThousand = big.NewInt(10000)

// addLarge adds a numeric of any length. It allocates; such numbers are rare.
func (g *Groups) addLarge(at int, field []byte) {
	var v big.Int
	n, weight := int(binary.BigEndian.Uint16(field)), int(int16(binary.BigEndian.Uint16(field[2:])))
	for i := range n {
		v.Add(v.Mul(&v, tenThousand), big.NewInt(int64(binary.BigEndian.Uint16(field[8+2*i:]))))
	}
	if binary.BigEndian.Uint16(field[4:]) == numericNegative {
		v.Neg(&v)
	}
	s := g.large[at]
	if s == nil {
		s = &largeSum{}
		g.large[at] = s
	}
	s.add(&v, n-1-weight)
}

// add adds units of 10000^-fraction; a negative fraction stands for zeros before the point.
func (s *largeSum) add(units *big.Int, fraction int) {
	if fraction > s.fraction {
		scale(&s.units, fraction-s.fraction)
		s.fraction = fraction
	}
	scale(units, s.fraction-fraction)
	s.units.Add(&s.units, units)
}

func scale(n *big.Int, groups int) {
	n.Mul(n, new(big.Int).Exp(tenThousand, big.NewInt(int64(groups)), nil))
}

// total writes a sum as its column's type, or says that the type does not hold it.
func (g *Groups) total(dst []byte, at int, f *foldColumn) ([]byte, *BadRecord) {
	c := &g.cells[at]
	switch k := f.of.Kind; k {
	case Numeric:
		return g.totalNumeric(dst, at, f)
	case Float4, Float8:
		sum := math.Float64frombits(c.low)
		if k == Float4 {
			sum = float64(float32(sum))
		}
		if math.IsInf(sum, 0) {
			return dst, sumOutOfRange(f)
		}
		if k == Float4 {
			return appendFixed(dst, int64(math.Float32bits(float32(sum))), k), nil
		}
		return appendFixed(dst, int64(math.Float64bits(sum)), k), nil
	}
	n := int64(c.low)
	fits := c.high == uint64(n>>63)
	switch f.of.Kind {
	case Int2:
		fits = fits && n == int64(int16(n))
	case Int4:
		fits = fits && n == int64(int32(n))
	}
	if !fits {
		return dst, sumOutOfRange(f)
	}
	return appendFixed(dst, n, f.of.Kind), nil
}

func sumOutOfRange(f *foldColumn) *BadRecord {
	return bad(CodeOutOfRange, fmt.Sprintf("the sum is out of the range of %s", f.of))
}

// totalNumeric writes a sum with as many digits after the point as the longest of its numbers had.
func (g *Groups) totalNumeric(dst []byte, at int, f *foldColumn) ([]byte, *BadRecord) {
	c := &g.cells[at]
	shown := int(c.shown)
	large := g.large[at]
	if n := int64(c.low); large == nil && c.high == uint64(n>>63) {
		if zeros := 4*f.fraction - shown; zeros >= 0 && zeros <= exactDigits {
			if out, ok := appendSmallNumeric(dst, n/int64(tens[zeros]), shown, &f.encoding); ok {
				return out, nil
			}
		}
	}
	sum := largeSum{fraction: f.fraction}
	sum.units.SetInt64(int64(c.high))
	sum.units.Lsh(&sum.units, 64).Add(&sum.units, new(big.Int).SetUint64(c.low))
	if large != nil {
		sum.add(new(big.Int).Set(&large.units), large.fraction)
	}
	g.text = sum.units.Append(g.text[:0], 10)
	return appendUnits(dst, g.text, 4*sum.fraction, shown, &f.encoding)
}

// appendUnits writes the number of units of 10^-places, with the digits after the point that are shown: any behind them
// are zeros. The appender of numerics says whether the type holds it.
func appendUnits(dst, units []byte, places, shown int, enc *encoding) ([]byte, *BadRecord) {
	for ; places > shown && len(units) > 1; places-- {
		units = units[:len(units)-1]
	}
	for ; places < shown; places++ {
		units = append(units, '0')
	}
	d, _ := parseDecimal(units)
	d.exponent = -shown
	return appendDecimal(dst, &d, units, enc)
}
