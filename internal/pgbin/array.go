package pgbin

import (
	"encoding/binary"
	"fmt"

	"sinker/internal/record"
	"sinker/internal/value"
)

// mostDimensions of an array, by Postgres.
const mostDimensions = 6

// appendArray writes an array. Arrays within arrays are further dimensions and must all be of one length, but for
// elements of json and jsonb, which are taken whole. A null is a NULL element.
func appendArray(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	if v.Kind != value.List {
		return dst, wrongType(v, enc)
	}
	a := arrayWriter{enc: enc, json: enc.ofJSON(), at: len(dst)}
	a.dims = a.shape(v)
	if a.dims > mostDimensions {
		return dst, record.Bad(record.CodeOutOfRange,
			fmt.Sprintf("an array has %d dimensions, Postgres takes %d", a.dims, mostDimensions))
	}
	dst = append(dst, 0, 0, 0, 0)
	if a.dims == 1 && len(v.Items) == 0 {
		a.dims = 0
	}
	dst = appendInt32(dst, int32(a.dims))
	dst = appendInt32(dst, 0) // whether there are NULLs; known at the end
	dst = appendInt32(dst, int32(enc.element.Of.OID))
	for range a.dims {
		dst = appendInt32(dst, -1) // the length; known at the end of the first list
		dst = appendInt32(dst, 1)  // the lower bound
	}
	var err *record.BadRecord
	if a.dims > 0 {
		if dst, err = a.list(dst, v, 0); err != nil {
			return dst, err
		}
	}
	if a.nulls {
		binary.BigEndian.PutUint32(dst[a.at+8:], 1)
	}
	setLength(dst, a.at)
	return dst, nil
}

type arrayWriter struct {
	enc   *Encoding
	json  bool // elements are JSON texts, whatever they are
	at    int  // of the array in dst
	dims  int
	nulls bool
}

// shape counts the dimensions by the first element of each list.
func (a *arrayWriter) shape(v *value.Value) int {
	if a.json {
		return 1
	}
	n := 1
	for len(v.Items) > 0 && v.Items[0].Kind == value.List {
		v = &v.Items[0]
		n++
	}
	return n
}

// list writes the elements of a list, or the lists in it, and checks that it is as long as the others of its dimension.
func (a *arrayWriter) list(dst []byte, v *value.Value, dim int) ([]byte, *record.BadRecord) {
	if v.Kind != value.List {
		return dst, record.Bad(record.CodeWrongType,
			fmt.Sprintf("%s is %s, and the elements next to it are arrays", glimpse(v), v.Kind))
	}
	for i := range v.Items {
		var err *record.BadRecord
		if dst, err = a.element(dst, &v.Items[i], dim); err != nil {
			return dst, err
		}
	}
	count := int32(len(v.Items))
	length := dst[a.at+16+8*dim:]
	if have := int32(binary.BigEndian.Uint32(length)); have < 0 && count > 0 {
		binary.BigEndian.PutUint32(length, uint32(count))
	} else if have != count {
		return dst, record.Bad(record.CodeWrongType, "the arrays within an array have different lengths, or are empty, "+
			"which Postgres' arrays cannot have")
	}
	return dst, nil
}

func (a *arrayWriter) element(dst []byte, v *value.Value, dim int) ([]byte, *record.BadRecord) {
	if dim+1 < a.dims {
		return a.list(dst, v, dim+1)
	}
	if v.Kind == value.Null {
		a.nulls = true
		return appendInt32(dst, -1), nil
	}
	if v.Kind == value.List && !a.json {
		return dst, record.Bad(record.CodeWrongType, fmt.Sprintf("%s is an array, and the elements before it are not",
			glimpse(v)))
	}
	return a.enc.element.Append(dst, v)
}

// ofJSON says whether an array's elements are JSON texts, whatever is in them.
func (enc *Encoding) ofJSON() bool {
	return enc.element.Of.Kind == JSON || enc.element.Of.Kind == JSONB
}

// AppendArrayHeader begins a binary array of one dimension, which may hold NULLs. Its elements are fields as Append
// writes them.
func AppendArrayHeader(dst []byte, element Type, size int) []byte {
	dst = appendInt32(appendInt32(dst, 1), 1)
	return appendInt32(appendInt32(appendInt32(dst, int32(element.OID)), int32(size)), 1)
}
