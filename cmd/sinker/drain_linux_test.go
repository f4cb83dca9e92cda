package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"sinker/internal/local/await"

	"golang.org/x/sys/unix"
)

// TestNobodyReadsTheLog: a process whose standard error is a pipe that nobody reads, or whose reader is gone, loads,
// answers, and ends when it is told to.
func TestNobodyReadsTheLog(t *testing.T) {
	for _, reader := range []string{"stuck", "gone"} {
		for _, format := range []string{"text", "json"} {
			t.Run(reader+"/"+format, func(t *testing.T) { nobodyReads(t, reader, format) })
		}
	}
}

func nobodyReads(t *testing.T, reader, format string) {
	s := newStage(t, ordersSink)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if _, err := unix.FcntlInt(write.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	at := deadPort(t)
	cmd := exec.Command(self, "run", "-c", s.file, "--http", at, "--log-level", "debug", "--log-format", format)
	cmd.Env = append(os.Environ(), "SINKER_TEST_IS_SINKER=1")
	cmd.Stderr = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	write.Close()
	if reader == "gone" {
		read.Close()
	}
	loaded := func(n int) func() bool {
		return func() bool {
			return s.one(`SELECT to_regclass('orders') IS NOT NULL`) == "true" && s.one(`SELECT count(*) FROM orders`) == fmt.Sprint(n)
		}
	}
	s.produce(values(`{"id":1}`)...)
	s.eventually("the first row", loaded(1))
	if reader == "stuck" {
		await.Until(t, "a full pipe", func() bool {
			n, err := unix.IoctlGetInt(int(read.Fd()), unix.TIOCINQ)
			return err == nil && n > 4096-1000
		})
	}
	s.produce(values(`{"id":2}`, `{"id":3}`)...)
	s.eventually("rows after the pipe was full", loaded(3))
	for _, path := range []string{"/livez", "/readyz"} {
		await.Until(t, path, func() bool {
			resp, err := http.Get("http://" + at + path)
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer late.Stop()
	if err := cmd.Wait(); err != nil {
		t.Errorf("told to stop, it ended with: %v", err)
	}
}
