package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// pipeline is a sinker configuration under measurement. All that is not here is at its default.
type pipeline struct {
	name  string // also the consumer group: a new one for every turn
	topic string
	table string
	extra []string // further lines of the sink, for example "key: [id]"
}

// config writes the pipeline's configuration file.
func (e *env) config(p pipeline) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\n", p.name)
	fmt.Fprintf(&b, "kafka: { brokers: [%s] }\n", strings.Join(e.kafka.brokers, ", "))
	fmt.Fprintf(&b, "postgres: %q\n", e.pg.url)
	fmt.Fprintf(&b, "sinks:\n  - topic: %s\n    table: %s\n", p.topic, p.table)
	for _, line := range p.extra {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	path := filepath.Join(e.dir, "sinker.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		return "", fmt.Errorf("cannot write sinker's configuration: %w", err)
	}
	return path, nil
}

// process is a running sinker.
type process struct {
	cmd     *exec.Cmd
	log     output
	http    string
	started time.Time

	done  chan struct{} // closed when the process has ended and been waited for
	err   error         // of the process; read it and ended after done
	ended time.Time

	watched chan struct{} // closed when nothing writes to the fields below any more
	rss     int64         // high-water mark of its resident memory
	first   counters      // the earliest and the latest look at its metrics
	latest  counters
}

// counters is what /metrics says of all rows written and everything ever allocated.
type counters struct{ rows, bytes, objects float64 }

// output keeps what a process prints; it may be read while the process runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

// tail is the last n lines.
func (o *output) tail(n int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := strings.Split(strings.TrimRight(o.buf.String(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// startSinker runs `sinker run` on a pipeline, with the given further arguments.
func (e *env) startSinker(ctx context.Context, p pipeline, args ...string) (*process, error) {
	file, err := e.config(p)
	if err != nil {
		return nil, err
	}
	port, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s := &process{http: fmt.Sprintf("127.0.0.1:%d", port), done: make(chan struct{}), watched: make(chan struct{})}
	s.cmd = exec.CommandContext(ctx, e.sinker, append([]string{"run", "-c", file, "--http", s.http}, args...)...)
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.started = time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", e.sinker, err)
	}
	go func() {
		s.err = s.cmd.Wait()
		s.ended = time.Now()
		close(s.done)
	}()
	go s.observe()
	return s, nil
}

// observe follows the process' memory until it ends: often, because the last look counts, and its metrics seldom, because
// each look costs it a little.
func (s *process) observe() {
	defer close(s.watched)
	memory, metrics := time.NewTicker(20*time.Millisecond), time.NewTicker(time.Second)
	defer memory.Stop()
	defer metrics.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-memory.C:
			s.rss = max(s.rss, peakRSS(s.cmd.Process.Pid))
		case <-metrics.C:
			if c, err := scrape("http://" + s.http + "/metrics"); err == nil {
				if s.first.rows == 0 {
					s.first = c
				}
				s.latest = c
			}
		}
	}
}

// wait returns when the process has ended; anything but exit 0 is an error that holds the end of its log.
func (s *process) wait() error {
	<-s.done
	<-s.watched
	if s.err != nil {
		return fmt.Errorf("sinker run: %w\n%s", s.err, s.log.tail(30))
	}
	return nil
}

// stop asks the process to end, as a service manager does, and waits for it.
func (s *process) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return s.wait()
}

// cpu is the user and system time of the ended process, exact to the microsecond.
func (s *process) cpu() time.Duration {
	return s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime()
}

// allocations are the bytes and objects allocated a row, between the first look at the metrics that saw rows and the last.
// Both are 0 when the load was too short for two looks.
func (s *process) allocations() (bytes, objects float64) {
	rows := s.latest.rows - s.first.rows
	if s.first.rows == 0 || rows <= 0 {
		return 0, 0
	}
	return (s.latest.bytes - s.first.bytes) / rows, (s.latest.objects - s.first.objects) / rows
}

// scrape reads the counters of a /metrics page.
func scrape(url string) (counters, error) {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return counters{}, err
	}
	defer resp.Body.Close()
	return parseCounters(resp.Body)
}

// parseCounters sums the series of each counter in Prometheus' text format.
func parseCounters(r io.Reader) (counters, error) {
	var c counters
	s := bufio.NewScanner(r)
	for s.Scan() {
		i := strings.LastIndexByte(s.Text(), ' ')
		if i < 0 || s.Text()[0] == '#' {
			continue
		}
		name, _, _ := strings.Cut(s.Text()[:i], "{")
		to := map[string]*float64{"sinker_rows_written_total": &c.rows, "go_memstats_alloc_bytes_total": &c.bytes, "go_memstats_mallocs_total": &c.objects}[name]
		if to == nil {
			continue
		}
		v, err := strconv.ParseFloat(s.Text()[i+1:], 64)
		if err != nil {
			return counters{}, fmt.Errorf("metric %s: %w", name, err)
		}
		*to += v
	}
	return c, s.Err()
}
