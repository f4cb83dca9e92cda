package pgbin

import (
	"encoding/binary"
	"fmt"
	"math"

	"sinker/internal/record"
	"sinker/internal/value"
)

// The units that Cut knows, in microseconds.
const (
	Minute int64 = minuteMicros
	Hour   int64 = hourMicros
	Day    int64 = dayMicros
)

// Cut returns the encoding of times that are cut down to a unit, in UTC, for a key: timestamps, and for days also
// dates.
func Cut(t Type, unit int64) (Encoding, error) {
	whole := t
	whole.Typmod = -1 // the fraction goes anyway
	switch {
	case t.Kind == Timestamp || t.Kind == TimestampTZ:
	case t.Kind == Date && unit == Day:
		whole = OfKind(TimestampTZ, -1)
	default:
		return Encoding{}, fmt.Errorf("a time cut down to a unit is timestamp with time zone or timestamp, a day also "+
			"date; not %s", t)
	}
	inner, err := NewEncoding(whole, true)
	return Encoding{append: appendCut, element: &inner, isKey: true, unit: unit, Of: t, fraction: 6}, err
}

func appendCut(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	dst, err := enc.element.Append(dst, v)
	if err != nil {
		return dst, err
	}
	return cutMicros(dst, enc), nil
}

// Finite returns the encoding of numbers that a sum can go on from: one NaN or infinity would stay in it.
func Finite(t Type) (Encoding, error) {
	inner, err := NewEncoding(t, false)
	return Encoding{append: appendFinite, element: &inner, Of: t, precision: inner.precision, scale: inner.scale}, err
}

func appendFinite(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	at := len(dst)
	dst, err := enc.element.Append(dst, v)
	if err == nil && !isFinite(dst[at+4:], enc.Of.Kind) {
		return dst, record.Bad(record.CodeOutOfRange, fmt.Sprintf("%s cannot be added: the sum would be that from then "+
			"on", glimpse(v)))
	}
	return dst, err
}

// cutMicros cuts the time that was appended last down to the encoding's unit. Infinity stays what it is.
func cutMicros(dst []byte, enc *Encoding) []byte {
	at := len(dst) - 8
	micros := int64(binary.BigEndian.Uint64(dst[at:]))
	infinite := micros == math.MaxInt64 || micros == math.MinInt64
	if enc.Of.Kind != Date {
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
