package transform

import (
	"bytes"

	"sinker/internal/pgbin"
	"sinker/internal/value"
)

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
func (in *inference) look(v *value.Value) (s saw) {
	s.width = min(widest, len(v.B)+8) // a text has one byte more than its letters, a numeric seven than its digits
	switch v.Kind {
	case value.True, value.False:
		s.shape = aBoolean
	case value.Number:
		s.shape = in.shapeOfNumber(v)
		if !in.takes(pgbin.Numeric, v) {
			s.unfit |= notNumeric
		}
	case value.Text:
		s.shape = shapeOfText(v.B)
		return s // what jsonb refuses text refuses too
	case value.Object, value.List:
		s.shape, s.width = aTree, widest
	default:
		return saw{}
	}
	// What text refuses too goes nowhere.
	if !in.takes(pgbin.JSONB, v) && in.takes(pgbin.Text, v) {
		s.unfit |= notJSONB
	}
	return s
}

var inferenceTypes = func() map[pgbin.Kind]pgbin.Encoding {
	types := map[pgbin.Kind]pgbin.Encoding{}
	for _, k := range []pgbin.Kind{pgbin.Int8, pgbin.Numeric, pgbin.JSONB, pgbin.Text} {
		types[k], _ = pgbin.NewEncoding(pgbin.OfKind(k, -1), false) // these have no problem
	}
	return types
}()

// takes says whether the encoder writes the value as the type.
func (in *inference) takes(k pgbin.Kind, v *value.Value) bool {
	enc := inferenceTypes[k]
	out, err := enc.Append(in.out[:0], v)
	in.out = out[:0]
	return err == nil
}

func (in *inference) shapeOfNumber(v *value.Value) shape {
	if !bytes.ContainsAny(v.B, ".eE") && in.takes(pgbin.Int8, v) {
		return aWhole
	}
	return aNumber
}

// shapeOfText reads a string. A year of more than four digits makes a text.
func shapeOfText(s []byte) shape {
	switch pgbin.TimeKind(s) {
	case pgbin.Date:
		return aDate
	case pgbin.Timestamp:
		return aMoment
	case pgbin.TimestampTZ:
		return anInstant
	}
	return aText
}
