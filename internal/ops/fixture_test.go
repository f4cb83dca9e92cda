package ops

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sinker/internal/consume"
	"sinker/internal/record"
)

// fixture is the HTTP side of a pipeline whose workers' states the test sets.
type fixture struct {
	*testing.T
	metrics *Metrics
	states  []*consume.WorkerState
	server  *Server
	url     string
}

func setup(t *testing.T, states ...*consume.WorkerState) *fixture {
	t.Helper()
	f := &fixture{T: t, metrics: NewMetrics("shop", "1.2.3"), states: states}
	f.server = &Server{cfg: Config{About: About{Pipeline: "shop", Version: "1.2.3", ConfigHash: "abc"}, StatementTimeout: 12 * time.Second},
		metrics: f.metrics, started: time.Now(), states: func() []*consume.WorkerState { return f.states }}
	f.metrics.watch(f.server.states)
	h := httptest.NewServer(f.server.handler())
	t.Cleanup(h.Close)
	f.url = h.URL
	return f
}

func (f *fixture) get(path string) (code int, body string) {
	f.Helper()
	resp, err := http.Get(f.url + path)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (f *fixture) want(path string, code int, text string) {
	f.Helper()
	if got, body := f.get(path); got != code || !strings.Contains(body, text) {
		f.Errorf("GET %s: %d %q, want %d and %q", path, got, body, code, text)
	}
}

// document is /status, decoded as somebody else would.
func (f *fixture) document() (s Status) {
	f.Helper()
	code, body := f.get("/status")
	if code != http.StatusOK {
		f.Fatalf("/status: %d", code)
	}
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		f.Fatal(err)
	}
	return s
}

func working(partitions ...consume.PartitionState) *consume.WorkerState {
	return &consume.WorkerState{At: time.Now(), Running: true, Joined: true, Connected: true, Partitions: partitions}
}

func inTrouble(for_ time.Duration, partitions ...consume.PartitionState) *consume.WorkerState {
	s := working(partitions...)
	s.Trouble, s.Since, s.Connected = "connect: refused", time.Now().Add(-for_), false
	return s
}

var (
	orders0 = consume.PartitionState{Topic: "orders", Partition: 0, Position: 90, End: 100, Timestamp: time.Now().Add(-time.Minute), State: record.Reading}
	stopped = consume.PartitionState{Topic: "orders", Partition: 1, Position: 10, End: -1, State: record.Stopped, Reason: "Kafka has deleted [10, 20)", Hole: record.Hole{From: 10, To: 20}, Command: "sinker offsets set --offset 20"}
	waiting = consume.PartitionState{Topic: "orders", Partition: 2, Position: 1, End: 3, State: record.Waiting, Reason: "no table", Oldest: time.Now().Add(time.Hour)}
)

func report(at time.Time, rows int64) consume.Report {
	return consume.Report{
		Worker: 1, At: at, Took: 40 * time.Millisecond, Records: int(rows) + 2, Bytes: 1000, Retries: 1,
		Ranges: []consume.RangeReport{{TopicPartition: record.TopicPartition{Topic: "orders", Partition: 3}, From: 5, To: 10, Records: int(rows) + 2, Bytes: 1000, Timestamp: at.Add(-time.Second)}},
		Result: record.Result{
			Tables: []record.TableResult{{Table: `"public"."orders"`, Rows: rows - 1, Deleted: 1}}, Dead: 2,
			Letters: []record.LetterCount{{Topic: "orders", Code: "not_json", Count: 2}},
			Unasked: []record.UnaskedField{{Table: `"public"."orders"`, Field: "extra", Count: 3}},
			Phases:  record.Phases{Begin: time.Millisecond, Write: 30 * time.Millisecond, Dead: 2 * time.Millisecond, Commit: 7 * time.Millisecond},
		},
	}
}
