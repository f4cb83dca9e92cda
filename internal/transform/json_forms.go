package transform

// read reads any value into v, a text with its escapes, and a list with its elements if they are wanted. It returns the
// place behind it, or -1, and what is in it.
func (s *scanner) read(i int, v *value, depth int, elements form) (end int, flags uint8) {
	b := s.b
	switch b[i] {
	case '"':
		if end, flags = s.text(i + 1); end >= 0 {
			v.set(text, flags, b[i+1:end])
			end++
		}
	case '{':
		if end, flags = s.skipObject(i, depth+1); end >= 0 {
			v.set(object, flags, b[i:end])
		}
	case '[':
		if elements != asScalar {
			return s.list(i, v, depth+1, elements)
		}
		if end, flags = s.skipArray(i, depth+1); end >= 0 {
			v.set(list, flags, b[i:end])
		}
	case 't', 'f', 'n':
		var k kind
		if k, end = s.word(i); end >= 0 {
			v.set(k, 0, b[i:end])
		}
	default:
		end = s.number(i, v)
		flags = v.flags
	}
	return end, flags
}

// otherForms sets the forms of a node beside the first, which is v still as it was read.
func (s *scanner) otherForms(n *node, v *value, i, end, depth int) {
	if n.forms[asJSON] > 0 {
		s.values[n.forms[asJSON]] = value{kind: v.kind, flags: v.flags &^ exact, b: s.b[i:end]}
	}
	if n.forms[asList] > 0 {
		s.values[n.forms[asList]] = *v
	}
	if at := n.forms[asListOfJSON]; at > 0 {
		s.values[at] = *v
		if v.kind == list && n.list() != asListOfJSON {
			s.list(i, &s.values[at], depth, asListOfJSON) // a second time: it was read as values
		}
	}
}

// unescape makes a text what it means.
func (s *scanner) unescape(v *value) {
	at := len(s.content)
	var flags uint8
	s.content, flags = unescaped(s.content, v.b)
	v.b, v.flags = s.content[at:], v.flags&^escaped|flags
}

// list reads a list and its elements: as JSON texts, or as values with the lists in them.
func (s *scanner) list(i int, v *value, depth int, elements form) (int, uint8) {
	if depth > s.maxDepth {
		return s.tooDeep(), 0
	}
	start, first := i, len(s.open)
	i, more := s.begin(i, ']')
	var flags uint8
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
	v.set(list, flags, s.b[start:i])
	v.items = s.items[at:len(s.items):len(s.items)]
	return i, flags
}

// element reads an element into s.item. A list in it uses s.item for its own elements first.
func (s *scanner) element(i, depth int, elements form) (end int, flags uint8) {
	s.item = value{}
	item := &s.item
	if elements == asListOfJSON {
		if end, flags = s.read(i, item, depth, asScalar); end >= 0 && item.kind != null {
			item.b, item.flags = s.b[i:end], item.flags&^exact
		}
		return end, flags
	}
	if end, flags = s.read(i, item, depth, elements); end >= 0 && item.kind == text && flags&escaped != 0 {
		s.unescape(item)
	}
	return end, flags
}
