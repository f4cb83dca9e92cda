package transform

import "encoding/binary"

// Shape says which columns a tuple lacks. A number means the same columns for as long as the encoder lives, and may
// mean others to another encoder; 0 lacks none.
//
// Columns with a default that only Postgres can compute (a sequence, now(), a function) are lacking where the record
// has no field for them. Tuples of one shape can be copied together, into the columns that ColumnsOf returns.
type Shape int32

// Shape returns the shape of the tuple that Append made last, if that was one to Write.
func (e *Encoder) Shape() Shape { return e.shape }

// Shapes returns how many shapes the encoder has met.
func (e *Encoder) Shapes() int { return max(1, len(e.byShape)) }

// ColumnsOf returns the columns of a shape's tuples, in their order: the key columns first.
func (e *Encoder) ColumnsOf(s Shape) []TableColumn {
	all := e.plan.Columns()
	if s == 0 {
		return all
	}
	columns, lacking := all[:0], []byte(e.byShape[s])
	for i, c := range all {
		if len(lacking) > 0 && int(binary.BigEndian.Uint16(lacking)) == i {
			lacking = lacking[2:]
			continue
		}
		columns = append(columns, c)
	}
	return columns
}

// Fill appends to dst the newer of two tuples of one key, with the fields that it lacks from the older one: what is in
// the row when both are written one after the other. It returns the shape too, which lacks what both lack. Where the
// older one has none of those fields, dst comes back as it was and ok is false.
func (e *Encoder) Fill(dst, newer []byte, ns Shape, older []byte, os Shape) (out []byte, s Shape, ok bool) {
	if ns == 0 || ns == os {
		return dst, ns, false
	}
	base := len(dst)
	dst = append(dst, 0, 0)
	n := tupleReader{newer[2:], []byte(e.byShape[ns])}
	o := tupleReader{rest: older[2:]}
	if os != 0 {
		o.lacking = []byte(e.byShape[os])
	}
	var omitted []byte
	for i := range e.plan.columns {
		field, old := n.next(i), o.next(i)
		if field == nil {
			field = old
			ok = ok || old != nil
		}
		if field == nil {
			omitted = binary.BigEndian.AppendUint16(omitted, uint16(i))
		}
		dst = append(dst, field...)
	}
	if !ok {
		return dst[:base], ns, false
	}
	binary.BigEndian.PutUint16(dst[base:], uint16(len(e.plan.columns)-len(omitted)/2))
	if len(omitted) > 0 {
		s = e.shapeOf(omitted)
	}
	return dst, s, true
}

// tupleReader reads the fields of a tuple by the columns' places.
type tupleReader struct{ rest, lacking []byte }

// next returns the bytes of the column's field with its length, and nil if the tuple lacks it.
func (r *tupleReader) next(place int) []byte {
	if len(r.lacking) > 0 && int(binary.BigEndian.Uint16(r.lacking)) == place {
		r.lacking = r.lacking[2:]
		return nil
	}
	n := 4 + max(0, int(int32(binary.BigEndian.Uint32(r.rest))))
	field := r.rest[:n:n]
	r.rest = r.rest[n:]
	return field
}

// shapeOf numbers what is lacking.
func (e *Encoder) shapeOf(omitted []byte) Shape {
	if s, ok := e.shapes[string(omitted)]; ok {
		return s
	}
	if e.shapes == nil {
		e.shapes, e.byShape = map[string]Shape{}, []string{""}
	}
	s := Shape(len(e.byShape))
	e.shapes[string(omitted)] = s
	e.byShape = append(e.byShape, string(omitted))
	return s
}
