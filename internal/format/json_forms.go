package format

import "sinker/internal/value"

// read reads any value into v, a text with its escapes, and a list with its elements if they are wanted. It returns the
// place behind it, or -1, and what is in it.
func (s *scanner) read(i int, v *value.Value, depth int, elements Form) (end int, flags value.Flags) {
	b := s.b
	switch b[i] {
	case '"':
		if end, flags = s.text(i + 1); end >= 0 {
			v.Set(value.Text, flags, b[i+1:end])
			end++
		}
	case '{':
		if end, flags = s.skipObject(i, depth+1); end >= 0 {
			v.Set(value.Object, flags&value.OfJSON, b[i:end])
		}
	case '[':
		if elements != AsScalar {
			return s.list(i, v, depth+1, elements)
		}
		if end, flags = s.skipArray(i, depth+1); end >= 0 {
			v.Set(value.List, flags&value.OfJSON, b[i:end])
		}
	case 't', 'f', 'n':
		var k value.Kind
		if k, end = s.word(i); end >= 0 {
			v.Set(k, 0, b[i:end])
		}
	default:
		end = s.number(i, v)
		flags = v.Flags
	}
	return end, flags
}

// otherForms sets the forms of a node other than the first, which is v still as it was read.
func (s *scanner) otherForms(n *node, v *value.Value, i, end, depth int) {
	if at := n.forms[AsJSON]; at > 0 {
		asJSON(&s.values[at], v, s.b[i:end])
	}
	if n.forms[AsList] > 0 {
		s.values[n.forms[AsList]] = *v
	}
	if at := n.forms[AsListOfJSON]; at > 0 {
		s.values[at] = *v
		if v.Kind == value.List && n.list() != AsListOfJSON {
			s.list(i, &s.values[at], depth, AsListOfJSON) // a second time: it was read as values
		}
	}
}

// asJSON makes a value the JSON text of what was read as v. null stays null, for it is NULL.
func asJSON(to, v *value.Value, b []byte) {
	if v.Kind == value.Null {
		*to = value.Value{Kind: value.Null, B: b}
		return
	}
	*to = value.Value{Kind: value.JSON, Flags: v.Flags & value.OfJSON, B: b}
}

// unescape makes a text what it means.
func (s *scanner) unescape(v *value.Value) {
	at := len(s.content)
	var flags value.Flags
	s.content, flags = unescaped(s.content, v.B)
	v.B, v.Flags = s.content[at:], v.Flags&^escaped|flags
}

// list reads a list and its elements: as JSON texts, or as values with the lists in them.
func (s *scanner) list(i int, v *value.Value, depth int, elements Form) (int, value.Flags) {
	if depth > s.maxDepth {
		return s.tooDeep(), 0
	}
	start, first := i, len(s.open)
	i, more := s.begin(i, ']')
	var flags value.Flags
	for more {
		if i >= len(s.b) {
			return s.syntax(i, "it ends early"), 0
		}
		end, fl := s.element(i, depth, elements)
		if end < 0 {
			return -1, 0
		}
		s.open = append(s.open, s.item)
		flags |= fl
		if i, more = s.separator(end, ']'); i < 0 {
			return -1, 0
		}
	}
	at := len(s.items)
	s.items = append(s.items, s.open[first:]...)
	s.open = s.open[:first]
	v.Set(value.List, flags&value.OfJSON, s.b[start:i])
	v.Items = s.items[at:len(s.items):len(s.items)]
	return i, flags
}

// element reads an element into s.item. A list in it uses s.item for its own elements first.
func (s *scanner) element(i, depth int, elements Form) (end int, flags value.Flags) {
	s.item = value.Value{}
	item := &s.item
	if elements == AsListOfJSON {
		if end, flags = s.read(i, item, depth, AsScalar); end >= 0 {
			asJSON(item, item, s.b[i:end])
		}
		return end, flags
	}
	if end, flags = s.read(i, item, depth, elements); end >= 0 && item.Kind == value.Text && flags&escaped != 0 {
		s.unescape(item)
	}
	return end, flags
}
