// Package printable keeps text that others wrote, such as a record's or a table's, from acting on a terminal: control
// characters, and those that turn the order of letters about, are written as JSON would write them, \u001b.
package printable

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
)

// Count is a number of things, with commas, and with the plural of the noun unless there is one: "1 record",
// "2,000 records".
func Count[N int | int32 | int64](n N, noun string) string {
	return humanize.Comma(int64(n)) + " " + english.PluralWord(int(n), noun, "")
}

// Text returns s on one line: every control character is written out, newlines and tabs too.
func Text(s string) string {
	if strings.IndexFunc(s, acts) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s { // bytes that are no UTF-8 become U+FFFD
		if acts(r) {
			write(&b, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// acts says whether a terminal, or a browser, does something else with r than show it.
func acts(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

func write(b *strings.Builder, r rune) { fmt.Fprintf(b, `\u%04x`, r) }

// Writer passes text on with its control characters written out, all but newlines and tabs. What is JSON stays JSON. It
// may be used by several goroutines.
type Writer struct {
	mu   sync.Mutex
	w    io.Writer
	rest []byte // the beginning of a character whose end the next call brings
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Unwrap returns what it writes to, for control characters of our own.
func (p *Writer) Unwrap() io.Writer { return p.w }

// Write reports p as written whole, or nothing of it.
func (p *Writer) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := append(p.rest, text...)
	p.rest = nil
	if plain(all) {
		if _, err := p.w.Write(all); err != nil {
			return 0, err
		}
		return len(text), nil
	}
	var b strings.Builder
	for len(all) > 0 {
		if !utf8.FullRune(all) {
			p.rest = append([]byte(nil), all...)
			break
		}
		r, n := utf8.DecodeRune(all)
		all = all[n:]
		if acts(r) && r != '\n' && r != '\t' {
			write(&b, r)
		} else {
			b.WriteRune(r)
		}
	}
	if _, err := io.WriteString(p.w, b.String()); err != nil {
		return 0, err
	}
	return len(text), nil
}

// plain says whether all is ASCII that shows as it is, which nearly everything is.
func plain(all []byte) bool {
	for _, c := range all {
		if c >= utf8.RuneSelf || c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
