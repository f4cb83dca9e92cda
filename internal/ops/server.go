package ops

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
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

// Server is the HTTP side of a running pipeline. The zero of a pointer is one that is off.
type Server struct {
	about   About
	metrics *Metrics
	states  func() []*consume.WorkerState
	started time.Time
	http    *http.Server
	addr    string
}

//go:embed page.html
var page []byte

// Listen serves on addr until Close. "off" serves nothing.
func Listen(addr string, about About, m *Metrics, states func() []*consume.WorkerState) (*Server, error) {
	s := &Server{about: about, metrics: m, states: states, started: time.Now(), addr: "off"}
	if addr == "off" || addr == "" {
		return s, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("http: %w; another sinker on this host? Give it another address: --http 127.0.0.1:8081, or --http off", err)
	}
	s.addr = l.Addr().String()
	m.watch(about.Pipeline, states)
	s.http = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	go func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			_ = err // the listener was closed under it: the process is ending
		}
	}()
	return s, nil
}

// Addr is where it listens, or "off".
func (s *Server) Addr() string { return s.addr }

// Close ends it at once.
func (s *Server) Close() {
	if s.http != nil {
		s.http.Close()
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", s.live)
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /status", s.status)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'")
		w.Write(page)
	})
	return mux
}

const (
	stuckAfter   = 2 * time.Minute  // a turn of the loop, waiting on Postgres included, is bounded well below
	troubleAfter = 30 * time.Second // how long something may be wrong before the process is not ready
)

// live says whether the loops turn: if one does not, the process is best restarted.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	for _, st := range s.states() {
		if st.Running && time.Since(st.At) > stuckAfter {
			http.Error(w, fmt.Sprintf("worker %d has not turned for %s", st.Worker, time.Since(st.At).Round(time.Second)), http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ok")
}

// ready says whether records flow, or would.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	for _, st := range s.states() {
		if why := notReady(st); why != "" {
			http.Error(w, fmt.Sprintf("worker %d: %s", st.Worker, why), http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ok")
}

func isReady(st *consume.WorkerState) bool { return notReady(st) == "" }

func notReady(st *consume.WorkerState) string {
	switch {
	case !st.Running:
		return "not running"
	case !st.Joined:
		return "has not joined the consumer group yet"
	case st.Trouble != "" && time.Since(st.Since) > troubleAfter:
		return st.Trouble
	}
	return ""
}

// Status is the document of /status.
type Status struct {
	About
	UptimeSeconds float64           `json:"uptime_seconds"`
	Ready         bool              `json:"ready"`
	Workers       []WorkerStatus    `json:"workers"`
	Partitions    []PartitionStatus `json:"partitions"`
	Totals        Totals            `json:"totals"`
	Batches       []Batch           `json:"batches"`
}

// WorkerStatus is a worker in /status.
type WorkerStatus struct {
	Worker     int    `json:"worker"`
	Joined     bool   `json:"joined"`
	Connected  bool   `json:"connected"`
	Trouble    string `json:"trouble,omitempty"`
	Partitions int    `json:"partitions"`
	Fenced     int64  `json:"fenced"`
	Rewound    int64  `json:"rewound"`
	Retries    int64  `json:"retries"`
	Resolved   int64  `json:"resolved"`
	Discarded  int64  `json:"discarded"`
}

// PartitionStatus is a partition in /status. Lag is null until the broker has told of the end.
type PartitionStatus struct {
	Topic      string  `json:"topic"`
	Partition  int32   `json:"partition"`
	Worker     int     `json:"worker"`
	Position   int64   `json:"position"`
	End        *int64  `json:"end"`
	Lag        *int64  `json:"lag"`
	LagSeconds float64 `json:"lag_seconds"`
	State      string  `json:"state"` // reading, stopped, waiting
	Reason     string  `json:"reason,omitempty"`
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.Encode(s.snapshot())
}

func (s *Server) snapshot() Status {
	doc := Status{About: s.about, UptimeSeconds: time.Since(s.started).Seconds(), Ready: true, Workers: []WorkerStatus{}, Partitions: []PartitionStatus{}}
	for _, st := range s.states() {
		doc.Ready = doc.Ready && isReady(st)
		doc.Workers = append(doc.Workers, WorkerStatus{Worker: st.Worker, Joined: st.Joined, Connected: st.Connected, Trouble: st.Trouble, Partitions: len(st.Partitions),
			Fenced: st.Fenced, Rewound: st.Rewound, Retries: st.Retries, Resolved: st.Resolved, Discarded: st.Discarded})
		for i := range st.Partitions {
			doc.Partitions = append(doc.Partitions, partitionStatus(st.Worker, &st.Partitions[i]))
		}
	}
	s.metrics.mu.Lock()
	defer s.metrics.mu.Unlock()
	doc.Totals = s.metrics.totals
	doc.Batches = append([]Batch{}, s.metrics.recent...)
	return doc
}

func partitionStatus(worker int, p *consume.PartitionState) PartitionStatus {
	out := PartitionStatus{Topic: p.Topic, Partition: p.Partition, Worker: worker, Position: p.Position, State: "reading", Reason: p.Stopped}
	if lag, seconds := lagOf(p); lag >= 0 {
		out.End, out.Lag, out.LagSeconds = &p.End, &lag, seconds
	}
	switch {
	case p.Stopped != "" && p.Retrying:
		out.State = "waiting"
	case p.Stopped != "":
		out.State = "stopped"
	}
	return out
}

func itoa(n int32) string { return strconv.FormatInt(int64(n), 10) }
