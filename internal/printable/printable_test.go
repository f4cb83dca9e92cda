package printable

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// actors are the characters that must never reach a reader as they are: all 65 control characters, and those that
// Unicode's Bidi_Control and line separators are.
func actors() (all []rune) {
	for r := range rune(utf8.MaxRune) {
		if unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			all = append(all, r)
		}
	}
	return all
}

func TestEveryActor(t *testing.T) {
	all := actors()
	if len(all) != 65+12+2 {
		t.Fatalf("%d characters", len(all))
	}
	for _, r := range all {
		s := "a" + string(r) + "é"
		want := fmt.Sprintf(`a\u%04xé`, r)
		if got := Text(s); got != want {
			t.Errorf("Text(%q) = %q", s, got)
		}
		var out bytes.Buffer
		if n, err := NewWriter(&out).Write([]byte(s)); n != len(s) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if r == '\n' || r == '\t' {
			want = s
		}
		if out.String() != want {
			t.Errorf("Write(%q) wrote %q", s, out.String())
		}
		doc, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		out.Reset()
		NewWriter(&out).Write(doc)
		var back string
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || back != s {
			t.Errorf("JSON of %q came through as %q, %v", s, out.String(), err)
		}
	}
}

// TestWriteInPieces: a character that comes in two calls is one, and a byte that is no character is never passed on.
func TestWriteInPieces(t *testing.T) {
	text := "é\u202e日\u009b𝄞\x1b" + "\x9b[2J"
	for size := 1; size <= len(text); size++ {
		var out bytes.Buffer
		w := NewWriter(&out)
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			w.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		if want := `é\u202e日\u009b𝄞\u001b` + "\uFFFD[2J"; out.String() != want {
			t.Errorf("in pieces of %d: %q", size, out.String())
		}
	}
	if got := Text("\x9b[2J"); strings.Contains(got, "\x9b") {
		t.Errorf("%q", got)
	}
}
