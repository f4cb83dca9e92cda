package consume

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"sinker/internal/local/localtest"
)

// TestWrongPort: a broker's address that is another server's is a mistake in the configuration, and the error names the server.
func TestWrongPort(t *testing.T) {
	database, err := url.Parse(localtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	for name, tls := range map[string]*TLS{"Plain": nil, "TLS": {Insecure: true}} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, ping(t, Dial{Brokers: []string{database.Host}, TLS: tls}), "is a Postgres server")
			if tls != nil {
				return // a web server waits for more of the handshake, or answers in HTTP
			}
			wantRefusal(t, ping(t, Dial{Brokers: []string{web.Listener.Addr().String()}, TLS: tls}), "speaks HTTP")
		})
	}
}
