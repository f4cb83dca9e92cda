package transform

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// scanner finds the wanted fields of JSON texts in one pass over the bytes. It checks the whole text's syntax (RFC 8259,
// as encoding/json does), collects a value for each node of its document, and looks into no string more than that: what
// a text may hold is the business of the column that wants it. Of a repeated field the last one counts.
type scanner struct {
	doc      *document
	values   []value // of the last text, by node
	objects  []objectState
	maxDepth int

	b   []byte
	err *BadRecord // why scan returned false
}

func newScanner(doc *document, maxDepth int) *scanner {
	s := &scanner{doc: doc, values: make([]value, len(doc.nodes)), maxDepth: maxDepth}
	s.objects = make([]objectState, len(doc.nodes))
	for i := range s.objects {
		s.objects[i].init(&doc.nodes[i])
	}
	return s
}

// scan reads one text. The values hold until the next call.
func (s *scanner) scan(b []byte) bool {
	clear(s.values)
	s.b, s.err = b, nil
	i := s.value(skipSpace(b, 0), 0, 0)
	if i < 0 {
		return false
	}
	if i = skipSpace(b, i); i < len(b) {
		s.syntax(i, "there is more after the end of the value")
		return false
	}
	return true
}

// value reads the value at i into node n and returns the place behind it, or -1.
func (s *scanner) value(i int, n int32, depth int) int {
	b := s.b
	if i >= len(b) {
		return s.syntax(i, "it ends early")
	}
	v := &s.values[n]
	switch c := b[i]; c {
	case '"':
		end, flags := s.text(i + 1)
		*v = value{kind: text, flags: flags, start: int32(i + 1), end: int32(end)}
		if end < 0 {
			return -1
		}
		return end + 1
	case '{':
		end, flags := 0, uint8(0)
		if len(s.doc.nodes[n].children) > 0 {
			// The fields of an earlier object of this name do not count any more.
			clear(s.values[n+1 : s.doc.nodes[n].end])
			end, flags = s.object(i, n, depth+1)
		} else {
			end, flags = s.skipObject(i, depth+1)
		}
		*v = value{kind: object, flags: flags, start: int32(i), end: int32(end)}
		return end
	case '[':
		end, flags := s.skipArray(i, depth+1)
		*v = value{kind: list, flags: flags, start: int32(i), end: int32(end)}
		s.forget(n)
		return end
	case 't', 'f', 'n':
		end := s.word(i)
		*v = value{kind: kindOfWord(c), start: int32(i), end: int32(end)}
		s.forget(n)
		return end
	default:
		end := s.number(i, v)
		s.forget(n)
		return end
	}
}

// forget drops the fields within n, which came from an earlier field of the same name.
func (s *scanner) forget(n int32) {
	if end := s.doc.nodes[n].end; end > n+1 {
		clear(s.values[n+1 : end])
	}
}

// object reads an object with wanted fields. It expects each field to be followed by the one that followed it last
// time, and looks it up when that is wrong.
func (s *scanner) object(i int, n int32, depth int) (int, uint8) {
	b := s.b
	if depth > s.maxDepth {
		return s.tooDeep(), 0
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
		return i + 1, 0
	}
	o := &s.objects[n]
	flags, at := uint8(0), int32(0)
	for {
		next := o.fields[at].next
		f := &o.fields[next]
		if f.matches(b, i) {
			i += len(f.key)
		} else {
			var fl uint8
			if i, next, fl = s.lookUp(i, o, at); i < 0 {
				return -1, 0
			}
			flags |= fl
			f = &o.fields[next]
		}
		at = next
		if i < len(b) && b[i] <= ' ' {
			i = skipSpace(b, i)
		}
		if f.node >= 0 {
			if i = s.value(i, f.node, depth); i < 0 {
				return -1, 0
			}
			flags |= s.values[f.node].flags
		} else {
			var fl uint8
			if i, fl = s.skip(i, depth); i < 0 {
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
		switch b[i] {
		case ',':
			i++
			if i < len(b) && b[i] <= ' ' {
				i = skipSpace(b, i)
			}
		case '}':
			return i + 1, flags
		default:
			return s.syntax(i, "a comma or } must follow a field"), 0
		}
	}
}

// lookUp reads a field's name and the colon, and notes that it followed the field at. It returns the place behind the
// colon.
func (s *scanner) lookUp(i int, o *objectState, at int32) (int, int32, uint8) {
	start := i
	end, flags := s.name(i)
	if end < 0 {
		return -1, 0, 0
	}
	next := o.find(s.b[start+1:end], flags)
	o.fields[at].next = next
	return s.colon(end + 1), next, flags
}

// name reads a field's name; it returns the place of the closing quote.
func (s *scanner) name(i int) (int, uint8) {
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
func (s *scanner) skip(i, depth int) (int, uint8) {
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
		return s.word(i), 0
	}
	var v value
	end := s.number(i, &v)
	return end, v.flags &^ exact
}

func (s *scanner) skipObject(i, depth int) (int, uint8) {
	b := s.b
	if depth > s.maxDepth {
		return s.tooDeep(), 0
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
		return i + 1, 0
	}
	var flags uint8
	for {
		end, fl := s.name(i)
		if end < 0 {
			return -1, 0
		}
		flags |= fl
		if i = s.colon(end + 1); i < 0 {
			return -1, 0
		}
		if i, fl = s.skip(skipSpace(b, i), depth); i < 0 {
			return -1, 0
		}
		flags |= fl
		i = skipSpace(b, i)
		switch {
		case i >= len(b):
			return s.syntax(i, "it ends early"), 0
		case b[i] == ',':
			i = skipSpace(b, i+1)
		case b[i] == '}':
			return i + 1, flags
		default:
			return s.syntax(i, "a comma or } must follow a field"), 0
		}
	}
}

func (s *scanner) skipArray(i, depth int) (int, uint8) {
	b := s.b
	if depth > s.maxDepth {
		return s.tooDeep(), 0
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == ']' {
		return i + 1, 0
	}
	var flags, fl uint8
	for {
		if i, fl = s.skip(i, depth); i < 0 {
			return -1, 0
		}
		flags |= fl
		i = skipSpace(b, i)
		switch {
		case i >= len(b):
			return s.syntax(i, "it ends early"), 0
		case b[i] == ',':
			i = skipSpace(b, i+1)
		case b[i] == ']':
			return i + 1, flags
		default:
			return s.syntax(i, "a comma or ] must follow an element"), 0
		}
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// text reads a string from behind its opening quote and returns the place of the closing one. Eight bytes at a time are
// looked through for a quote, a backslash or a control character: in a word of which one byte is to be found, the
// lowest bit set by (x-ones)&^x&highs is exact.
func (s *scanner) text(i int) (int, uint8) {
	b := s.b
	var flags uint8
	var seen uint64
	for {
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			quote, backslash := x^'"'*ones, x^'\\'*ones
			stop := ((quote-ones)&^quote | (backslash-ones)&^backslash | (x-' '*ones)&^x) & highs
			if stop != 0 {
				n := bits.TrailingZeros64(stop)
				seen |= x & (1<<n - 1)
				i += n >> 3
				break
			}
			seen |= x
			i += 8
		}
		for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
			seen |= uint64(b[i])
			i++
		}
		switch {
		case i >= len(b):
			return s.syntax(i, "a string is not closed"), 0
		case b[i] == '"':
			if seen&highs != 0 {
				flags |= nonASCII
			}
			return i, flags
		case b[i] != '\\':
			return s.syntax(i, "a string holds a control character; JSON writes it as an escape"), 0
		}
		flags |= escaped
		if i = s.escape(i); i < 0 {
			return -1, 0
		}
	}
}

// escape checks the escape at the backslash and returns the place behind it.
func (s *scanner) escape(i int) int {
	b := s.b
	if i+1 >= len(b) {
		return s.syntax(i, "a string is not closed")
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if i+6 <= len(b) && isHex(b[i+2]) && isHex(b[i+3]) && isHex(b[i+4]) && isHex(b[i+5]) {
			return i + 6
		}
	}
	return s.syntax(i, "a string holds an escape that JSON does not know")
}

func isHex(c byte) bool { return c-'0' <= 9 || c|0x20-'a' <= 5 }

const (
	exactDigits = 18  // so many always fit an int64
	longNumber  = 300 // bytes of a number that is looked at again before it goes into JSON
)

// number reads a number, and its digits while they fit.
func (s *scanner) number(i int, v *value) int {
	b := s.b
	start, negative := i, false
	if b[i] == '-' {
		negative = true
		i++
	}
	first := i
	var m uint64
	for i < len(b) && b[i]-'0' <= 9 {
		m = m*10 + uint64(b[i]-'0')
		i++
	}
	digits, scale := i-first, 0
	if digits == 0 {
		return s.syntax(i, "no value can start like this")
	}
	if b[first] == '0' && digits > 1 {
		return s.syntax(first, "a number has a leading zero")
	}
	if i < len(b) && b[i] == '.' {
		i++
		point := i
		for i < len(b) && b[i]-'0' <= 9 {
			m = m*10 + uint64(b[i]-'0')
			i++
		}
		if scale = i - point; scale == 0 {
			return s.syntax(i, "digits must follow the point of a number")
		}
	}
	var flags uint8
	if digits+scale <= exactDigits {
		flags = exact
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		flags = odd
		if i = s.exponent(i + 1); i < 0 {
			return -1
		}
	}
	if i-start > longNumber {
		flags |= odd
	}
	num := int64(m)
	if negative {
		num = -num
	}
	*v = value{kind: number, flags: flags, num: num, scale: uint8(scale), start: int32(start), end: int32(i)}
	return i
}

func (s *scanner) exponent(i int) int {
	b := s.b
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		i++
	}
	first := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == first {
		return s.syntax(i, "digits must follow the e of a number")
	}
	return i
}

// word reads true, false or null.
func (s *scanner) word(i int) int {
	for _, w := range [...]string{"true", "false", "null"} {
		if len(s.b)-i >= len(w) && string(s.b[i:i+len(w)]) == w {
			return i + len(w)
		}
	}
	return s.syntax(i, "no value can start like this")
}

func kindOfWord(first byte) kind {
	switch first {
	case 't':
		return isTrue
	case 'f':
		return isFalse
	}
	return null
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// syntax notes what is wrong at i and returns -1.
func (s *scanner) syntax(i int, what string) int {
	switch {
	case len(s.b) == 0:
		s.err = bad(CodeNotJSON, "not JSON: it is empty")
	case i < len(s.b):
		s.err = bad(CodeNotJSON, fmt.Sprintf("not JSON: %s (byte %d: %s)", what, i, glimpse(s.b[i:])))
	default:
		s.err = bad(CodeNotJSON, fmt.Sprintf("not JSON: %s (after %d bytes)", what, len(s.b)))
	}
	return -1
}

func (s *scanner) tooDeep() int {
	s.err = bad(CodeTooDeep, fmt.Sprintf("objects and arrays are nested more than %d deep", s.maxDepth))
	return -1
}
