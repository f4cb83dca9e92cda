package pgbin

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/bits"

	"sinker/internal/record"
	"sinker/internal/value"
)

// Adder adds fields of one column up, into any number of sums. It belongs to one goroutine.
type Adder struct {
	enc      *Encoding
	fraction int    // numeric: groups of four digits after the point that a Sum holds
	text     []byte // scratch of a sum's digits
}

// Sum is a number of 128 bits: of units, or for numeric of the column's last group of four digits. It cannot overflow
// within a batch; what the column cannot hold shows in Append.
type Sum struct {
	Low, High uint64
	Shown     uint16 // numeric: digits after the point
	Seen      bool   // something was added
}

// NewAdder returns an adder of the fields that enc writes: of integers, numerics or floats.
func NewAdder(enc *Encoding) Adder {
	a := Adder{enc: enc, fraction: 3}
	if enc.precision > 0 {
		a.fraction = (max(0, enc.scale) + 3) / 4
	}
	return a
}

// Add adds a field. It reports false, with nothing added, for a numeric that is too long for a Sum: that goes into a
// Large.
func (a *Adder) Add(s *Sum, field []byte) bool {
	s.Seen = true
	switch a.enc.Of.Kind {
	case Float4, Float8:
		s.Low = math.Float64bits(math.Float64frombits(s.Low) + floatOf(field))
	case Numeric:
		s.Shown = max(s.Shown, binary.BigEndian.Uint16(field[6:]))
		return s.addNumeric(field, a.fraction)
	default:
		s.add(Fixed(field))
	}
	return true
}

// numericOne is 1 as a numeric.
var numericOne = []byte{0, 1, 0, 0, 0, 0, 0, 0, 0, 1}

// Count adds 1.
func (a *Adder) Count(s *Sum) {
	s.Seen = true
	switch a.enc.Of.Kind {
	case Float4, Float8:
		s.Low = math.Float64bits(math.Float64frombits(s.Low) + 1)
	case Numeric:
		s.addNumeric(numericOne, a.fraction)
	default:
		s.add(1)
	}
}

func (s *Sum) add(n int64) {
	var carry uint64
	s.Low, carry = bits.Add64(s.Low, uint64(n), 0)
	s.High, _ = bits.Add64(s.High, uint64(n>>63), carry)
}

// mostUnits is how many groups of four digits a number may have to be added within 128 bits: less than 2^94, so that
// more records than any batch has fit.
const mostUnits = 7

// addNumeric adds a numeric, if it is short enough and has no digits behind the sum's last.
func (c *Sum) addNumeric(field []byte, fraction int) bool {
	n, weight := int(binary.BigEndian.Uint16(field)), int(int16(binary.BigEndian.Uint16(field[2:])))
	zeros := fraction + weight - (n - 1) // groups between the number's last and the sum's
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
		c.Low, borrow = bits.Sub64(c.Low, low, 0)
		c.High, _ = bits.Sub64(c.High, high, borrow)
		return true
	}
	var carry uint64
	c.Low, carry = bits.Add64(c.Low, low, 0)
	c.High, _ = bits.Add64(c.High, high, carry)
	return true
}

// Large is the sum of the numerics that are too long for a Sum: units of 10000^-fraction. The zero Large is 0.
type Large struct {
	units    big.Int
	fraction int
}

var tenThousand = big.NewInt(10000)

// Add adds a numeric of any length. It allocates; such numbers are rare.
func (s *Large) Add(field []byte) {
	var v big.Int
	n, weight := int(binary.BigEndian.Uint16(field)), int(int16(binary.BigEndian.Uint16(field[2:])))
	for i := range n {
		v.Add(v.Mul(&v, tenThousand), big.NewInt(int64(binary.BigEndian.Uint16(field[8+2*i:]))))
	}
	if binary.BigEndian.Uint16(field[4:]) == numericNegative {
		v.Neg(&v)
	}
	s.add(&v, n-1-weight)
}

// add adds units of 10000^-fraction; a negative fraction stands for zeros before the point.
func (s *Large) add(units *big.Int, fraction int) {
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

// Append writes a sum, and a large one that belongs to it (nil: none does), as a field of the column. Its error says
// that the type does not hold it.
func (a *Adder) Append(dst []byte, c *Sum, large *Large) ([]byte, *record.BadRecord) {
	switch k := a.enc.Of.Kind; k {
	case Numeric:
		return a.appendNumeric(dst, c, large)
	case Float4, Float8:
		sum := math.Float64frombits(c.Low)
		if k == Float4 {
			sum = float64(float32(sum))
		}
		if math.IsInf(sum, 0) {
			return dst, a.outOfRange()
		}
		if k == Float4 {
			return AppendFixed(dst, int64(math.Float32bits(float32(sum))), k), nil
		}
		return AppendFixed(dst, int64(math.Float64bits(sum)), k), nil
	}
	n := int64(c.Low)
	fits := c.High == uint64(n>>63)
	switch a.enc.Of.Kind {
	case Int2:
		fits = fits && n == int64(int16(n))
	case Int4:
		fits = fits && n == int64(int32(n))
	}
	if !fits {
		return dst, a.outOfRange()
	}
	return AppendFixed(dst, n, a.enc.Of.Kind), nil
}

func (a *Adder) outOfRange() *record.BadRecord {
	return record.Bad(record.CodeOutOfRange, fmt.Sprintf("the sum is out of the range of %s", a.enc.Of))
}

// appendNumeric writes a sum with as many digits after the point as the longest of its numbers had.
func (a *Adder) appendNumeric(dst []byte, c *Sum, large *Large) ([]byte, *record.BadRecord) {
	shown := int(c.Shown)
	if n := int64(c.Low); large == nil && c.High == uint64(n>>63) {
		if zeros := 4*a.fraction - shown; zeros >= 0 && zeros <= value.ExactDigits {
			if out, ok := appendSmallNumeric(dst, n/int64(tens[zeros]), shown, a.enc); ok {
				return out, nil
			}
		}
	}
	sum := Large{fraction: a.fraction}
	sum.units.SetInt64(int64(c.High))
	sum.units.Lsh(&sum.units, 64).Add(&sum.units, new(big.Int).SetUint64(c.Low))
	if large != nil {
		sum.add(new(big.Int).Set(&large.units), large.fraction)
	}
	a.text = sum.units.Append(a.text[:0], 10)
	return a.appendUnits(dst, 4*sum.fraction, shown)
}

// appendUnits writes the number of units of 10^-places that a.text has, with the digits after the point that are shown:
// any behind them are zeros. The appender of numerics says whether the type holds it.
func (a *Adder) appendUnits(dst []byte, places, shown int) ([]byte, *record.BadRecord) {
	for ; places > shown && len(a.text) > 1; places-- {
		a.text = a.text[:len(a.text)-1]
	}
	for ; places < shown; places++ {
		a.text = append(a.text, '0')
	}
	d, _ := parseDecimal(a.text)
	d.exponent = -shown
	return appendDecimal(dst, &d, &value.Value{Kind: value.Number, B: a.text}, a.enc)
}
