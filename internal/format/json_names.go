package format

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"sinker/internal/value"
)

// objectState is what a scanner has learned about one object of its document: the names of its fields, wanted or not,
// and which followed which in the last record. It only makes the scanner faster: a name is always compared.
type objectState struct {
	start   field // stands for the object's start
	unknown field // stands for all names that are not worth learning
	byName  map[string]*field
	name    []byte   // scratch of a name with escapes
	unasked []*field // learned names that no column wants
}

// field is a field's name and where it goes.
type field struct {
	// The first sixteen bytes of key and masks of their length, to compare with two loads instead of a call.
	head, headMask, tail, tailMask uint64

	size  int          // of key
	next  *field       // the field that followed in the last record
	value *value.Value // where its value goes; nil: no column wants it
	node  int32        // of the value
	inner bool         // there are wanted fields within, or other forms
	key   string       // the name as it stands in the text, `"name":`; empty: never expected
	met   int64        // how often it came, where no column wants it: see Unasked
}

// name is that of a field which was learned from a record: it had no escapes there.
func (f *field) name() string { return f.key[1 : len(f.key)-2] }

// mostNameSize is how many bytes a name may have that is learned.
const mostNameSize = 100

// Unasked appends the fields at the top that no column wants.
func (s *scanner) Unasked(dst []FieldCount) []FieldCount {
	o := &s.objects[0]
	for _, f := range o.unasked {
		if f.met > 0 {
			dst = append(dst, FieldCount{f.name(), f.met})
			f.met = 0
		}
	}
	if o.unknown.met > 0 {
		dst = append(dst, FieldCount{"", o.unknown.met})
		o.unknown.met = 0
	}
	return dst
}

func (o *objectState) init(s *scanner, n *node) {
	o.unknown.expect("")
	o.unknown.next, o.start.next = &o.unknown, &o.unknown
	o.byName = make(map[string]*field, len(n.names))
	for i, name := range n.names {
		f := o.learn(name)
		f.node = n.children[i]
		f.value = &s.values[f.node]
		f.inner = s.doc.nodes[f.node].inner()
	}
}

// learn adds a name. One that JSON writes with escapes is never expected, only looked up.
func (o *objectState) learn(name string) *field {
	f := &field{next: &o.unknown}
	if !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }) {
		f.expect(`"` + name + `":`)
	} else {
		f.expect("")
	}
	o.byName[name] = f
	return f
}

func (f *field) expect(key string) {
	var first, mask [16]byte
	for i := range copy(first[:], key) {
		mask[i] = 0xff
	}
	if key == "" {
		mask[0] = 0xff // a zero byte stands nowhere in JSON
	}
	f.key, f.size = key, len(key)
	f.head, f.tail = binary.LittleEndian.Uint64(first[:8]), binary.LittleEndian.Uint64(first[8:])
	f.headMask, f.tailMask = binary.LittleEndian.Uint64(mask[:8]), binary.LittleEndian.Uint64(mask[8:])
}

// matches says whether the field's name and a colon stand at i.
func (f *field) matches(b []byte, i int) bool {
	w := b[i:]
	if len(w) < 16 {
		return f.matchesSlowly(w)
	}
	x, y := binary.LittleEndian.Uint64(w), binary.LittleEndian.Uint64(w[8:])
	return (x^f.head)&f.headMask|(y^f.tail)&f.tailMask == 0 && (f.size <= 16 || f.matchesSlowly(w))
}

func (f *field) matchesSlowly(w []byte) bool {
	return f.size > 0 && len(w) >= f.size && string(w[:f.size]) == f.key
}

// find returns the field of a name, given as it stands between the quotes.
func (o *objectState) find(name []byte, flags value.Flags) *field {
	if flags&escaped != 0 {
		o.name = unescapeName(o.name[:0], name)
		if f, ok := o.byName[string(o.name)]; ok {
			return f
		}
		return &o.unknown
	}
	if f, ok := o.byName[string(name)]; ok {
		return f
	}
	if len(o.byName) < MostNames && len(name) <= mostNameSize {
		f := o.learn(string(name))
		o.unasked = append(o.unasked, f)
		return f
	}
	return &o.unknown
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
