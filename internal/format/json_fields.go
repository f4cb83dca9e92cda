package format

import (
	"sinker/internal/record"
	"sinker/internal/value"
)

// jsonFormat reads plain JSON texts.
type jsonFormat struct{ maxDepth int }

// JSON returns the format of plain JSON texts, with at most maxDepth objects and arrays inside one another; 0 means
// DefaultDepth.
func JSON(maxDepth int) Format {
	if maxDepth == 0 {
		maxDepth = DefaultDepth
	}
	return &jsonFormat{maxDepth}
}

func (f *jsonFormat) Decoder(want *Document, into []value.Value) Decoder {
	return newScanner(want, into, f.maxDepth)
}

func (f *jsonFormat) Fields() Fields {
	whole := (&Paths{}).Document()
	return &jsonFields{newScanner(whole, make([]value.Value, whole.Len()), f.maxDepth)}
}

// jsonFields reads records as a whole first, which checks them, and then their fields.
type jsonFields struct{ s *scanner }

func (f *jsonFields) Read(b []byte) (value.Kind, *record.BadRecord, error) {
	if bad, err := f.s.Decode(b); bad != nil || err != nil {
		return value.Missing, bad, err
	}
	return f.s.values[0].Kind, nil, nil
}

func (f *jsonFields) Each(each func(name string, v *value.Value)) {
	s := f.s
	for i := skipSpace(s.b, skipSpace(s.b, 0)+1); s.b[i] != '}'; {
		end, flags := s.name(i)
		name := s.b[i+1 : end]
		if flags&escaped != 0 {
			name = unescapeName(nil, name)
		}
		i, _ = s.value(skipSpace(s.b, s.colon(end+1)), 0, 1)
		each(string(name), &s.values[0])
		if i = skipSpace(s.b, i); s.b[i] == ',' {
			i = skipSpace(s.b, i+1)
		}
	}
}

// schemaID returns the id of the schema by which a record is written, if it begins as those of a schema registry do: a
// zero byte, which begins no JSON, and four bytes.
func schemaID(b []byte) (uint32, bool) {
	if len(b) < 5 || b[0] != 0 {
		return 0, false
	}
	return uint32(b[1])<<24 | uint32(b[2])<<16 | uint32(b[3])<<8 | uint32(b[4]), true
}
