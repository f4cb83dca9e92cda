package record

import (
	"strconv"
	"unicode/utf8"
)

// Bad is a BadRecord about no column in particular: whoever knows the column adds it.
func Bad(code, reason string) *BadRecord { return &BadRecord{Code: code, Reason: reason} }

// Glimpse quotes the start of a value for a Reason, which Error shows without it. Bytes that are no text are escaped.
func Glimpse(b []byte) string {
	const most = 40
	if len(b) <= most {
		return strconv.Quote(string(b))
	}
	n := most
	for n > most-utf8.UTFMax && !utf8.RuneStart(b[n]) {
		n--
	}
	return strconv.Quote(string(b[:n])) + "…"
}
