package ops

import (
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"sinker/internal/consume"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// About is what the pages say of the process.
type About struct {
	Pipeline   string `json:"pipeline"`
	Version    string `json:"version"`
	ConfigHash string `json:"config_hash"`
}

// Config is what the HTTP side needs to know.
type Config struct {
	Addr  string // host:port, or "off"
	About About
	// StatementTimeout is Postgres' for this pipeline: /livez gives a loop ten of them and a minute to turn. Default 12 s.
	StatementTimeout time.Duration
	Log              *slog.Logger // nil: nothing is logged
}

// Server is the HTTP side of a running pipeline.
type Server struct {
	cfg     Config
	metrics *Metrics
	states  func() []*consume.WorkerState
	started time.Time
	http    *http.Server // nil: off

	connections connections
}

//go:embed page.html
var page []byte

// Listen serves until Close. It answers GET only, and nothing that it serves changes anything. With the address "off",
// or none, it serves nothing.
func Listen(cfg Config, m *Metrics, states func() []*consume.WorkerState) (*Server, error) {
	if cfg.StatementTimeout == 0 {
		cfg.StatementTimeout = 12 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, metrics: m, states: states, started: time.Now()}
	if cfg.Addr == "off" || cfg.Addr == "" {
		return s, nil
	}
	l, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("http: %w; another sinker on this host? Give it another address: --http 127.0.0.1:8081, "+
			"or --http off", err)
	}
	m.watch(states)
	s.http = &http.Server{
		Addr: l.Addr().String(), Handler: s.handler(), ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ConnState: s.connections.changed,
	}
	go func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			cfg.Log.Error("health, metrics and the status page are not served any more; loading goes on", "err", err)
		}
	}()
	return s, nil
}

// Addr is where it listens, or "off".
func (s *Server) Addr() string {
	if s.http == nil {
		return "off"
	}
	return s.http.Addr
}

// Close ends it at once.
func (s *Server) Close() {
	if s.http != nil {
		_ = s.http.Close() // what it could not close ends with the process
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", s.live)
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /status", s.status)
	mux.HandleFunc("GET /{$}", servePage)
	return mux
}

// servePage sends the page. It needs nothing but this server, so a network without a way out shows it too.
func servePage(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; connect-src 'self'; img-src data:; style-src "+
		"'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache") // a newer sinker has a newer page
	w.Write(page)
}
