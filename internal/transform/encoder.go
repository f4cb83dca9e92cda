package transform

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"sinker/internal/record"
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
	value    *scanner
	key      *scanner
	deletion *scanner
	bare     [forms]*scanner // of JSON outside of the value and of key fields, by the form wanted
	keyRead  bool            // the key of the record in hand was scanned
	keyErr   *BadRecord

	omitted []byte // the places of the columns that the tuple lacks, two bytes each
	shape   Shape
	shapes  map[string]Shape // by omitted
	byShape []string         // omitted

	meta []byte // scratch: provenance as text or JSON
	v    value  // scratch: a value that no scanner found
}

// Append appends one tuple of the binary COPY format for the record to dst: the field count in two bytes, then each
// field's length in four and its bytes. A Delete has the key columns only. With an error, which is a *BadRecord, dst
// comes back as it was.
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
	if p.value != nil {
		if !e.value.scan(r.Value) {
			return dst, Filter, e.value.err
		}
		if p.fields && e.value.values[0].kind != object {
			return dst, Filter, notObject("value", r.Value, &e.value.values[0])
		}
	}
	base := len(dst)
	var values []value
	if p.value != nil {
		values = e.value.values
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(p.columns)))
	lacking := 0 // fields that are not there
	for i := range p.columns {
		c := &p.columns[i]
		var err *BadRecord
		if c.origin == fromField {
			if v := &values[c.node]; v.kind > null {
				dst, err = c.append(dst, v, &c.encoding)
			} else {
				if v.kind == missing {
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

func notObject(what string, src []byte, v *value) *BadRecord {
	return bad(CodeNotObject, fmt.Sprintf("the %s is %s, not an object with fields: %s", what, v.kind, glimpse(src)))
}

// nothing appends what stands for a field that is null or not there.
func (e *Encoder) nothing(dst []byte, v *value, c *column, s *scanner) ([]byte, *BadRecord) {
	isNull := v.kind == null
	for _, n := range c.way {
		if w := &s.values[n]; w.kind == null {
			isNull = true
		} else if w.kind > null && w.kind != object {
			return dst, bad(CodeWrongType, fmt.Sprintf("it is a field within %s, which is %s and has none", glimpse(w.b), w.kind))
		}
	}
	return e.absent(dst, isNull, c)
}

func (e *Encoder) absent(dst []byte, isNull bool, c *column) ([]byte, *BadRecord) {
	switch {
	case isNull && !c.NotNull && !c.isKey:
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
	if c.isKey {
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
	if v.kind == null {
		return e.absent(dst, true, c)
	}
	switch c.Type.Kind {
	case Bytea:
		return append(appendInt32(dst, int32(len(b))), b...), nil
	case Text, Varchar, Char:
		e.v = value{kind: text, flags: raw | v.flags&nonASCII, b: b}
		v = &e.v
	}
	return c.append(dst, v, &c.encoding)
}

// keyField appends a field of the record's key, which is read as JSON once a record.
func (e *Encoder) keyField(dst []byte, r *record.Record, c *column) ([]byte, *BadRecord) {
	if r.Key == nil {
		return e.absent(dst, true, c)
	}
	if !e.keyRead {
		e.keyRead, e.keyErr = true, nil
		if !e.key.scan(r.Key) {
			e.keyErr = bad(e.key.err.Code, "the key is "+e.key.err.Reason)
		} else if e.key.values[0].kind != object {
			e.keyErr = notObject("key", r.Key, &e.key.values[0])
		}
	}
	if e.keyErr != nil {
		return dst, e.keyErr
	}
	v := &e.key.values[c.node]
	if v.kind <= null {
		return e.nothing(dst, v, c, e.key)
	}
	return c.append(dst, v, &c.encoding)
}

// bytes appends a column from bytes that need not be JSON: a key, a header, the topic's name. Texts and bytea take them
// as they are, json and jsonb read them as JSON, and any other type reads them as its text, in quotes or not.
func (e *Encoder) bytes(dst, b []byte, c *column) ([]byte, *BadRecord) {
	if b == nil {
		return e.absent(dst, true, c)
	}
	v := &e.v
	*v = value{kind: text, flags: raw | nonASCII, b: b}
	switch c.Type.Kind {
	case Bytea:
		return append(appendInt32(dst, int32(len(b))), b...), nil
	case Text, Varchar, Char, Enum:
	case JSON, JSONB, Array:
		f := formOf(c.Type)
		s := e.scannerOf(f)
		if !s.scan(b) {
			return dst, bad(s.err.Code, s.err.Reason)
		}
		*v = s.values[s.doc.nodes[0].forms[f]]
		if v.kind == null {
			return e.absent(dst, true, c)
		}
	default:
		if s := e.scannerOf(asScalar); len(b) > 0 && b[0] == '"' && s.scan(b) {
			*v = s.values[0]
		}
	}
	return c.append(dst, v, &c.encoding)
}

// scannerOf returns a scanner of texts that are one value of the form.
func (e *Encoder) scannerOf(f form) *scanner {
	if e.bare[f] == nil {
		root := tree{}
		root.forms[f] = true
		e.bare[f] = newScanner(root.document(), e.plan.maxDepth)
	}
	return e.bare[f]
}

func (e *Encoder) integer(dst []byte, n int64, c *column) ([]byte, *BadRecord) {
	e.meta = strconv.AppendInt(e.meta[:0], n, 10)
	e.v = value{kind: number, flags: exact, num: n, b: e.meta}
	return c.append(dst, &e.v, &c.encoding)
}

// timestamp appends the record's timestamp, which Kafka keeps in milliseconds; -1 there means none, and is NULL here.
func (e *Encoder) timestamp(dst []byte, ms int64, c *column) ([]byte, *BadRecord) {
	if ms == -1 {
		return e.absent(dst, true, c)
	}
	e.meta = strconv.AppendInt(e.meta[:0], ms, 10)
	const farthest = 9_223_371_331_200_000 // milliseconds: the end of Postgres' timestamps, and still an int64 in micros
	if ms > farthest || ms < -farthest {
		return dst, outOfRange(e.meta, &c.encoding)
	}
	dst, err := appendMicros(dst, ms*1000-epochMicros, e.meta, &c.encoding)
	if err == nil && c.unit > 0 {
		dst = cutMicros(dst, &c.encoding)
	}
	return dst, err
}
