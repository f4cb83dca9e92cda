package main

import (
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	for _, test := range []struct {
		name, line string
		want       procStat
		bad        bool
	}{
		{name: "OK", line: "42 (postgres) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3000 400 20 0 1 0 5", want: procStat{42, 7, 35200 * time.Millisecond}},
		{name: "ParenthesesInName", line: "42 (a) b (c) R 7 42 42 0 -1 4194560 1 2 3 4 1 0 0 0 20 0 1 0 5", want: procStat{42, 7, 10 * time.Millisecond}},
		{name: "ErrNoName", line: "42 postgres S 7", bad: true},
		{name: "ErrShort", line: "42 (postgres) S 7 42", bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseStat(test.line)
			if (err != nil) != test.bad {
				t.Fatalf("error %v, want one: %t", err, test.bad)
			}
			if err == nil && got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestParseListen(t *testing.T) {
	listening := "   1: 0100007F:4A94 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20651 1 0000000000000000 100 0 0 10 0"
	port, inode, err := parseListen(listening)
	if err != nil || port != 19092 || inode != "20651" {
		t.Errorf("got port %d, inode %s, error %v; want 19092, 20651", port, inode, err)
	}
	connected := "   1: 0100007F:4A94 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 20651 1 0000000000000000 100 0 0 10 0"
	if _, _, err := parseListen(connected); err == nil {
		t.Error("a connected socket was taken for a listener")
	}
}

// The test's own process is the one thing whose listener and CPU time are known.
func TestOwnProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux' /proc")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if pid := listener(l.Addr().(*net.TCPAddr).Port); pid != os.Getpid() {
		t.Errorf("listener found process %d, want %d", pid, os.Getpid())
	}
	before := treeCPU(os.Getpid())
	for deadline := time.Now().Add(30 * time.Second); treeCPU(os.Getpid()) < before+2*tick; {
		if time.Now().After(deadline) {
			t.Fatal("half a minute of work did not show in treeCPU")
		}
	}
	if rss := peakRSS(os.Getpid()); rss < 1<<20 {
		t.Errorf("peakRSS = %d bytes, want some megabytes", rss)
	}
	if treeCPU(0) != 0 {
		t.Error("treeCPU of an unknown process is not 0")
	}
}
