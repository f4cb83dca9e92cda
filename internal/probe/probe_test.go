package probe

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"sinker/internal/local/localtest"
)

// TestWho asks servers of each protocol, and ports that speak none.
func TestWho(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	database, err := url.Parse(localtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	listen := func(serve func(net.Conn)) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go serve(conn)
			}
		}()
		return l.Addr().String()
	}
	closed := listen(func(net.Conn) {})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	tls := secure.Listener.Addr().String()
	for _, c := range []struct {
		name, addr string
		want       Protocol
	}{
		{"Kafka", localtest.Kafka(t).ListenAddrs()[0], Kafka},
		{"Postgres", database.Host, Postgres},
		{"HTTP", web.Listener.Addr().String(), HTTP},
		{"TLSAlert", listen(func(c net.Conn) { c.Write([]byte("\x15\x03\x03\x00\x02\x02\x50")); c.Close() }), TLS},
		{"HTTPS", tls, HTTP}, // Go's server says in HTTP that it wants TLS
		{"Echo", listen(func(c net.Conn) {
			defer c.Close()
			b := make([]byte, 64)
			n, _ := c.Read(b)
			c.Write(b[:n])
		}), Unknown},
		{"Closes", listen(func(c net.Conn) { c.Close() }), Unknown},
		{"Silent", closed, Unknown},
		{"Nobody", nobody, Unknown},
		{"NoPort", "127.0.0.1", Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			if got := Who(t.Context(), c.addr); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if took := time.Since(began); took > time.Duration(len(questions)+1)*patience {
				t.Errorf("it took %s", took)
			}
		})
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if got := Who(ended, database.Host); got != Unknown {
		t.Errorf("with an ended context: %q", got)
	}
}
