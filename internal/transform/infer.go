package transform

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Infer proposes columns for records of which nothing is configured: one for each top-level field of the JSON objects
// among them, in the order in which the fields first appear, with the field's name. Integers become bigint (numeric if
// one does not fit), other numbers numeric, booleans boolean, strings text, or timestamp with time zone if all of them
// are RFC 3339 times; objects, arrays, fields of several kinds and those that are always null become jsonb.
//
// Records that are not JSON objects are passed over; if there is no other, or a field's name can not be a column's, that
// is an error.
func Infer(records []*kgo.Record) ([]Column, error) {
	var in inference
	objects := 0
	for _, r := range records {
		s := newScanner(&document{nodes: []node{{end: 1}}}, defaultDepth)
		if !s.scan(r.Value) || s.values[0].kind != object {
			continue
		}
		objects++
		if err := in.object(s); err != nil {
			return nil, err
		}
	}
	if objects == 0 {
		return nil, fmt.Errorf("none of the %d sampled records is a JSON object, so there are no fields to make columns of", len(records))
	}
	if len(in.fields) == 0 {
		return nil, fmt.Errorf("the %d sampled JSON objects have no field", objects)
	}
	if len(in.fields) > mostColumns {
		return nil, fmt.Errorf("the sampled records have %d fields and a table %d columns at most; list the columns to load", len(in.fields), mostColumns)
	}
	columns := make([]Column, len(in.fields))
	for i, f := range in.fields {
		if err := checkName(f.name); err != nil {
			return nil, fmt.Errorf("a field can not become a column of its name, so list the columns to load: %w", err)
		}
		columns[i] = Column{Name: f.name, Path: quoteSegment(f.name), Type: f.typeName()}
	}
	return columns, nil
}

type inference struct {
	fields []inferred
	byName map[string]int
}

// inferred is a field and what its values have been so far.
type inferred struct {
	name string
	seen shape
}

// shape is a set of kinds of values.
type shape uint8

const (
	anInteger  shape = 1 << iota
	aBigNumber       // an integer that does not fit, or a number with a fraction or an exponent
	aBoolean
	aTime
	aText
	aTree
)

// object takes note of the fields of the object that s has scanned. Of a repeated field the last one counts.
func (in *inference) object(s *scanner) error {
	if in.byName == nil {
		in.byName = map[string]int{}
	}
	last := map[int]shape{}
	for i := skipSpace(s.b, skipSpace(s.b, 0)+1); s.b[i] != '}'; {
		end, _ := s.name(i)
		var name string
		if err := json.Unmarshal(s.b[i:end+1], &name); err != nil {
			return fmt.Errorf("the field name %s: %w", glimpse(s.b[i:end+1]), err)
		}
		if err := checkText(s.b[i+1 : end]); err != nil {
			return fmt.Errorf("a field can not become a column of its name, so list the columns to load: %s", err.Reason)
		}
		id, known := in.byName[name]
		if !known {
			id = len(in.fields)
			in.byName[name] = id
			in.fields = append(in.fields, inferred{name: name})
		}
		i, _ = s.value(skipSpace(s.b, s.colon(end+1)), 0, 1)
		last[id] = shapeOf(&s.values[0])
		if i = skipSpace(s.b, i); s.b[i] == ',' {
			i = skipSpace(s.b, i+1)
		}
	}
	for id, sh := range last {
		in.fields[id].seen |= sh
	}
	return nil
}

// checkText says whether Postgres can hold a JSON string's content.
func checkText(s []byte) *BadRecord {
	content, flags := unescaped(nil, s)
	v := value{kind: text, flags: flags | nonASCII, b: content}
	return v.unfit()
}

func shapeOf(v *value) shape {
	switch v.kind {
	case isTrue, isFalse:
		return aBoolean
	case number:
		if v.flags&exact != 0 && v.scale == 0 {
			return anInteger
		}
		s := v.b
		if d, _ := parseDecimal(s); !strings.ContainsAny(string(s), ".eE") {
			if _, _, fits := d.integer(); fits {
				return anInteger
			}
		}
		return aBigNumber
	case text:
		var c clock
		s := v.b
		if len(s) > 10 && s[10]|0x20 == 't' && c.readTimestamp(s) && c.zoned && c.digits <= 6 {
			return aTime
		}
		return aText
	case object, list:
		return aTree
	}
	return 0
}

func (f inferred) typeName() string {
	switch f.seen {
	case anInteger:
		return "bigint"
	case aBigNumber, anInteger | aBigNumber:
		return "numeric"
	case aBoolean:
		return "boolean"
	case aTime:
		return "timestamp with time zone"
	case aText, aText | aTime:
		return "text"
	}
	return "jsonb"
}
