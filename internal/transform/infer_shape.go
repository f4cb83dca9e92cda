package transform

import "strings"

// shape is a set of kinds of values.
type shape uint8

const (
	aWhole    shape = 1 << iota // a whole number that fits bigint
	aNumber                     // any other
	aBoolean                    //
	aDate                       // ISO 8601
	aMoment                     // date and time without a zone
	anInstant                   // with one
	aText                       // any other string
	aTree                       // an object or array

	anyNumber = aWhole | aNumber
	anyString = aDate | aMoment | anInstant | aText
)

// The types that a value does not go into; of others its shape says all.
const (
	notNumeric shape = 1 << iota
	notJSONB
)

// inferred is a field and what its values have been so far.
type inferred struct {
	name  string
	seen  shape
	unfit shape
	whole int // records

	tooWide bool // with it a row would be too wide
}

func (f *inferred) add(s saw) {
	f.seen |= s.shape
	f.unfit |= s.unfit
	if s.shape == aWhole {
		f.whole++
	}
}

// typeName is the type of the field's column.
func (f *inferred) typeName(isKey bool) string {
	switch seen := f.seen; {
	case seen == 0:
		return "text"
	case seen == aWhole && f.whole >= enoughWhole:
		return "bigint"
	case seen&^anyNumber == 0 && f.unfit&notNumeric == 0:
		return "numeric"
	case seen&^anyNumber == 0:
		return "text"
	case seen == aBoolean:
		return "boolean"
	case seen == aDate:
		return "date"
	case seen == aMoment:
		return "timestamp"
	case seen == anInstant:
		return "timestamptz"
	case seen&anyString != 0 && seen&aTree == 0, f.unfit&notJSONB != 0, isKey:
		return "text"
	}
	return "jsonb"
}

// widest is how many bytes of a row a value takes at most: Postgres moves larger ones out of it.
const widest = 24

// look returns a value's shape, and the types that refuse it although values of its shape go into them.
func (in *inference) look(v *value) (s saw) {
	s.width = min(widest, len(v.b)+8) // a text has one byte more than its letters, a numeric seven than its digits
	switch v.kind {
	case isTrue, isFalse:
		s.shape = aBoolean
	case number:
		s.shape = shapeOfNumber(v)
		if !in.takes(Numeric, v) {
			s.unfit |= notNumeric
		}
	case text:
		s.shape = shapeOfText(v.b)
		return s // what jsonb refuses text refuses too
	case object, list:
		s.shape, s.width = aTree, widest
	default:
		return saw{}
	}
	// What text refuses too goes nowhere.
	if !in.takes(JSONB, v) && in.takes(Text, v) {
		s.unfit |= notJSONB
	}
	return s
}

var inferenceTypes = func() map[Kind]encoding {
	types := map[Kind]encoding{}
	for _, k := range []Kind{Numeric, JSONB, Text} {
		types[k], _ = newEncoding(baseType(k, -1), false) // these have no problem
	}
	return types
}()

// takes says whether the encoder writes the value as the type.
func (in *inference) takes(k Kind, v *value) bool {
	enc := inferenceTypes[k]
	out, err := enc.append(in.out[:0], v, &enc)
	in.out = out[:0]
	return err == nil
}

func shapeOfNumber(v *value) shape {
	if v.flags&exact != 0 && v.scale == 0 && v.flags&odd == 0 {
		return aWhole
	}
	s := v.b
	if d, ok := parseDecimal(s); ok && !strings.ContainsAny(string(s), ".eE") {
		if _, _, fits := d.integer(); fits {
			return aWhole
		}
	}
	return aNumber
}

// shapeOfText reads a string. A year of more than four digits makes a text.
func shapeOfText(s []byte) shape {
	var c clock
	if len(s) < 10 || s[4] != '-' {
		return aText
	}
	if len(s) == 10 {
		if rest, ok := c.readDate(s); ok && len(rest) == 0 {
			return aDate
		}
		return aText
	}
	if s[10]|0x20 != 't' && s[10] != ' ' || !c.readTimestamp(s) || c.digits > 6 {
		return aText
	}
	if c.zoned {
		return anInstant
	}
	return aMoment
}
