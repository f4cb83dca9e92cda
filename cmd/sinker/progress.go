package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"sinker/internal/output"

	"github.com/dustin/go-humanize"
)

// showProgress prints how far a bounded run is: one line that is written over on a terminal, a plain line every ten
// seconds elsewhere.
func showProgress(ctx context.Context, w io.Writer, progress func() (done, total, rows int64)) {
	terminal := isTerminal(w)
	if d, ok := output.Unwrap[*output.Drain](w); ok {
		w = d // past what writes control characters out: these are ours
	}
	every := 10 * time.Second
	if terminal {
		every = 250 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var meter meter
	for {
		select {
		case <-ctx.Done():
			if terminal {
				fmt.Fprint(w, "\r\x1b[K")
			}
			return
		case <-tick.C:
		}
		done, total, rows := progress()
		line := meter.line(time.Now(), done, total, rows)
		if terminal {
			fmt.Fprint(w, "\r"+line+"\x1b[K")
		} else {
			fmt.Fprintln(w, line)
		}
	}
}

// meter keeps the last few moments for a rate.
type meter struct{ points []point }

type point struct {
	at         time.Time
	done, rows int64
}

// line says percent, rows, rows per second over the last five seconds, and how long the rest takes at that pace.
func (m *meter) line(now time.Time, done, total, rows int64) string {
	m.points = append(m.points, point{now, done, rows})
	for len(m.points) > 2 && now.Sub(m.points[0].at) > 5*time.Second {
		m.points = m.points[1:]
	}
	first := m.points[0]
	seconds := now.Sub(first.at).Seconds()
	percent, rate, eta := 100.0, 0.0, "?"
	if total > 0 {
		percent = 100 * float64(done) / float64(total)
	}
	if seconds > 0 {
		rate = float64(rows-first.rows) / seconds
		if pace := float64(done-first.done) / seconds; pace > 0 {
			eta = time.Duration(float64(total-done) / pace * float64(time.Second)).Round(time.Second).String()
		}
	}
	bar := int(percent / 5)
	return fmt.Sprintf("[%s%s] %5.1f%%  %s rows  %s rows/s  ETA %s", strings.Repeat("=", bar),
		strings.Repeat(" ", max(0, 20-bar)), percent, humanize.Comma(rows), humanize.Comma(int64(rate)), eta)
}
