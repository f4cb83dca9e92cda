package transform

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// objectState is what a scanner has learned about one object of its document: the names of its fields, wanted or not,
// and which followed which in the last record. It only makes the scanner faster: a name is always compared.
type objectState struct {
	fields []field // 0 stands for the object's start, 1 for all names that are not worth learning
	byName map[string]int32
	name   []byte // scratch of a name with escapes
}

// field is a field's name and where it goes.
type field struct {
	key  string // the name as it stands in the text, `"name":`; empty: never expected
	node int32  // -1: no column wants it
	next int32  // the field that followed in the last record

	// The first sixteen bytes of key and masks of their length, to compare with two loads instead of a call.
	head, headMask, tail, tailMask uint64
}

const (
	start   = 0
	unknown = 1

	mostNames    = 1000 // learned in one object
	mostNameSize = 100  // bytes of a name that is learned
)

func (o *objectState) init(n *node) {
	o.fields = []field{{node: -1, next: unknown}, {node: -1, next: unknown}}
	o.byName = make(map[string]int32, len(n.names))
	for i, name := range n.names {
		o.learn(name, n.children[i])
	}
}

// learn adds a name. Names that JSON writes with escapes are never predicted, only looked up.
func (o *objectState) learn(name string, node int32) int32 {
	f := field{node: node, next: unknown}
	if !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }) {
		f.key = `"` + name + `":`
	}
	var first [16]byte
	var mask [16]byte
	for i := range copy(first[:], f.key) {
		mask[i] = 0xff
	}
	f.head, f.tail = binary.LittleEndian.Uint64(first[:8]), binary.LittleEndian.Uint64(first[8:])
	f.headMask, f.tailMask = binary.LittleEndian.Uint64(mask[:8]), binary.LittleEndian.Uint64(mask[8:])
	id := int32(len(o.fields))
	o.fields = append(o.fields, f)
	o.byName[name] = id
	return id
}

// matches says whether the field's name and a colon stand at i.
func (f *field) matches(b []byte, i int) bool {
	if i+16 <= len(b) {
		x, y := binary.LittleEndian.Uint64(b[i:]), binary.LittleEndian.Uint64(b[i+8:])
		if (x^f.head)&f.headMask|(y^f.tail)&f.tailMask != 0 {
			return false
		}
		if len(f.key) <= 16 {
			return f.key != ""
		}
	}
	n := len(f.key)
	return n > 0 && i+n <= len(b) && string(b[i:i+n]) == f.key
}

// find returns the field of a name, given as it stands between the quotes.
func (o *objectState) find(name []byte, flags uint8) int32 {
	if flags&escaped != 0 {
		o.name = unescapeName(o.name[:0], name)
		if id, ok := o.byName[string(o.name)]; ok {
			return id
		}
		return unknown
	}
	if id, ok := o.byName[string(name)]; ok {
		return id
	}
	if len(o.fields) < mostNames && len(name) <= mostNameSize {
		return o.learn(string(name), -1)
	}
	return unknown
}

// unescapeName decodes a field's name. Half a surrogate pair becomes bytes that no name in valid UTF-8 has.
func unescapeName(dst, name []byte) []byte {
	for i := 0; i < len(name); {
		if name[i] != '\\' {
			dst = append(dst, name[i])
			i++
			continue
		}
		r, n := unescape(name[i:])
		i += n
		if utf16.IsSurrogate(r) {
			dst = append(dst, 0xed, byte(0x80|r>>6&0x3f), byte(0x80|r&0x3f))
			continue
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}
