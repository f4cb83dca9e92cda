package transform

import (
	"bytes"
	"unicode/utf8"
)

// isPostgresText says whether Postgres can hold the bytes as text.
func isPostgresText(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }
