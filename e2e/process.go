package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sinker/internal/local/localtest"
)

// Process is a running `sinker run`.
type Process struct {
	Name string
	t    *testing.T
	cmd  *exec.Cmd
	log  string        // path of what it printed
	done chan struct{} // closed when it has ended
	err  error         // how; read after done
}

// binary is sinker, built once for the run, with the race detector when E2E_RACE=1; or the one that E2E_BINARY names.
var binary = struct {
	once sync.Once
	dir  string
	path string
	err  error
}{}

// Binary returns the path of the real binary.
func Binary(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.path = os.Getenv("E2E_BINARY"); binary.path != "" {
			return
		}
		if binary.dir, binary.err = os.MkdirTemp("", "sinker-e2e-"); binary.err != nil {
			return
		}
		binary.path = filepath.Join(binary.dir, "sinker")
		args := []string{"build", "-o", binary.path}
		if os.Getenv("E2E_RACE") == "1" {
			args = append(args, "-race")
		}
		binary.err = localtest.Go(append(args, "sinker/cmd/sinker")...)
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}

// RemoveBinary removes what Binary has built.
func RemoveBinary() {
	if binary.dir != "" {
		os.RemoveAll(binary.dir)
	}
}

// Config writes a configuration file and returns its path.
func Config(t *testing.T, yaml string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sinker.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Start starts `sinker run` with a configuration file. It is killed with the test, if it still runs then; when the test
// has failed, the end of what it printed is shown.
func Start(t *testing.T, name, config string, args ...string) *Process {
	t.Helper()
	p := &Process{Name: name, t: t, done: make(chan struct{}), log: filepath.Join(t.TempDir(), name+".log")}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(Binary(t), append([]string{"run", "-c", config, "--http", "off", "--log-format", "text"},
		args...)...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		if t.Failed() && p.Alive() == nil {
			t.Logf("%s was at this:\n%s", p.Name, p.goroutines())
		}
		p.cmd.Process.Kill()
		<-p.done
		if text := p.Log(); t.Failed() || strings.Contains(text, "DATA RACE") {
			t.Logf("the end of what %s printed:\n%s", p.Name, tail(text, 40))
			if strings.Contains(text, "DATA RACE") {
				t.Errorf("%s: the race detector found a data race", p.Name)
			}
		}
	})
	return p
}

// goroutines ends the process and returns where in sinker its goroutines were.
func (p *Process) goroutines() string {
	before := len(p.Log())
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return err.Error()
	}
	<-p.done
	var at []string
	for line := range strings.Lines(p.Log()[before:]) {
		if strings.HasPrefix(line, "goroutine ") || strings.HasPrefix(line, "sinker/internal/") {
			at = append(at, line)
		}
	}
	return strings.Join(at, "")
}

// PID returns the process id, as it stands in sinker.offsets.owner between slashes.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log returns what the process has printed so far.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Alive fails the test when the process has ended by itself.
func (p *Process) Alive() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended by itself: %w", p.Name, p.err)
	default:
		return nil
	}
}

// Kill sends SIGKILL and waits for the end.
func (p *Process) Kill() {
	p.t.Helper()
	if err := p.Alive(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd.Process.Kill()
	<-p.done
}

// Stop sends SIGTERM; the process must exit with code 0 within the time. One that has only just been started may die of
// the signal instead: until main begins nobody listens for it, and nothing has been opened or printed.
func (p *Process) Stop(within time.Duration) {
	p.t.Helper()
	if err := p.Alive(); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.t.Fatalf("%s still runs %v after SIGTERM", p.Name, within)
	}
	if p.err != nil && !(p.diedOf(syscall.SIGTERM) && p.Log() == "") {
		p.t.Errorf("%s after SIGTERM: %v, want exit code 0", p.Name, p.err)
	}
}

// diedOf says whether a process that has ended was ended by the signal.
func (p *Process) diedOf(sig syscall.Signal) bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == sig
}

// ExitCode returns the exit code of a process that has ended.
func (p *Process) ExitCode() int {
	<-p.done
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	return 0
}
