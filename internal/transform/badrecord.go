package transform

import "sinker/internal/record"

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

func bad(code, reason string) *BadRecord { return record.Bad(code, reason) }

func glimpse(b []byte) string { return record.Glimpse(b) }
