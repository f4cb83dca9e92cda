package ops

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"sinker/internal/consume"
)

func TestServer(t *testing.T) {
	t.Run("GetOnly", func(t *testing.T) {
		f := setup(t)
		for _, path := range []string{"/", "/status", "/metrics", "/livez", "/readyz"} {
			for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
				req, err := http.NewRequest(method, f.url+path, strings.NewReader("x"))
				if err != nil {
					t.Fatal(err)
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusMethodNotAllowed {
					t.Errorf("%s %s: %d", method, path, resp.StatusCode)
				}
			}
		}
	})

	t.Run("NothingElse", func(t *testing.T) {
		f := setup(t)
		for _, path := range []string{"/debug/pprof/", "/debug/vars", "/x", "/status/"} {
			f.want(path, http.StatusNotFound, "")
		}
	})

	t.Run("ThePageNeedsNothingFromElsewhere", func(t *testing.T) {
		f := setup(t)
		f.want("/", 200, "<title>sinker</title>")
		_, body := f.get("/")
		for _, s := range []string{"https://", "@import", "<script src", "<link rel=\"stylesheet\"", "innerHTML"} {
			if strings.Contains(body, s) {
				t.Errorf("the page holds %q", s)
			}
		}
	})

	t.Run("HeadersThatAreTooLarge", func(t *testing.T) {
		s, err := Listen(Config{Addr: "127.0.0.1:0"}, NewMetrics("shop", "x"), func() []*consume.WorkerState { return nil })
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		req, err := http.NewRequest(http.MethodGet, "http://"+s.Addr()+"/livez", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Large", strings.Repeat("x", 64<<10))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%d", resp.StatusCode)
		}
	})

	t.Run("AddressInUse", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, err = Listen(Config{Addr: l.Addr().String()}, NewMetrics("shop", "x"), nil)
		if err == nil || !strings.Contains(err.Error(), "--http off") {
			t.Errorf("%v", err)
		}
	})

	t.Run("Off", func(t *testing.T) {
		s, err := Listen(Config{Addr: "off"}, NewMetrics("shop", "x"), nil)
		if err != nil || s.Addr() != "off" {
			t.Errorf("%s, %v", s.Addr(), err)
		}
		s.Close()
	})
}
