// Package value has the values that a format finds in a record and that an appender writes into a column. A value is
// complete in itself: whoever writes it needs neither the record nor the format, and knows neither.
package value

import (
	"encoding/binary"
	"math"
)

// Kind is what a value is, and so which of its fields hold it.
type Kind uint8

// The kinds. Whatever comes after Null is there.
const (
	Missing   Kind = iota // nothing: the field is not there
	Null                  // the field is there, and null
	True                  //
	False                 //
	Number                // with Exact: Num / 10^Scale; otherwise B is its literal, as JSON writes numbers
	Float                 // Num has the bits of a float64
	Decimal               // B / 10^Scale: B is a signed number, the first byte the highest (two's complement)
	Text                  // B: its bytes, UTF-8
	Bytes                 // B
	Date                  // Num: days from 1970-01-01
	Time                  // Num / 10^Scale: seconds of a day
	Timestamp             // Num / 10^Scale: seconds from 1970-01-01 00:00, of UTC or (Local) of a clock somewhere
	Duration              // Num / 10^Scale: seconds; B, if there is any: months and days (SetDuration)
	Object                // B: its JSON text
	List                  // Items: the elements, where a column wants an array; B: its JSON text, where it does not
	JSON                  // B: a JSON text, whatever is in it
)

// String names the kind for messages, after "is".
func (k Kind) String() string {
	return [...]string{"nothing", "null", "a boolean", "a boolean", "a number", "a number", "a number", "a string",
		"bytes",
		"a date", "a time of day", "a timestamp", "a duration", "an object", "an array", "JSON"}[k]
}

// Flags say what is not seen from a value's kind.
type Flags uint16

// The flags. Those of a JSON text (Object, List, JSON) speak of everything within, names included.
const (
	Exact    Flags = 1 << iota // Number: it is Num / 10^Scale, Scale is 0 to 18; B may be empty
	NonASCII                   // Text, JSON texts: there are bytes above 0x7f, which need not be UTF-8
	Raw                        // Text: nobody has looked at the bytes. There may be zero bytes, and what is not UTF-8
	ZeroChar                   // Text, JSON texts: there is the character U+0000 (JSON: as an escape)
	HalfPair                   // Text, JSON texts: there was half a UTF-16 pair, which is no character. Text lacks it
	Far                        // JSON texts, Number: a number is beyond what IsFar allows
	Single                     // Float: it was a float32
	Local                      // Timestamp: a clock's reading, with no word about the zone
	lastFlag
)

// Spare is the first flag that a format may use for itself while it makes a value.
const Spare = lastFlag

// OfJSON are the flags of a JSON text.
const OfJSON = NonASCII | ZeroChar | HalfPair | Far

// Value is one value of a record. Its memory is the record's or the format's, and holds until the format reads the next
// record.
type Value struct {
	B     []byte
	Num   int64
	Kind  Kind
	Flags Flags
	Scale int16
	Items []Value
}

// Set makes the value one of those kinds that B holds.
func (v *Value) Set(k Kind, f Flags, b []byte) { v.Kind, v.Flags, v.B = k, f, b }

// ExactDigits is how many decimal digits always fit an int64.
const ExactDigits = 18

// SetInt makes the value an integer.
func (v *Value) SetInt(n int64) { *v = Value{Kind: Number, Flags: Exact, Num: n} }

// SetFloat makes the value a float64.
func (v *Value) SetFloat(f float64) { *v = Value{Kind: Float, Num: int64(math.Float64bits(f))} }

// SetFloat32 makes the value a float32. Its decimal digits are those that tell it from other float32s.
func (v *Value) SetFloat32(f float32) {
	*v = Value{Kind: Float, Flags: Single, Num: int64(math.Float64bits(float64(f)))}
}

// Float64 is a Float's number.
func (v *Value) Float64() float64 { return math.Float64frombits(uint64(v.Num)) }

// SetDecimal makes the value unscaled / 10^scale. unscaled is a signed number, the first byte the highest, of any
// length. It reports false for a scale that no column has.
func (v *Value) SetDecimal(unscaled []byte, scale int) bool {
	if scale != int(int16(scale)) {
		return false
	}
	*v = Value{Kind: Decimal, B: unscaled, Scale: int16(scale)}
	if n, fits := signed(unscaled); fits && 0 <= scale && scale <= ExactDigits {
		*v = Value{Kind: Number, Flags: Exact, Num: n, Scale: int16(scale)}
	}
	return true
}

// signed reads a signed number of at most eight bytes.
func signed(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 8 {
		return 0, len(b) == 0
	}
	n := int64(int8(b[0]))
	for _, c := range b[1:] {
		n = n<<8 | int64(c)
	}
	return n, true
}

// SetDate makes the value a date, in days from 1970-01-01.
func (v *Value) SetDate(days int64) { *v = Value{Kind: Date, Num: days} }

// SetTime makes the value a time of day: n / 10^scale seconds from midnight. The scale is 0 to 9.
func (v *Value) SetTime(n int64, scale int) { *v = Value{Kind: Time, Num: n, Scale: int16(scale)} }

// SetTimestamp makes the value an instant: n / 10^scale seconds from 1970-01-01 00:00 UTC. The scale is 0 to 9.
func (v *Value) SetTimestamp(n int64, scale int) {
	*v = Value{Kind: Timestamp, Num: n, Scale: int16(scale)}
}

// SetLocal makes the value a date and a time that a clock shows, of which nobody knows the zone. Otherwise as
// SetTimestamp.
func (v *Value) SetLocal(n int64, scale int) {
	*v = Value{Kind: Timestamp, Flags: Local, Num: n, Scale: int16(scale)}
}

// SetDuration makes the value a span of time: n / 10^scale seconds and, where parts is not empty, the months and days
// in it, which are two signed numbers of four bytes, the lowest byte first, as Avro's durations have them. They do not
// convert into one another. The scale is 0 to 9.
func (v *Value) SetDuration(parts []byte, n int64, scale int) {
	*v = Value{Kind: Duration, B: parts, Num: n, Scale: int16(scale)}
}

// MonthsDays are the parts of a Duration that are no seconds.
func (v *Value) MonthsDays() (months, days int32) {
	if len(v.B) < 8 {
		return 0, 0
	}
	return int32(binary.LittleEndian.Uint32(v.B)), int32(binary.LittleEndian.Uint32(v.B[4:]))
}

// The numbers in JSON that are Far: Postgres would take 1e131071 and store 131072 digits for those eight bytes, and
// float64 ends at 308.
const (
	MostExponent = 400
	MostWhole    = 131072 // digits before the point
	MostFraction = 16383  // digits behind it
)

// IsFar says whether a number of this many digits before and behind its point, shifted by an exponent, is Far.
func IsFar(whole, fraction, exponent int) bool {
	return exponent > MostExponent || exponent < -MostExponent || whole > MostWhole || fraction-exponent > MostFraction
}
