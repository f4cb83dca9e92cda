package ops

import (
	"net"
	"net/http"
	"sync"
)

// mostConnections bounds what readers of the pages may hold open: each costs a goroutine, buffers and a file, of which
// Kafka and Postgres need some too.
const mostConnections = 100

// connections counts the open ones. Above the limit the longest idle one is closed for a new one, so that health checks
// are answered however many readers keep their connections; where none is idle, the new one is closed.
type connections struct {
	mu   sync.Mutex
	open map[net.Conn]bool
	idle []net.Conn // longest first
}

// changed is http.Server's ConnState.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	if extra := c.note(conn, state); extra != nil {
		_ = extra.Close() // its reader sees that; nothing else is to be done
	}
}

// note keeps the books, and returns the connection to close.
func (c *connections) note(conn net.Conn, state http.ConnState) (extra net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetIdle(conn)
	switch state {
	case http.StateNew:
		if c.open == nil {
			c.open = map[net.Conn]bool{}
		}
		c.open[conn] = true
		if len(c.open) <= mostConnections {
			return nil
		}
		extra = conn
		if len(c.idle) > 0 {
			extra, c.idle = c.idle[0], c.idle[1:]
		}
		delete(c.open, extra)
	case http.StateIdle:
		if c.open[conn] {
			c.idle = append(c.idle, conn)
		}
	case http.StateClosed, http.StateHijacked:
		delete(c.open, conn)
	}
	return extra
}

func (c *connections) forgetIdle(conn net.Conn) {
	for i, other := range c.idle {
		if other == conn {
			c.idle = append(c.idle[:i:i], c.idle[i+1:]...)
			return
		}
	}
}
