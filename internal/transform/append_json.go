package transform

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"sinker/internal/record"
)

// appendJSON writes json: the value's own text, spaces and all.
func appendJSON(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	s := v.b
	if err := checkJSON(s, v.flags); err != nil {
		return dst, err
	}
	return append(appendInt32(dst, int32(len(s))), s...), nil
}

// appendJSONB writes jsonb, whose binary form is a version and the JSON text.
func appendJSONB(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	s := v.b
	if err := checkJSON(s, v.flags); err != nil {
		return dst, err
	}
	dst = appendInt32(dst, int32(len(s))+1)
	return append(append(dst, 1), s...), nil
}

// mostExponent is how far a number in json or jsonb may be shifted by an exponent. Postgres would take 1e131071 and store
// 131072 digits for those eight bytes; float64 ends at 308.
const mostExponent = 400

// checkJSON checks what Postgres asks of JSON beyond its syntax, where the flags say that there is something to check.
func checkJSON(s []byte, flags uint8) *BadRecord {
	if flags&nonASCII != 0 && !utf8.Valid(s) {
		return invalidUTF8(s)
	}
	if flags&escaped != 0 {
		if err := checkEscapes(s); err != nil {
			return err
		}
	}
	if flags&odd != 0 {
		return checkNumbers(s)
	}
	return nil
}

// checkEscapes looks at the escapes of JSON: backslashes stand nowhere but in strings.
func checkEscapes(s []byte) *BadRecord {
	for rest := s; ; {
		i := bytes.IndexByte(rest, '\\')
		if i < 0 {
			return nil
		}
		r, n := unescape(rest[i:])
		if r == 0 {
			return bad(CodeNUL, `it holds \u0000, which Postgres' JSON can not`)
		}
		if utf16.IsSurrogate(r) {
			return bad(CodeSurrogate, fmt.Sprintf("it holds half of a surrogate pair, which is no character: %s", glimpse(rest[i:])))
		}
		rest = rest[i+n:]
	}
}

// checkNumbers looks at the numbers of JSON, which is known to be valid.
func checkNumbers(s []byte) *BadRecord {
	inText := false
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '"':
			inText = !inText
			i++
		case c == '\\':
			i += 2
		case !inText && (c == '-' || c-'0' <= 9):
			n := numberLength(s[i:])
			if err := checkJSONNumber(s[i : i+n]); err != nil {
				return err
			}
			i += n
		default:
			i++
		}
	}
	return nil
}

func numberLength(s []byte) int {
	for i, c := range s {
		if c-'0' > 9 && c != '-' && c != '+' && c != '.' && c|0x20 != 'e' {
			return i
		}
	}
	return len(s)
}

func checkJSONNumber(s []byte) *BadRecord {
	d, ok := parseDecimal(s)
	if !ok {
		return bad(CodeNotJSON, fmt.Sprintf("%s is not a number", glimpse(s)))
	}
	if d.exponent > mostExponent || d.exponent < -mostExponent || len(d.whole) > numericWhole || len(d.fraction)-d.exponent > numericScale {
		return bad(CodeOutOfRange, fmt.Sprintf("it holds the number %s; exponents beyond %d and numbers that Postgres' numeric does not hold are not taken", glimpse(s), mostExponent))
	}
	return nil
}

// headers appends all headers as a JSON array in their order, repetitions kept: [{"key":"k","value":"v"}, …]. A value
// that is no text for Postgres is given as "value_base64". A record without headers gives NULL.
func (e *Encoder) headers(dst []byte, r *record.Record, c *column) ([]byte, *BadRecord) {
	headers := r.Headers()
	if len(headers) == 0 {
		return e.absent(dst, false, c)
	}
	b := append(e.meta[:0], '[')
	for i, h := range headers {
		if i > 0 {
			b = append(b, ',')
		}
		if !isPostgresText([]byte(h.Key)) {
			return dst, bad(CodeInvalidUTF8, fmt.Sprintf("the name of header %d is no text: %s", i, glimpse([]byte(h.Key))))
		}
		b = appendQuoted(append(b, `{"key":`...), []byte(h.Key))
		switch {
		case h.Value == nil:
			b = append(b, `,"value":null}`...)
		case isPostgresText(h.Value):
			b = append(appendQuoted(append(b, `,"value":`...), h.Value), '}')
		default:
			b = append(appendBase64(append(b, `,"value_base64":"`...), h.Value), `"}`...)
		}
	}
	b = append(b, ']')
	e.meta = b
	e.v = value{kind: list, b: b}
	return c.append(dst, &e.v, &c.encoding)
}
