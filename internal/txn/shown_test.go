package txn

import "testing"

func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"one": "one",
		"failed:\n\ta:1: refused\n\ta:1: refused": "failed: a:1: refused",
		"failed:\n\ta:1: refused\n\tb:1: refused": "failed: a:1: refused; b:1: refused",
		"ends\n": "ends",
	} {
		if got := oneLine(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
