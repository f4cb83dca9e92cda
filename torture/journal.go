package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// journal is what happened, with the time since the start: on stderr, and in the file nemesis.log.
type journal struct {
	mu    sync.Mutex
	start time.Time
	out   io.Writer
}

func newJournal(out io.Writer) *journal { return &journal{start: time.Now(), out: out} }

func (j *journal) say(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
	fmt.Fprintf(j.out, "%7.1f  %s\n", time.Since(j.start).Seconds(), text)
}

// tally counts what the report shows.
type tally struct {
	mu        sync.Mutex
	kills     int // of anything
	sinkers   int // of these: of sinkers
	failovers int
	problems  []string
}

func (t *tally) killed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kills++
}

func (t *tally) killedSinker() {
	t.killed()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sinkers++
}

func (t *tally) failedOver() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failovers++
}

// problem notes a violation found while the run is under way. A flood of one kind says no more than its beginning.
func (t *tally) problem(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.problems) < 100 {
		t.problems = append(t.problems, fmt.Sprintf(format, args...))
	}
}
