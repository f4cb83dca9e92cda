package txn

import (
	"io"
	"strings"
	"testing"
)

// TestClosedReader: what a COPY is made of is not looked at any more once the COPY is over, whatever pgx' goroutine does.
func TestClosedReader(t *testing.T) {
	src := strings.NewReader("rows of the next batch")
	g := &guardedReader{src: src}
	p := make([]byte, 5)
	if n, err := g.Read(p); n != 5 || err != nil {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	before := src.Len()
	reading, release, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	g.src = readerFunc(func(p []byte) (int, error) {
		close(reading)
		<-release
		return src.Read(p)
	})
	go func() { _, _ = g.Read(p) }()
	<-reading
	go func() { g.close(); close(closed) }()
	close(release)
	<-closed
	if src.Len() != before-5 {
		t.Error("closing did not wait for the Read in progress")
	}
	if _, err := g.Read(p); err != io.ErrClosedPipe {
		t.Errorf("a Read after the end: %v, want %v", err, io.ErrClosedPipe)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
