package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/PID/stat. Linux reports them in USER_HZ, which is 100 everywhere Go runs.
const tick = time.Second / 100

// procStat is what this program reads of /proc/PID/stat.
type procStat struct {
	pid, parent int
	cpu         time.Duration // user and system time of the process, and of its children that ended and were waited for
}

// parseStat reads one line of /proc/PID/stat. The command's name, in parentheses, may hold anything, parentheses too.
func parseStat(line string) (procStat, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return procStat{}, fmt.Errorf("not a /proc/PID/stat line: %q", line)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line[:open]))
	if err != nil {
		return procStat{}, fmt.Errorf("not a /proc/PID/stat line: %w", err)
	}
	f := strings.Fields(line[end+1:]) // f[0] is field 3, the state
	if len(f) < 15 {
		return procStat{}, fmt.Errorf("a short /proc/PID/stat line: %q", line)
	}
	s := procStat{pid: pid}
	if s.parent, err = strconv.Atoi(f[1]); err != nil {
		return procStat{}, err
	}
	for _, field := range f[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return procStat{}, err
		}
		s.cpu += time.Duration(n) * tick
	}
	return s, nil
}

// treeCPU is the CPU time of a process and all its descendants, those included that have ended and were waited for.
// It only grows while the root lives, so a difference of two calls is what the tree used between them. The root 0
// means "not known" (another machine, another kernel's process): the answer is 0.
func treeCPU(root int) time.Duration {
	if root == 0 {
		return 0
	}
	// A process that ends while /proc is read may be missed or counted twice, by itself and in its parent: read until
	// the same processes are seen twice in a row.
	sum, pids := readTree(root)
	for range 20 {
		again, now := readTree(root)
		if slices.Equal(pids, now) {
			return again
		}
		sum, pids = again, now
	}
	return sum
}

// readTree is one reading of a process tree: its CPU time and its processes.
func readTree(root int) (cpu time.Duration, pids []int) {
	all := map[int]procStat{}
	children := map[int][]int{}
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			continue // it has just ended
		}
		if s, err := parseStat(string(b)); err == nil {
			all[s.pid] = s
			children[s.parent] = append(children[s.parent], s.pid)
		}
	}
	for todo := []int{root}; len(todo) > 0; {
		pid := todo[0]
		todo = append(todo[1:], children[pid]...)
		cpu += all[pid].cpu
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return cpu, pids
}

// machineCPU is the time all CPUs together have spent on anything (idle and waiting for disks excluded), since boot.
func machineCPU() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	f := strings.Fields(line)
	var sum time.Duration
	for i, field := range f {
		if i == 0 || i == 4 || i == 5 || i > 8 { // "cpu", idle, iowait; guest times are inside user's
			continue
		}
		n, _ := strconv.ParseInt(field, 10, 64)
		sum += time.Duration(n) * tick
	}
	return sum
}

// peakRSS is the high-water mark of a living process' resident memory in bytes, 0 when it is not known. It is read from
// /proc and not from the ended process' rusage: that one starts from the memory of the parent that forked it.
func peakRSS(pid int) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb * 1024
		}
	}
	return 0
}

// listener is the process on this machine that listens on a TCP port, 0 when there is none that can be seen (a server
// in a container of its own network, on another machine, or of another user).
func listener(port int) int {
	inodes := map[string]bool{}
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(b), "\n") {
			if p, inode, err := parseListen(line); err == nil && p == port {
				inodes["socket:["+inode+"]"] = true
			}
		}
	}
	best := 0
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !inodes[target] {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(fd, "/")[2])
		if best == 0 || pid < best { // children inherit the socket: the parent is older
			best = pid
		}
	}
	if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", best)); strings.HasPrefix(string(comm), "docker-proxy") {
		return 0 // it only passes bytes on
	}
	return best
}

// parseListen reads a line of /proc/net/tcp: the port and the socket's inode, if the line is of a listening socket.
func parseListen(line string) (port int, inode string, err error) {
	f := strings.Fields(line)
	if len(f) < 10 || f[3] != "0A" {
		return 0, "", errors.New("not a listening socket")
	}
	_, p, ok := strings.Cut(f[1], ":")
	b, err := hex.DecodeString(p)
	if !ok || err != nil || len(b) != 2 {
		return 0, "", fmt.Errorf("not an address: %q", f[1])
	}
	return int(b[0])<<8 | int(b[1]), f[9], nil
}
