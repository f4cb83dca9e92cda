package output

import (
	"fmt"
	"testing"
	"time"
)

// stuck is a reader that reads nothing until it is opened.
type stuck struct{ open chan struct{} }

func (s *stuck) Write(p []byte) (int, error) {
	<-s.open
	return len(p), nil
}

// TestFlushEnds: however short the time and whatever the scheduler does, flush ends while the reader is stuck.
func TestFlushEnds(t *testing.T) {
	out := &stuck{open: make(chan struct{})}
	d := New(out)
	fmt.Fprintln(d, "nobody reads this")
	defer d.Close()
	defer close(out.open)
	for n := range 20_000 {
		ended := make(chan struct{})
		go func() {
			d.flush(time.Duration(n%50) * time.Microsecond)
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Fatalf("flush %d has not ended", n)
		}
	}
}
