package format

import (
	"fmt"
	"testing"

	"sinker/internal/value"
)

// TestNamesAreBounded: a topic with ever new names of fields does not fill the memory.
func TestNamesAreBounded(t *testing.T) {
	var p Paths
	p.Want([]string{"a"}, AsScalar)
	want := p.Document()
	values := make([]value.Value, want.Len())
	s := newScanner(want, values, DefaultDepth)
	for i := range 5 * MostNames {
		if bad, err := s.Decode(fmt.Appendf(nil, `{"name %d":1,"a":"A","x%d":{"a":2}}`, i, i)); bad != nil || err != nil {
			t.Fatal(bad, err)
		}
		if at, _ := want.Find([]string{"a"}, AsScalar); string(values[at].B) != "A" {
			t.Fatalf("record %d: %q", i, values[at].B)
		}
	}
	if n := len(s.objects[0].byName); n > MostNames {
		t.Errorf("%d names were learned", n)
	}
}
