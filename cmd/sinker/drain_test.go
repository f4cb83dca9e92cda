package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sinker/internal/output"
)

// valve is a writer that waits until it is opened.
type valve struct {
	lockedBuffer
	open chan struct{}
}

func (v *valve) Write(p []byte) (int, error) {
	<-v.open
	return v.lockedBuffer.Write(p)
}

// TestDrainDropsAndCounts: what is written and what is counted as dropped add up, in order, in both formats.
func TestDrainDropsAndCounts(t *testing.T) {
	for _, format := range []logFormat{"text", "json"} {
		t.Run(string(format), func(t *testing.T) {
			out := &valve{open: make(chan struct{})}
			d := output.New(out)
			log := (&logFlags{format: format}).logger(d)
			const lines = 30_000
			for i := range lines {
				log.Info("a line of some length, as they are", "n", i, "after", time.Duration(i)*time.Millisecond)
			}
			close(out.open)
			d.Close()
			got := strings.Split(strings.TrimSpace(out.String()), "\n")
			last, whole := got[len(got)-1], len(got)-1
			for i, line := range got[:whole] {
				if !strings.Contains(line, fmt.Sprintf(map[logFormat]string{"text": "n=%d ", "json": `"n":%d,`}[format], i)) {
					t.Fatalf("line %d is %s", i, line)
				}
			}
			want := fmt.Sprintf(map[logFormat]string{"text": "lines=%d", "json": `"lines":%d`}[format], lines-whole)
			if !strings.Contains(last, want) || !strings.Contains(last, "dropped") || whole < 1000 || whole == lines {
				t.Errorf("%d lines came out, and then %s; want %s", whole, last, want)
			}
		})
	}
}

// TestLogOfDurations: JSON says them as text does.
func TestLogOfDurations(t *testing.T) {
	var out strings.Builder
	f := logFlags{format: "json"}
	slog.New(f.handler(&out, &out)).Info("x", "after", 90*time.Second, slog.Group("g", "took", 1500*time.Microsecond), "n", 5)
	var doc struct {
		After string
		G     struct{ Took string }
		N     int
	}
	if err := json.Unmarshal([]byte(out.String()), &doc); err != nil || doc.After != "1m30s" || doc.G.Took != "1.5ms" || doc.N != 5 {
		t.Errorf("%+v, %v: %s", doc, err, out.String())
	}
}
