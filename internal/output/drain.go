// Package output is a command's standard error: writing to it never waits.
package output

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dustin/go-humanize/english"
)

const (
	// keepBytes is how much is kept for a reader of standard error that is slow or stuck.
	keepBytes = 1 << 20
	// patience is how long the end of the process waits for such a reader.
	patience = time.Second
)

// Drain stands between everything that logs and standard error: Write never waits. While the reader is stuck it keeps a
// mebibyte, drops what comes on top, counts that, and says so when the reader is back.
type Drain struct {
	w io.Writer

	mu      sync.Mutex
	queue   [][]byte
	bytes   int
	dropped int64
	notice  func(dropped int64) []byte
	closed  bool
	idle    *sync.Cond // the queue is empty and written, or closed
	more    *sync.Cond
	busy    bool
}

// New returns a Drain in front of w.
func New(w io.Writer) *Drain {
	d := &Drain{w: w, notice: func(n int64) []byte {
		return fmt.Appendf(nil,
			"sinker: %s dropped, because nobody read standard error fast enough\n",
			english.Plural(int(n), "line of the log was", "lines of the log were"))
	}}
	d.idle, d.more = sync.NewCond(&d.mu), sync.NewCond(&d.mu)
	go d.run()
	return d
}

// Write keeps a copy of p to be written, or drops it. It always says that p was written.
func (d *Drain) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bytes > 0 && d.bytes+len(p) > keepBytes || d.closed {
		d.dropped++
		return len(p), nil
	}
	d.queue = append(d.queue, append([]byte(nil), p...))
	d.bytes += len(p)
	d.more.Signal()
	return len(p), nil
}

// run writes what is queued, until close. An error of the writer is a reader that is gone: nothing is to be done.
func (d *Drain) run() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		for len(d.queue) == 0 {
			if d.dropped > 0 {
				d.queue = append(d.queue, d.notice(d.dropped))
				d.bytes += len(d.queue[0])
				d.dropped = 0
				break
			}
			d.busy = false
			d.idle.Broadcast()
			if d.closed {
				return
			}
			d.more.Wait()
		}
		line := d.queue[0]
		d.queue = d.queue[1:]
		d.busy = true
		d.mu.Unlock()
		d.w.Write(line)
		d.mu.Lock()
		d.bytes -= len(line)
	}
}

// SetNotice says in which words dropped lines are reported.
func (d *Drain) SetNotice(notice func(dropped int64) []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notice = notice
}

// flush waits until all is written, for a while at most. It is the timer that says that the time is up, not a second
// look at the clock: that look may come a moment too early, after the only call that wakes this up.
func (d *Drain) flush(most time.Duration) {
	up := false
	timer := time.AfterFunc(most, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		up = true
		d.idle.Broadcast()
	})
	defer timer.Stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for (d.busy || len(d.queue) > 0 || d.dropped > 0) && !up {
		d.idle.Wait()
	}
}

// Close writes what is left, waiting for a while at most; what is written later is dropped.
func (d *Drain) Close() {
	d.flush(patience)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.more.Signal()
}

// Flush waits until what was written to a command's standard error has come out, so that what is printed on
// standard output now comes after it.
func Flush(w io.Writer) {
	if d, ok := Unwrap[*Drain](w); ok {
		d.flush(patience)
	}
}

// Unwrap finds a writer of type T behind w, or w itself.
func Unwrap[T io.Writer](w io.Writer) (found T, ok bool) {
	for {
		if t, ok := w.(T); ok {
			return t, true
		}
		switch v := w.(type) {
		case *Drain:
			w = v.w
		case interface{ Unwrap() io.Writer }:
			w = v.Unwrap()
		default:
			return found, false
		}
	}
}
