package transform

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"sinker/internal/record"
)

// lines is an envelope of records whose value has a change per line: "value", "table|value", or "-key" to delete. It
// allocates nothing.
type lines struct{}

func (lines) Changes(dst []Change, r *record.Record) ([]Change, *BadRecord) {
	for rest := r.Value; len(rest) > 0; {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		if len(line) == 0 {
			return dst, bad(CodeNotJSON, "an empty line")
		}
		c := Change{Value: line, Key: r.Key}
		if i := bytes.IndexByte(line, '|'); i >= 0 {
			c.Table, c.Value = "other", line[i+1:]
		}
		if line[0] == '-' {
			c.Value, c.Key = nil, line[1:]
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// TestEncode: a record's effects are those of its changes, each encoded as a record of its own, and there is none of them
// when one is bad, whichever it is.
func TestEncode(t *testing.T) {
	rule := Rule{Columns: []Column{{Name: "id", Type: "int"}, {Name: "n", Type: "int"}}, Meta: []string{"offset"}, Key: []string{"id"}, Tombstones: true}
	plain := declared(t, rule).NewEncoder(nil)
	rule.Envelope = lines{}
	e, other := declared(t, rule).NewEncoder(nil), declared(t, rule).NewEncoder(nil)
	e.RouteBy(func(table string) *Encoder { return map[string]*Encoder{"other": other}[table] })

	good := []string{`{"id":1,"n":2}`, `other|{"id":3,"n":4}`, `-5`, `{"id":6}`, `-{"id":7}`}
	for n := range len(good) + 1 {
		for at := -1; at < n; at++ {
			changes := slices.Clone(good[:n])
			if at >= 0 {
				changes[at] = `{"id":"x"}`
			}
			r := &record.Record{Offset: 9, Value: []byte(strings.Join(changes, "\n"))}
			before := Effect{Op: Delete, Table: "before"}
			out, fx, err := e.Encode([]byte("before"), r, []Effect{before})
			if at >= 0 {
				if b, ok := err.(*BadRecord); !ok || b.Column != "id" || string(out) != "before" || len(fx) != 1 {
					t.Errorf("%q: got %q, %v, %v; want nothing and a bad record", changes, out, fx, err)
				}
				continue
			}
			if err != nil || fx[0] != before || len(fx) != n+1 {
				t.Fatalf("%q: %v, %v", changes, fx, err)
			}
			want := []byte("before")
			for i, line := range changes {
				one, table := &record.Record{Offset: 9, Value: []byte(line)}, ""
				if _, value, routed := strings.Cut(line, "|"); routed {
					one.Value, table = []byte(value), "other"
				}
				if key, deletes := strings.CutPrefix(line, "-"); deletes {
					one.Value, one.Key = nil, []byte(key)
				}
				from := len(want)
				var op Op
				if want, op, err = plain.Append(want, one); err != nil {
					t.Fatal(err)
				}
				if got, want := fx[i+1], (Effect{Op: op, Table: table, From: from, To: len(want)}); got != want {
					t.Errorf("%q: effect %+v, want %+v", changes, got, want)
				}
			}
			if !bytes.Equal(out, want) {
				t.Errorf("%q: got %q, want %q", changes, out, want)
			}
		}
	}
}

// TestEncodeAllocates nothing, with an envelope and without.
func TestEncodeAllocates(t *testing.T) {
	for name, rule := range map[string]Rule{"plain": {}, "envelope": {Envelope: lines{}}} {
		rule.Columns = []Column{{Name: "id", Type: "int"}, {Name: "note", Type: "text"}}
		e := declared(t, rule).NewEncoder(nil)
		r := &record.Record{Value: []byte(`{"id":1,"note":"a"}`)}
		if name != "plain" {
			r.Value = []byte(strings.Repeat(`{"id":1,"note":"a"}`+"\n", 3))
		}
		var dst []byte
		var fx []Effect
		if n := testing.AllocsPerRun(1000, func() {
			var err error
			if dst, fx, err = e.Encode(dst[:0], r, fx[:0]); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations per record", name, n)
		}
		if want := map[string]int{"plain": 1, "envelope": 3}[name]; len(fx) != want {
			t.Errorf("%s: %d effects, want %d", name, len(fx), want)
		}
	}
}

// TestUnwrap: a sample is what the changes for a table say, each a record of its own.
func TestUnwrap(t *testing.T) {
	records := []*record.Record{{Offset: 1, Value: []byte("a\nx|b\nc")}, {Offset: 2, Value: []byte("\n")}, {Offset: 3, Value: []byte("-k")}}
	show := func(all iter.Seq[*record.Record]) (s string) {
		for r := range all {
			s += fmt.Sprintf("%d:%s:%s ", r.Offset, r.Key, r.Value)
		}
		return s
	}
	rule := Rule{Envelope: lines{}}
	if got, want := show(rule.Unwrap("", slices.Values(records))), "1::a 1::c 3:k: "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := show(rule.Unwrap("other", slices.Values(records))), "1::b "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := slices.Collect((Rule{}).Unwrap("", slices.Values(records))); len(got) != 3 || got[0] != records[0] {
		t.Errorf("a plain rule's sample is the records themselves, not %v", got)
	}
}
