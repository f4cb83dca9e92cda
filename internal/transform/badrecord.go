package transform

import (
	"strconv"
	"unicode/utf8"

	"sinker/internal/record"
)

// BadRecord is record.BadRecord, and its codes.
type BadRecord = record.BadRecord

// Codes of a BadRecord.
const (
	CodeNotJSON     = record.CodeNotJSON
	CodeNotObject   = record.CodeNotObject
	CodeNoField     = record.CodeNoField
	CodeTooDeep     = record.CodeTooDeep
	CodeTombstone   = record.CodeTombstone
	CodeMissing     = record.CodeMissing
	CodeWrongType   = record.CodeWrongType
	CodeInvalid     = record.CodeInvalid
	CodeOutOfRange  = record.CodeOutOfRange
	CodeInexact     = record.CodeInexact
	CodeTooLong     = record.CodeTooLong
	CodeInvalidUTF8 = record.CodeInvalidUTF8
	CodeNUL         = record.CodeNUL
	CodeSurrogate   = record.CodeSurrogate
)

func bad(code, reason string) *BadRecord { return &BadRecord{Code: code, Reason: reason} }

// glimpse quotes the start of a value for a message. Bytes that are no text are shown escaped.
func glimpse(b []byte) string {
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
