//go:build unix

package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestConfigurationIsAPipe: a command whose configuration is a pipe that nobody writes into ends when it is told to.
func TestConfigurationIsAPipe(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "sinker.yaml")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]int{"run": exitOK, "run --until-end": exitFailed, "check": exitFailed, "check --offline": exitFailed, "status": exitFailed,
		"verify": exitFailed, "offsets list": exitFailed, "offsets adopt --topic t --partition 0": exitFailed, "migrate up": exitFailed, "migrate down --to 1": exitFailed, "ready": exitFailed} {
		ctx, cancel := context.WithCancel(t.Context())
		var errors lockedBuffer
		code := make(chan int, 1)
		go func() { code <- run(ctx, append(strings.Fields(command), "-c", fifo), io.Discard, &errors) }()
		cancel()
		select {
		case c := <-code:
			if c != want {
				t.Errorf("%s: exit code %d, want %d: %s", command, c, want, errors.String())
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s goes on", command)
		}
	}
}
