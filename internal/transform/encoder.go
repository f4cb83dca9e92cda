package transform

import (
	"encoding/binary"
	"fmt"

	"sinker/internal/format"
	"sinker/internal/pgbin"
	"sinker/internal/record"
	"sinker/internal/value"
)

// Op is what a tuple is for.
type Op uint8

const (
	Write  Op = iota // append or upsert the row
	Delete           // delete the row of the key; the tuple holds the key columns only
	Filter           // no row
)

// Encoder encodes records by a plan. It keeps scratch memory and what it learned about the order of fields; it belongs
// to one goroutine.
type Encoder struct {
	plan     *Plan
	format   format.Format // of the value
	json     format.Format
	value    *reader
	key      *reader
	deletion *reader
	bare     [format.Forms]*reader // of JSON outside of the value and of key fields, by the form wanted
	keyRead  bool                  // the key of the record was read
	keyErr   *BadRecord

	omitted []byte // the places of the columns that the tuple lacks, two bytes each
	shape   Shape
	shapes  map[string]Shape // by omitted
	byShape []string         // omitted

	find    func(table string) *Encoder // nil: there is only the encoder's own table
	changes []Change                    // scratch
	one     record.Record               // scratch: a change as a record

	meta []byte      // scratch: provenance as text or JSON
	v    value.Value // scratch: a value that no decoder found
}

// mostScratch bytes are kept from record to record; one huge record does not hold on to its memory.
const mostScratch = 1 << 20

// Append appends one tuple of the binary COPY format for the record to dst: the field count in two bytes, then each
// field's length in four and its bytes. A Delete has the key columns only.
//
// With an error dst comes back as it was. A *BadRecord is the record's fault: no repetition changes it. Any other error
// is the world's, and says nothing about the record: the format lacks something that is to be fetched first
// (format.Source).
//
// A tuple lacks the columns for which the record has no field and only Postgres knows the default: see Shape.
func (e *Encoder) Append(dst []byte, r *record.Record) ([]byte, Op, error) {
	p := e.plan
	e.keyRead, e.omitted, e.shape = false, e.omitted[:0], 0
	if cap(e.meta) > mostScratch {
		e.meta = nil
	}
	if r.Value == nil && (p.value != nil || p.tombstones || p.ignored) {
		return e.tombstone(dst, r)
	}
	var values []value.Value
	if p.value != nil {
		if bad, err := e.value.Decode(r.Value); err != nil {
			return dst, Filter, err
		} else if bad != nil {
			return dst, Filter, bad
		}
		values = e.value.values
		if p.fields && values[0].Kind != value.Object {
			return dst, Filter, notObject("value", r.Value, &values[0])
		}
	}
	base := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(p.columns)))
	lacking := 0 // fields that are not there
	for i := range p.columns {
		c := &p.columns[i]
		var err *BadRecord
		if c.origin == fromField {
			if v := &values[c.node]; v.Kind > value.Null {
				dst, err = c.Append(dst, v)
			} else {
				if v.Kind == value.Missing {
					lacking++
				}
				dst, err = e.nothing(dst, v, c, e.value)
			}
		} else {
			dst, err = e.other(dst, r, c)
		}
		if err != nil {
			if err.Code == CodeMissing && c.fold == NoFold && e.foundNothing(r) {
				return dst[:base], Filter, e.noField(r.Value)
			}
			err.Column = c.Name
			return dst[:base], Filter, err
		}
	}
	if lacking == p.sought && e.foundNothing(r) {
		return dst[:base], Filter, e.noField(r.Value)
	}
	if lacks := len(e.omitted) / 2; lacks > 0 {
		if lacks == len(p.columns) {
			return dst[:base], Filter, bad(CodeMissing, "none of the columns gets anything from the record")
		}
		binary.BigEndian.PutUint16(dst[base:], uint16(len(p.columns)-lacks))
		e.shape = e.shapeOf(e.omitted)
	}
	return dst, Write, nil
}

func notObject(what string, src []byte, v *value.Value) *BadRecord {
	return bad(CodeNotObject, fmt.Sprintf("the %s is %s, not an object with fields: %s", what, v.Kind, glimpse(src)))
}

// nothing appends what stands for a field that is null or not there.
func (e *Encoder) nothing(dst []byte, v *value.Value, c *column, from *reader) ([]byte, *BadRecord) {
	isNull := v.Kind == value.Null
	for _, n := range c.way {
		if w := &from.values[n]; w.Kind == value.Null {
			isNull = true
		} else if w.Kind > value.Null && w.Kind != value.Object {
			return dst, bad(CodeWrongType,
				fmt.Sprintf("it is a field within %s, which is %s and has none", glimpse(w.B), w.Kind))
		}
	}
	return e.absent(dst, isNull, c)
}

func (e *Encoder) absent(dst []byte, isNull bool, c *column) ([]byte, *BadRecord) {
	switch {
	case isNull && !c.NotNull && !c.IsKey():
		return appendInt32(dst, -1), nil
	case !isNull && c.absent != nil:
		return append(dst, c.absent...), nil
	case !isNull && c.omit:
		e.omitted = binary.BigEndian.AppendUint16(e.omitted, c.place)
		return dst, nil
	}
	why := "is not there"
	if isNull {
		why = "is null"
	}
	if c.fold == Group {
		return dst, bad(CodeMissing, "it says which group the record belongs to, and its field "+why)
	}
	if c.IsKey() {
		return dst, bad(CodeMissing, "it is a key column, and its field "+why)
	}
	return dst, bad(CodeMissing, "it is NOT NULL, and its field "+why)
}

// other appends a column that does not come from the value.
func (e *Encoder) other(dst []byte, r *record.Record, c *column) ([]byte, *BadRecord) {
	switch c.origin {
	case fromValue:
		return e.whole(dst, r.Value, c)
	case fromKeyField:
		return e.keyField(dst, r, c)
	case fromKey:
		return e.bytes(dst, r.Key, c)
	case fromHeader:
		headers := r.Headers()
		for i := len(headers) - 1; i >= 0; i-- {
			if headers[i].Key == c.header {
				return e.bytes(dst, headers[i].Value, c)
			}
		}
		return e.absent(dst, false, c)
	case fromHeaders:
		return e.headers(dst, r, c)
	case fromTopic:
		e.meta = append(e.meta[:0], r.Topic...)
		return e.bytes(dst, e.meta, c)
	case fromPartition:
		return e.integer(dst, int64(r.Partition), c)
	case fromOffset:
		return e.integer(dst, r.Offset, c)
	}
	if c.origin == fromNothing {
		return appendInt32(dst, -1), nil
	}
	return e.timestamp(dst, r.Timestamp, c)
}

// whole appends a column of the whole value: its bytes for texts and bytea, its JSON for anything else.
func (e *Encoder) whole(dst, b []byte, c *column) ([]byte, *BadRecord) {
	v := &e.value.values[c.node]
	if v.Kind == value.Null {
		return e.absent(dst, true, c)
	}
	switch c.Type.Kind {
	case pgbin.Bytea, pgbin.Text, pgbin.Varchar, pgbin.Char:
		e.v = value.Value{Kind: value.Bytes, B: b}
		v = &e.v
	}
	return c.Append(dst, v)
}

// keyField appends a field of the record's key, which is read as JSON once per record.
func (e *Encoder) keyField(dst []byte, r *record.Record, c *column) ([]byte, *BadRecord) {
	if r.Key == nil {
		return e.absent(dst, true, c)
	}
	if !e.keyRead {
		e.keyRead = true
		if bad := e.key.read(r.Key); bad != nil {
			e.keyErr = record.Bad(bad.Code, "the key is "+bad.Reason)
		} else if e.keyErr = nil; e.key.values[0].Kind != value.Object {
			e.keyErr = notObject("key", r.Key, &e.key.values[0])
		}
	}
	if e.keyErr != nil {
		return dst, e.keyErr
	}
	v := &e.key.values[c.node]
	if v.Kind <= value.Null {
		return e.nothing(dst, v, c, e.key)
	}
	return c.Append(dst, v)
}

// bytes appends a column from bytes that need not be JSON: a key, a header, the topic's name. Texts and bytea take them
// as they are, json and jsonb read them as JSON, and any other type reads them as its text, in quotes or not.
func (e *Encoder) bytes(dst, b []byte, c *column) ([]byte, *BadRecord) {
	if b == nil {
		return e.absent(dst, true, c)
	}
	v := &e.v
	*v = value.Value{Kind: value.Text, Flags: value.Raw, B: b}
	switch c.Type.Kind {
	case pgbin.Bytea, pgbin.Text, pgbin.Varchar, pgbin.Char:
		v.Kind, v.Flags = value.Bytes, 0
	case pgbin.Enum:
	case pgbin.JSON, pgbin.JSONB, pgbin.Array:
		text := e.readerOf(formOf(c.Type))
		if bad := text.read(b); bad != nil {
			return dst, bad
		}
		*v = text.values[len(text.values)-1] // the one in the form, which comes last
		if v.Kind == value.Null {
			return e.absent(dst, true, c)
		}
	default:
		if len(b) > 0 && b[0] == '"' {
			if text := e.readerOf(format.AsScalar); text.read(b) == nil {
				*v = text.values[0]
			}
		}
	}
	return c.Append(dst, v)
}

// readerOf returns a reader of JSON texts that are one value of the form.
func (e *Encoder) readerOf(f format.Form) *reader {
	if e.bare[f] == nil {
		var root format.Paths
		root.Want(nil, f)
		e.bare[f] = newReader(e.json, root.Document())
	}
	return e.bare[f]
}

// reads says whether a record can be read, with what is known now.
func (r *reader) reads(b []byte) bool {
	bad, err := r.Decode(b)
	return bad == nil && err == nil
}

// read reads JSON, which lacks nothing of the world's.
func (r *reader) read(b []byte) *BadRecord {
	bad, _ := r.Decode(b)
	return bad
}

func (e *Encoder) integer(dst []byte, n int64, c *column) ([]byte, *BadRecord) {
	e.v.SetInt(n)
	return c.Append(dst, &e.v)
}

// timestamp appends the record's timestamp, which Kafka keeps in milliseconds; -1 there means none, and is NULL here.
func (e *Encoder) timestamp(dst []byte, ms int64, c *column) ([]byte, *BadRecord) {
	if ms == -1 {
		return e.absent(dst, true, c)
	}
	e.v.SetTimestamp(ms, 3)
	return c.Append(dst, &e.v)
}

// appendInt32 appends a length, or another number of four bytes.
func appendInt32(dst []byte, n int32) []byte { return binary.BigEndian.AppendUint32(dst, uint32(n)) }
