package table

import (
	"errors"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(b *strings.Builder) *Table
		want string
	}{
		{"Left", func(b *strings.Builder) *Table {
			tab := New(b, "TOPIC", "ROWS", "STATE")
			tab.Row("orders", 5, "reading")
			tab.Row("a", 12345, "stopped")
			return tab
		}, "TOPIC   ROWS   STATE\norders  5      reading\na       12345  stopped\n"},
		{"Right", func(b *strings.Builder) *Table {
			tab := NewRight(b, "side", "rows")
			tab.Row("sinker", 5)
			tab.Row("copy", 12345)
			return tab
		}, "    side   rows\n  sinker      5\n    copy  12345\n"},
		{"NoHeader", func(b *strings.Builder) *Table {
			tab := New(b)
			tab.Row("ok", "kafka", "localhost:9092")
			tab.Row("FAIL", "topics", "none")
			return tab
		}, "ok    kafka   localhost:9092\nFAIL  topics  none\n"},
		{"Lines", func(b *strings.Builder) *Table {
			tab := New(b)
			tab.Row("ok", "table", "made\nas follows\n  id: id")
			tab.Row("ok", "t", "fits")
			return tab
		}, "ok  table  made\n           as follows\n             id: id\nok  t      fits\n"},
		{"TabInACell", func(b *strings.Builder) *Table {
			tab := New(b, "A", "B")
			tab.Row("x\ty", 1)
			return tab
		}, "A    B\nx y  1\n"},
		{"Empty", func(b *strings.Builder) *Table { return New(b) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			if err := c.make(&b).Flush(); err != nil || b.String() != c.want {
				t.Errorf("%v\n%s\nwant\n%s", err, b.String(), c.want)
			}
		})
	}
}

type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriterThatFails(t *testing.T) {
	tab := New(full{}, "A")
	tab.Row(1)
	if err := tab.Flush(); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}
