//go:build !nodemo

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"sinker/internal/demo"
	"sinker/internal/local/localtest"
)

// The demonstration starts this program as its loader, and in a test that is the test's binary.
func TestMain(m *testing.M) {
	if os.Getenv("SINKER_TEST_IS_SINKER") != "" {
		main()
	}
	os.Exit(m.Run())
}

// demoResult runs the demonstration and reads its last line.
func demoResult(t *testing.T, args ...string) (p demo.Result, code int, said string) {
	t.Helper()
	t.Setenv("SINKER_TEST_IS_SINKER", "1")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var stdout, stderr lockedBuffer
	code = run(ctx, append([]string{"demo", "--json", "--postgres", localtest.Database(t)}, args...), &stdout, &stderr)
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	if last := lines[len(lines)-1]; code == exitOK || strings.HasPrefix(last, "{") {
		if err := json.Unmarshal([]byte(last), &p); err != nil {
			t.Fatalf("the last line of stdout is not the result: %v\n%s", err, stdout.String())
		}
	}
	return p, code, stderr.String()
}

func TestDemo(t *testing.T) {
	t.Run("Orders", func(t *testing.T) {
		p, code, said := demoResult(t, "--rows", "60000", "--kills", "3")
		if code != exitOK || p.Rows != 60000 || p.Kills != 3 || p.Lost+p.Duplicated+p.Changed+p.DeadLetters != 0 {
			t.Errorf("exit code %d, %+v\n%s", code, p, said)
		}
	})

	t.Run("Lines", func(t *testing.T) {
		file := t.TempDir() + "/in.jsonl"
		text := bytes.Repeat([]byte("{\"id\":1,\"name\":\"é\"}\nnot json\n{\"id\":2}\n"), 2000)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		p, code, said := demoResult(t, "--in", file, "--kills", "1")
		if code != exitOK || p.Produced != 6000 || p.Rows != 4000 || p.DeadLetters != 2000 || p.Kills != 1 {
			t.Errorf("exit code %d, %+v\n%s", code, p, said)
		}
	})

	t.Run("NoServer", func(t *testing.T) {
		var stdout, stderr lockedBuffer
		code := run(context.Background(), []string{"demo", "--postgres", "postgres://nobody@" + deadPort(t) + "/x"}, &stdout, &stderr)
		if code != exitUnavailable {
			t.Errorf("exit code %d, want %d\n%s", code, exitUnavailable, stderr.String())
		}
	})
}
