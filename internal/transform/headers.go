package transform

import (
	"encoding/base64"
	"fmt"

	"sinker/internal/pgbin"
	"sinker/internal/record"
	"sinker/internal/value"
)

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
		b = pgbin.AppendQuoted(append(b, `{"key":`...), []byte(h.Key))
		switch {
		case h.Value == nil:
			b = append(b, `,"value":null}`...)
		case isPostgresText(h.Value):
			b = append(pgbin.AppendQuoted(append(b, `,"value":`...), h.Value), '}')
		default:
			b = append(base64.StdEncoding.AppendEncode(append(b, `,"value_base64":"`...), h.Value), `"}`...)
		}
	}
	b = append(b, ']')
	e.meta = b
	e.v = value.Value{Kind: value.JSON, B: b}
	return c.Append(dst, &e.v)
}
