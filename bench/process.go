package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a running sinker, or one of its peers.
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

// startProcess starts a program that is to be measured. http is where it shows its metrics; empty: nowhere.
func startProcess(cmd *exec.Cmd, http string) (*process, error) {
	s := &process{cmd: cmd, http: http, done: make(chan struct{}), watched: make(chan struct{})}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	s.started = time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", cmd.Path, err)
	}
	go func() {
		s.err = cmd.Wait()
		s.ended = time.Now()
		close(s.done)
	}()
	go s.observe()
	return s, nil
}

// observe follows the process' memory until it ends: often, because the last look counts, and its metrics seldom,
// because each look costs it a little.
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
			if s.http == "" {
				continue
			}
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
		return fmt.Errorf("%s: %w\n%s", filepath.Base(s.cmd.Path), s.err, s.log.tail(30))
	}
	return nil
}

// while returns a context that ends with the process: there is nothing to wait for when it has died.
func (s *process) while(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// stop asks the process to end, as a service manager does, and waits for it.
func (s *process) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return s.wait()
}

// kill ends the process by SIGKILL and waits for it.
func (s *process) kill() error {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.done
	<-s.watched
	return nil
}

// cpu is the user and system time of the ended process, exact to the microsecond.
func (s *process) cpu() time.Duration {
	return s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime()
}
