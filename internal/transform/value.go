package transform

// kind is what a format found at a column's place in the record.
type kind uint8

const (
	missing kind = iota // nothing: the field is not there
	null
	isTrue
	isFalse
	number
	text // a string
	object
	list
)

func (k kind) String() string {
	return [...]string{"nothing", "null", "a boolean", "a boolean", "a number", "a string", "an object", "an array"}[k]
}

// Flags of a value.
const (
	exact    uint8 = 1 << iota // number: it is num / 10^scale
	escaped                    // text, object, list: there are backslashes
	nonASCII                   // text, object, list: there are bytes above 0x7f
	odd                        // object, list: there are numbers with an exponent, or very long ones
	raw                        // text: it is not from a JSON string, so it may hold NUL and control characters
)

// value is one value of a record as a format found it: where its bytes are, and what was learned in passing. For a text
// the bytes are those between the quotes, escapes and all; for anything else the JSON text.
type value struct {
	num        int64 // number with the exact flag: the digits without the point
	start, end int32 // in the source
	kind       kind
	flags      uint8
	scale      uint8 // number with the exact flag: digits after the point
}
