package transform

import (
	"encoding/binary"
	"fmt"

	"sinker/internal/record"
	"sinker/internal/value"
)

// tombstone appends the deletion of the row that a record with a null value stands for. The key columns that come from
// the value otherwise come from the record's key now: from its field at the same path, or else of the path's last name,
// if the key is a JSON object; if there is only one such column the key may also be its value, as JSON or as plain
// text.
func (e *Encoder) tombstone(dst []byte, r *record.Record) ([]byte, Op, error) {
	p := e.plan
	if p.ignored {
		return dst, Filter, nil
	}
	if p.columns[0].fold != NoFold {
		return dst, Filter, bad(CodeTombstone, "the value is null, and so has no group that it could be counted in; "+
			"`delete: ignore` passes over such records")
	}
	if !p.tombstones || p.keys == 0 {
		return dst, Filter, bad(CodeTombstone, "the value is null, and the sink does not delete: set `delete: ignore` "+
			"to pass over such records, or `key:` and `delete: tombstone` to delete the row of the key")
	}
	if p.deletion != nil {
		if r.Key == nil {
			return dst, Filter, bad(CodeTombstone, "the value is null, and so is the key that would say which row to delete")
		}
		if e.deletion.read(r.Key) != nil {
			e.deletion.values[0].Kind = value.Missing // no JSON
		}
	}
	base := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(p.keys))
	for i := range p.columns[:p.keys] {
		c := &p.columns[i]
		var err *BadRecord
		if c.origin == fromField {
			dst, err = e.deletionKey(dst, r, c)
		} else {
			dst, err = e.other(dst, r, c)
		}
		if err != nil {
			err.Column = c.Name
			return dst[:base], Filter, err
		}
	}
	return dst, Delete, nil
}

// deletionKey appends a key column from a tombstone's key.
func (e *Encoder) deletionKey(dst []byte, r *record.Record, c *column) ([]byte, *BadRecord) {
	whole := &e.deletion.values[0]
	switch whole.Kind {
	case value.Object:
		v := &e.deletion.values[c.deletion[0]]
		if v.Kind == value.Missing {
			v = &e.deletion.values[c.deletion[1]]
		}
		if v.Kind > value.Null {
			return c.Append(dst, v)
		}
		return dst, bad(CodeMissing, fmt.Sprintf("the value is null, and the key has no field for this key column: %s",
			glimpse(r.Key)))
	case value.List:
	case value.Missing:
		if c.soleKey {
			e.v = value.Value{Kind: value.Text, Flags: value.Raw, B: r.Key}
			return c.Append(dst, &e.v)
		}
	case value.Null:
		return dst, bad(CodeMissing, "the value is null, and so is the key that would say which row to delete")
	default:
		if c.soleKey {
			return c.Append(dst, whole)
		}
	}
	return dst, bad(CodeTombstone, fmt.Sprintf("the value is null, and the key is no JSON object with the key "+
		"columns: %s", glimpse(r.Key)))
}
