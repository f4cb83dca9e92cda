package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// bouncer is pgbouncer in transaction mode, in front of a wire to the primary.
type bouncer struct {
	wire   *wire
	port   int
	dir    string
	config string

	mu  sync.Mutex
	cmd *exec.Cmd
}

// noBouncer says why there is none.
func noBouncer() string {
	if _, err := findBouncer(); err != nil {
		return "pgbouncer is not installed (apt-get install pgbouncer)"
	}
	return ""
}

func findBouncer() (string, error) {
	if path, err := exec.LookPath("pgbouncer"); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/pgbouncer")
}

// startBouncer starts pgbouncer where it is installed and the third sinker, which uses it, is wanted.
func (st *stage) startBouncer() error {
	if noBouncer() != "" || st.options.sinkers < 3 {
		return nil
	}
	w, err := newWire()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b := &bouncer{wire: w, port: l.Addr().(*net.TCPAddr).Port, dir: filepath.Join(st.dir, "pgbouncer")}
	l.Close()
	st.bouncer = b
	if err := os.MkdirAll(b.dir, 0o777); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(w.addr())
	if err != nil {
		return err
	}
	b.config = filepath.Join(b.dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
postgres = host=%s port=%s dbname=postgres user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 6
server_login_retry = 1
server_connect_timeout = 5
server_lifetime = 60
ignore_startup_parameters = extra_float_digits,options,search_path
logfile = %s
`, host, port, b.port, filepath.Join(b.dir, "log"))
	if err := os.WriteFile(b.config, []byte(text), 0o644); err != nil {
		return err
	}
	return b.start()
}

func (b *bouncer) addr() string { return fmt.Sprintf("127.0.0.1:%d", b.port) }

// guarded runs a program that ends when standard input does, and so with this program, however that ends.
const guarded = `exec 3<&0; "$@" 3<&- </dev/null & p=$!; { read -r word <&3; kill -KILL $p; } & wait $p`

// start starts the process, which refuses to run as root, and waits until it listens.
func (b *bouncer) start() error {
	path, err := findBouncer()
	if err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", guarded, "sh", path, b.config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if _, err := cmd.StdinPipe(); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := b.asNobody(cmd); err != nil {
			return err
		}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	b.mu.Lock()
	b.cmd = cmd
	b.mu.Unlock()
	for range 100 {
		if c, err := net.Dial("tcp", b.addr()); err == nil {
			return c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("pgbouncer was started and does not listen; see pgbouncer/log")
}

func (b *bouncer) asNobody(cmd *exec.Cmd) error {
	u, err := user.Lookup("nobody")
	if err != nil {
		return err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chmod(b.dir, 0o777)
}

// kill ends it with SIGKILL.
func (b *bouncer) kill() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cmd == nil {
		return errors.New("it is not running")
	}
	err := syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL) // its whole group, the guard too
	b.cmd.Wait()
	b.cmd = nil
	return err
}

func (b *bouncer) close() {
	b.kill()
	b.wire.close()
}
