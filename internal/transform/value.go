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
	escaped                    // object, list: there are backslashes
	nonASCII                   // text, object, list: there are bytes above 0x7f
	odd                        // object, list: there are numbers with an exponent, or very long ones
	raw                        // text: it is not from a JSON string, so it may hold NUL
	zeroChar                   // text: it holds \u0000, which Postgres' text cannot
	halfPair                   // text: it holds half of a UTF-16 pair, which is no character
)

// value is one value of a record, complete in itself: an appender needs nothing else to write it. Its memory is the
// record's or the format's, and holds until the format reads the next record.
type value struct {
	// b is the text as it is meant (text), the literal (number, boolean), or the JSON text (object, list). Where a
	// column wants JSON, b is the JSON text of any kind of value, a string's quotes included.
	b     []byte
	num   int64 // number with the exact flag: the digits without the point
	kind  kind
	flags uint8
	scale uint8   // number with the exact flag: digits after the point
	items []value // list: the elements, where a column wants an array
}

// form is how a column wants a value: a path may be wanted in several forms.
type form uint8

const (
	asScalar     form = iota // one value; an object or a list comes as its JSON text
	asJSON                   // the JSON text, whatever it is
	asList                   // the elements of a list, and of the lists in it
	asListOfJSON             // the elements of a list as their JSON texts
	forms
)

// formOf is the form in which a type's appender takes a value.
func formOf(t Type) form {
	switch {
	case t.Kind == JSON || t.Kind == JSONB:
		return asJSON
	case t.Kind == Array && formOf(*t.Elem) == asJSON:
		return asListOfJSON
	case t.Kind == Array:
		return asList
	}
	return asScalar
}

func (v *value) set(k kind, flags uint8, b []byte) {
	v.kind, v.flags, v.b = k, flags, b
}

// content returns what a text means, for types that read a text. Bytes that are no UTF-8 pass: no type that reads
// texts takes them.
func (v *value) content() ([]byte, *BadRecord) {
	if v.flags&(zeroChar|halfPair) != 0 {
		return nil, v.unfit()
	}
	return v.b, nil
}
