package pgbin

import (
	"fmt"
	"unicode/utf8"

	"sinker/internal/record"
	"sinker/internal/value"
)

// appendJSON writes json: a JSON text as it is, spaces and all.
func appendJSON(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	at := len(dst)
	dst, err := appendJSONText(append(dst, 0, 0, 0, 0), v, enc)
	if err == nil {
		setLength(dst, at)
	}
	return dst, err
}

// appendJSONB writes jsonb, whose binary form is a version and the JSON text.
func appendJSONB(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	at := len(dst)
	dst, err := appendJSONText(append(dst, 0, 0, 0, 0, 1), v, enc)
	if err == nil {
		setLength(dst, at)
	}
	return dst, err
}

// appendJSONText writes a value as JSON. What is no JSON yet becomes what Postgres' to_jsonb makes of it.
func appendJSONText(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	switch v.Kind {
	case value.JSON, value.Object, value.List:
		if err := checkJSON(v); err != nil {
			return dst, err
		}
		return append(dst, v.B...), nil
	case value.Text:
		if err := unfit(v); err != nil {
			return dst, err
		}
		return AppendQuoted(dst, v.B), nil
	case value.True, value.False, value.Number, value.Decimal:
		if err := checkJSON(v); err != nil {
			return dst, err
		}
		return render(dst, v, enc, jsonText)
	case value.Float:
		if _, finite := finiteFloat(v); finite {
			return render(dst, v, enc, jsonText)
		}
	}
	dst, err := render(append(dst, '"'), v, enc, jsonText) // nothing in it that JSON would escape
	return append(dst, '"'), err
}

// checkJSON checks what Postgres asks of a JSON text beyond its syntax.
func checkJSON(v *value.Value) *record.BadRecord {
	if v.Flags == 0 {
		return nil
	}
	switch {
	case v.Flags&value.NonASCII != 0 && !utf8.Valid(v.B):
		return invalidUTF8(v.B)
	case v.Flags&value.ZeroChar != 0:
		return record.Bad(record.CodeNUL, `it holds \u0000, which Postgres' JSON cannot`)
	case v.Flags&value.HalfPair != 0:
		return record.Bad(record.CodeSurrogate,
			fmt.Sprintf("it holds half of a surrogate pair, which is no character: %s", record.Glimpse(v.B)))
	case v.Flags&value.Far != 0:
		return record.Bad(record.CodeOutOfRange, fmt.Sprintf("it holds a number with an exponent beyond %d, or one that "+
			"Postgres' numeric does not hold: %s", value.MostExponent, record.Glimpse(v.B)))
	}
	return nil
}

// AppendQuoted appends a JSON string.
func AppendQuoted(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
