package ops

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"sinker/internal/consume"
	"sinker/internal/local/await"
)

// TestConnections: whatever readers hold open, there are at most mostConnections; idle ones give way to a health check,
// and ones that send nothing are closed after the time that a request's beginning may take.
func TestConnections(t *testing.T) {
	m := NewMetrics("p", "test")
	s, err := Listen(Config{Addr: "127.0.0.1:0"}, m, func() []*consume.WorkerState { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	ask := func(c net.Conn) error {
		if _, err := fmt.Fprintf(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %s", resp.Status)
		}
		return err
	}
	for i := range 3 * mostConnections { // each is answered, though all stay open
		if err := ask(dial()); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	if n := s.connections.count(); n > mostConnections {
		t.Errorf("%d connections are open", n)
	}
	for range 3 * mostConnections {
		dial() // and says nothing
	}
	if n := s.connections.count(); n > mostConnections {
		t.Errorf("%d connections are open", n)
	}
	await.Within(t, 30*time.Second, "an answer when the silent ones have had their time", func() bool { return ask(dial()) == nil })
}

func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}
