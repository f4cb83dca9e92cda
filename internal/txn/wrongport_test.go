package txn

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"sinker/internal/local/localtest"
)

// TestWrongPort: a connection URL that leads to another server is a mistake in the configuration, and the error names the server.
func TestWrongPort(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	kafka := localtest.Kafka(t).ListenAddrs()[0]
	alert, err := net.Listen("tcp", "127.0.0.1:0") // Apache Kafka's port for TLS
	if err != nil {
		t.Fatal(err)
	}
	defer alert.Close()
	go func() {
		for {
			conn, err := alert.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte("\x15\x03\x03\x00\x02\x02\x50"))
			conn.Close()
		}
	}()
	for _, mode := range []string{"disable", "prefer", "require", "verify-full"} {
		t.Run(mode, func(t *testing.T) {
			for addr, want := range map[string]string{kafka: "is a Kafka broker", web.Listener.Addr().String(): "speaks HTTP", alert.Addr().String(): "speaks TLS"} {
				_, err := Connect(t.Context(), "postgres://u:c4n4ry@"+addr+"/x?connect_timeout=1&sslmode="+mode, "sinker test")
				wantClass(t, err, Auth, want)
			}
		})
	}
}
