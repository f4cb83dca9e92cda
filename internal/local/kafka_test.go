package local

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A node is killed, started and frozen, and in the end nothing stays.
func TestKafka(t *testing.T) {
	if testing.Short() {
		t.Skip("Java machines take their time; left out with -short")
	}
	if os.Getenv("CI") == "" && !KafkaAtHand() {
		t.Skip("no KAFKA_HOME, and no jars in the cache yet: `go run ./torture` fetches them, a test should not")
	}
	ctx := context.Background()
	k, err := StartKafka(ctx, KafkaOptions{Heap: "256m", Extra: [][]string{{"127.0.0.1:9"}}})
	if errors.Is(err, ErrNoKafka) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	answers := func(addr string) bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	node := k.Nodes[0]
	if err := node.Stop("kill"); err != nil {
		t.Fatal(err)
	}
	if answers(node.Addr()) {
		t.Error("it was killed, and still answers")
	}
	if err := node.Stop("kill"); err == nil {
		t.Error("stopped twice")
	}
	if err := node.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if !answers(node.Addr()) || !answers(node.Listener(0)) {
		t.Error("it was started again, and does not answer on both listeners")
	}
	if err := node.Signal(syscall.SIGSTOP); err != nil { // Close ends a frozen one too
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	for _, n := range k.Nodes {
		if answers(n.Addr()) || !gone(filepath.Dir(n.Data())) {
			t.Errorf("node %d is still there", n.ID)
		}
	}
}

func TestNoKafka(t *testing.T) {
	t.Run("NoJava", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		if _, err := FindKafka(); !errors.Is(err, ErrNoKafka) || !strings.Contains(err.Error(), "Java") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("WrongHome", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "java"), nil, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir)
		t.Setenv("KAFKA_HOME", dir)
		if _, err := FindKafka(); err == nil || !strings.Contains(err.Error(), "KAFKA_HOME") {
			t.Errorf("error %v", err)
		}
	})
}
