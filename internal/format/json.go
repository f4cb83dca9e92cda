package format

import (
	"bytes"
	"fmt"

	"sinker/internal/record"
	"sinker/internal/value"

	"github.com/dustin/go-humanize/english"
)

// scanner finds the wanted fields of JSON texts in one pass over the bytes. It checks the whole text's syntax (RFC
// 8259, as encoding/json does) and collects a value for each node of its document. What a text may hold is the business
// of the column that wants it. Of a repeated field the last one counts.
type scanner struct {
	doc      *Document
	values   []value.Value // of the last text, by node
	objects  []objectState
	maxDepth int

	b       []byte
	skipped value.Value       // a number that no column wants
	err     *record.BadRecord // of the text

	// Memory of the values of the last text.
	content []byte        // texts without their escapes
	items   []value.Value // elements of lists
	open    []value.Value // elements of the lists that are being read
	item    value.Value   // the element that was read last
}

// mostScratch bytes and elements are kept from text to text; one huge record does not hold on to its memory.
const (
	mostScratch = 1 << 20
	mostItems   = 1 << 14
)

func newScanner(doc *Document, into []value.Value, maxDepth int) *scanner {
	s := &scanner{doc: doc, values: into, maxDepth: maxDepth}
	s.objects = make([]objectState, len(doc.nodes))
	for i := range s.objects {
		s.objects[i].init(s, &doc.nodes[i])
	}
	return s
}

// Decode reads one text. No error is the world's.
func (s *scanner) Decode(b []byte) (*record.BadRecord, error) {
	b = b[:len(b):len(b)] // values may be read up to their capacity, and no further than the record
	s.b, s.err = b, nil
	s.forget()
	i, _ := s.value(skipSpace(b, 0), 0, 0)
	if i < 0 {
		if rest, marked := bytes.CutPrefix(b, byteOrderMark); marked && !bytes.HasPrefix(rest, byteOrderMark) {
			return s.Decode(rest)
		}
		return s.err, nil
	}
	if i = skipSpace(b, i); i < len(b) {
		s.syntax(i, "there is more after the end of the value")
	}
	return s.err, nil
}

// forget begins the memory of values again. What is larger than usual goes.
func (s *scanner) forget() {
	if cap(s.content) > mostScratch {
		s.content = nil
	}
	if cap(s.items)+cap(s.open) > mostItems {
		s.items, s.open = nil, nil
	}
	s.content, s.items, s.open = s.content[:0], s.items[:0], s.open[:0]
}

// value reads the value at i into node n, in the forms in which it is wanted. It returns the place behind it, or -1,
// and what is in it.
func (s *scanner) value(i int, n int32, depth int) (end int, flags value.Flags) {
	b := s.b
	if i >= len(b) {
		return s.syntax(i, "it ends early"), 0
	}
	node, v := &s.doc.nodes[n], &s.values[n]
	if node.end > n+1 {
		// The fields and forms of an earlier value of this name do not count any more.
		for j := range s.values[n+1 : node.end] {
			s.values[int(n)+1+j].Kind = value.Missing
		}
		if b[i] == '{' && len(node.children) > 0 {
			if end, flags = s.object(i, n, depth+1); end >= 0 {
				v.Set(value.Object, flags&value.OfJSON, b[i:end])
				s.otherForms(node, v, i, end, depth)
			}
			return end, flags
		}
	}
	if end, flags = s.read(i, v, depth, node.list()); end < 0 {
		return -1, 0
	}
	s.otherForms(node, v, i, end, depth)
	if flags&escaped != 0 && v.Kind == value.Text {
		s.unescape(v)
	}
	return end, flags
}

// object reads an object with wanted fields. It expects each field to be followed by the one that followed it last
// time, and looks it up when that is wrong.
func (s *scanner) object(i int, n int32, depth int) (int, value.Flags) {
	b := s.b
	if depth > s.maxDepth {
		return s.tooDeep(), 0
	}
	i, more := s.begin(i, '}')
	o := &s.objects[n]
	f := &o.start
	var flags, fl value.Flags
	for more {
		if next := f.next; next.matches(b, i) {
			f = next
			i += f.size
		} else {
			if i, f, fl = s.lookUp(i, o, f); i < 0 {
				return -1, 0
			}
			flags |= fl
		}
		if i < len(b) && b[i] <= ' ' {
			i = skipSpace(b, i)
		}
		if i >= len(b) {
			return s.syntax(i, "it ends early"), 0
		}
		switch v := f.value; {
		case v == nil:
			f.met++
			if i, fl = s.skip(i, depth); i < 0 {
				return -1, 0
			}
		case b[i] == '"' && !f.inner:
			start := i + 1
			if i, fl = s.text(start); i < 0 {
				return -1, 0
			}
			v.Set(value.Text, fl, b[start:i])
			i++
			if fl&escaped != 0 {
				s.unescape(v)
			}
		case b[i] <= '9' && !f.inner:
			if i = s.number(i, v); i < 0 {
				return -1, 0
			}
			fl = v.Flags
		default:
			if i, fl = s.value(i, f.node, depth); i < 0 {
				return -1, 0
			}
		}
		flags |= fl
		if i+1 < len(b) && b[i] == ',' && b[i+1] == '"' {
			i++ // as it mostly is
		} else if i, more = s.separator(i, '}'); i < 0 {
			return -1, 0
		}
	}
	return i, flags
}

// lookUp reads a field's name and the colon, and notes that it followed the field before. It returns the place behind
// the colon.
func (s *scanner) lookUp(i int, o *objectState, before *field) (int, *field, value.Flags) {
	start := i
	end, flags := s.name(i)
	if end < 0 {
		return -1, nil, 0
	}
	f := o.find(s.b[start+1:end], flags)
	before.next = f
	return s.colon(end + 1), f, flags
}

// name reads a field's name; it returns the place of the closing quote.
func (s *scanner) name(i int) (int, value.Flags) {
	if i >= len(s.b) {
		return s.syntax(i, "it ends early"), 0
	}
	if s.b[i] != '"' {
		return s.syntax(i, "a field's name in quotes must stand here"), 0
	}
	return s.text(i + 1)
}

func (s *scanner) colon(i int) int {
	i = skipSpace(s.b, i)
	if i >= len(s.b) || s.b[i] != ':' {
		return s.syntax(i, "a colon must follow a field's name")
	}
	return i + 1
}

// skip reads a value that no column wants, or that a column wants as a whole.
func (s *scanner) skip(i, depth int) (int, value.Flags) {
	if i >= len(s.b) {
		return s.syntax(i, "it ends early"), 0
	}
	switch s.b[i] {
	case '"':
		end, flags := s.text(i + 1)
		if end < 0 {
			return -1, 0
		}
		return end + 1, flags
	case '{':
		return s.skipObject(i, depth+1)
	case '[':
		return s.skipArray(i, depth+1)
	case 't', 'f', 'n':
		_, end := s.word(i)
		return end, 0
	}
	end := s.number(i, &s.skipped)
	return end, s.skipped.Flags
}

func (s *scanner) skipObject(i, depth int) (int, value.Flags) {
	if depth > s.maxDepth {
		return s.tooDeep(), 0
	}
	i, more := s.begin(i, '}')
	var flags, fl value.Flags
	for more {
		if i, fl = s.name(i); i < 0 {
			return -1, 0
		}
		flags |= fl
		if i++; i < len(s.b) && s.b[i] == ':' {
			i++
		} else if i = s.colon(i); i < 0 {
			return -1, 0
		}
		if i < len(s.b) && s.b[i] <= ' ' {
			i = skipSpace(s.b, i)
		}
		if i, fl = s.skip(i, depth); i < 0 {
			return -1, 0
		}
		flags |= fl
		if i, more = s.separator(i, '}'); i < 0 {
			return -1, 0
		}
	}
	return i, flags
}

func (s *scanner) skipArray(i, depth int) (int, value.Flags) {
	if depth > s.maxDepth {
		return s.tooDeep(), 0
	}
	i, more := s.begin(i, ']')
	var flags, fl value.Flags
	for more {
		if i, fl = s.skip(i, depth); i < 0 {
			return -1, 0
		}
		flags |= fl
		if i, more = s.separator(i, ']'); i < 0 {
			return -1, 0
		}
	}
	return i, flags
}

// begin goes behind the bracket at i and the space after it, and behind the closing bracket if there is nothing
// between.
func (s *scanner) begin(i int, end byte) (int, bool) {
	if i = skipSpace(s.b, i+1); i < len(s.b) && s.b[i] == end {
		return i + 1, false
	}
	return i, true
}

// separator reads what follows a member of an object or array: a comma, or the closing bracket, and space around it.
func (s *scanner) separator(i int, end byte) (next int, more bool) {
	b := s.b
	if i < len(b) && b[i] <= ' ' {
		i = skipSpace(b, i)
	}
	switch {
	case i >= len(b):
		return s.syntax(i, "it ends early"), false
	case b[i] == ',':
		if i++; i < len(b) && b[i] <= ' ' {
			i = skipSpace(b, i)
		}
		return i, true
	case b[i] == end:
		return i + 1, false
	}
	return s.syntax(i, "a comma or a closing bracket must follow a value"), false
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// mostLead is how far into a record an error may be for its beginning to explain it.
const mostLead = 8

// syntax notes what is wrong at i and returns -1.
func (s *scanner) syntax(i int, what string) int {
	switch {
	case len(s.b) == 0:
		s.err = record.Bad(record.CodeNotJSON, "not JSON: it is empty")
	case i < len(s.b):
		s.err = record.Bad(record.CodeNotJSON, fmt.Sprintf("not JSON: %s (byte %d: %s)", what, i, record.Glimpse(s.b[i:])))
	default:
		s.err = record.Bad(record.CodeNotJSON, fmt.Sprintf("not JSON: %s (after %s)", what,
			english.Plural(len(s.b), "byte", "")))
	}
	if i < mostLead {
		if looks := LooksLike(s.b); looks != "" {
			s.err = record.Bad(record.CodeNotJSON, "not JSON: "+looks)
		}
	}
	return -1
}

func (s *scanner) tooDeep() int {
	s.err = record.Bad(record.CodeTooDeep, fmt.Sprintf("objects and arrays are nested more than %d deep", s.maxDepth))
	return -1
}
