package transform

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

// isPostgresText says whether Postgres can hold the bytes as text.
func isPostgresText(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

// appendQuoted appends a JSON string.
func appendQuoted(dst, s []byte) []byte {
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

func appendBase64(dst, s []byte) []byte { return base64.StdEncoding.AppendEncode(dst, s) }
