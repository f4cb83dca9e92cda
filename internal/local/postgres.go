// Package local keeps a Kafka and a Postgres in this process's care: for `sinker demo`, for tests and for the
// benchmark. Whatever it starts ends with the process, however that ends.
package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNoPostgres says that no Postgres server was found on this machine and none could be fetched. Nothing was started.
var ErrNoPostgres = errors.New("no Postgres server found: install one (apt-get install postgresql, brew install postgresql), put its initdb on PATH, or run as an ordinary user so that one can be fetched")

// PostgresOptions choose how a temporary server runs.
type PostgresOptions struct {
	Bin      string            // folder with initdb and postgres; empty: look for one, or fetch one
	Fsync    bool              // off, a crash of the machine loses the data; a crash of the server does not
	Settings map[string]string // any setting of postgresql.conf
	Log      io.Writer         // what the server prints; nil: a file in its folder
}

// Postgres is a temporary server, on loopback and with all its files in one temporary folder.
type Postgres struct {
	opts   PostgresOptions
	dir    string
	port   int
	cred   *credential // the unprivileged user, when this process is root
	server *exec.Cmd
	alive  io.Closer // the server's watchdog ends it when this closes
	done   chan struct{}
}

// StartPostgres makes and starts a server. Close ends it and removes its files.
func StartPostgres(ctx context.Context, opts PostgresOptions) (*Postgres, error) {
	if opts.Bin == "" {
		bin, err := FindPostgres()
		if err != nil {
			return nil, err
		}
		opts.Bin = bin
	}
	p := &Postgres{opts: opts}
	var err error
	if p.cred, err = unprivileged(); err != nil {
		return nil, err
	}
	if p.dir, err = os.MkdirTemp("", "sinker-pg-"); err != nil {
		return nil, err
	}
	if err := p.init(ctx); err != nil {
		os.RemoveAll(p.dir)
		return nil, err
	}
	if err := p.Start(ctx); err != nil {
		os.RemoveAll(p.dir)
		return nil, err
	}
	return p, nil
}

// init makes the data folder, owned by whom the server will run as.
func (p *Postgres) init(ctx context.Context) error {
	if p.cred != nil {
		if err := os.Chown(p.dir, p.cred.uid, p.cred.gid); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.opts.Bin, "initdb"), "-D", p.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	p.cred.apply(cmd)
	cmd.Dir = p.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// Start starts the server again after Stop or Kill, on the port it had.
func (p *Postgres) Start(ctx context.Context) error {
	for try := 0; ; try++ {
		err := p.start(ctx)
		if err == nil || try == 3 || ctx.Err() != nil {
			return err
		}
	}
}

func (p *Postgres) start(ctx context.Context) error {
	if p.port == 0 {
		port, err := freePort()
		if err != nil {
			return err
		}
		p.port = port
	}
	args := []string{"-D", p.data(), "-p", fmt.Sprint(p.port), "-k", p.dir, "-c", "listen_addresses=127.0.0.1", "-c", "log_line_prefix=%m [%p] "}
	if !p.opts.Fsync {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	for _, k := range slices.Sorted(maps.Keys(p.opts.Settings)) {
		args = append(args, "-c", k+"="+p.opts.Settings[k])
	}
	if err := p.launch(args); err != nil {
		return err
	}
	return p.wait(ctx)
}

// watchdog is the shell's part: it starts the server, and when its standard input closes, which the kernel does when
// this process ends, be it by SIGKILL, it ends the server and removes its files.
const watchdog = `exec 3<&0
"$@" 3<&- </dev/null & server=$!
{ read -r word <&3; touch "$DIR/orphan"; kill -QUIT $server; } 2>/dev/null & reader=$!
wait $server
[ -e "$DIR/orphan" ] && rm -rf "$DIR"
kill $reader 2>/dev/null
true`

func (p *Postgres) launch(args []string) error {
	stdin, alive, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	log := p.opts.Log
	if log == nil {
		f, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
		if err != nil {
			return err
		}
		defer f.Close()
		log = f
	}
	cmd := exec.Command("/bin/sh", append([]string{"-c", watchdog, "sh", filepath.Join(p.opts.Bin, "postgres")}, args...)...)
	cmd.Env = append(os.Environ(), "DIR="+p.dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = stdin, log, log, p.dir
	p.cred.apply(cmd)
	ownGroup(cmd) // Ctrl-C on the terminal is for us
	if err := cmd.Start(); err != nil {
		return err
	}
	p.server, p.alive, p.done = cmd, alive, make(chan struct{})
	go func(done chan struct{}) {
		cmd.Wait()
		close(done)
	}(p.done)
	return nil
}

// wait waits until the server takes connections.
func (p *Postgres) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, p.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-p.done:
			log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			p.port = 0
			return fmt.Errorf("postgres ended at once: %s", tail(log, 500))
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// URL is the superuser's connection URL of a database.
func (p *Postgres) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", p.port, database)
}

// Dir is the server's folder; its data is in data below it.
func (p *Postgres) Dir() string { return p.dir }

// Bin is the folder of the server's programs.
func (p *Postgres) Bin() string { return p.opts.Bin }

// PID is the server's first process.
func (p *Postgres) PID() (int, error) {
	text, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	var pid int
	_, err = fmt.Sscan(string(text), &pid)
	return pid, err
}

// Stop ends the server, its files stay: mode is smart, fast or immediate, as pg_ctl's.
func (p *Postgres) Stop(mode string) error {
	pid, err := p.PID()
	if err != nil {
		return err
	}
	signal, ok := stopSignals[mode]
	if !ok {
		return fmt.Errorf("no such way to stop Postgres: %s", mode)
	}
	if err := kill(pid, signal); err != nil {
		return err
	}
	<-p.done
	err = p.alive.Close()
	p.alive = nil
	return err
}

// Restart stops and starts.
func (p *Postgres) Restart(ctx context.Context, mode string) error {
	if err := p.Stop(mode); err != nil {
		return err
	}
	return p.Start(ctx)
}

// Close ends the server and removes its files.
func (p *Postgres) Close() error {
	if p.alive != nil {
		p.alive.Close()
		<-p.done
	}
	return os.RemoveAll(p.dir)
}

// FindPostgres returns the folder of the newest server's programs: on PATH, where pg_config says, or in the usual
// places. $SINKER_POSTGRES_BIN, if set, decides.
func FindPostgres() (string, error) {
	if bin := os.Getenv("SINKER_POSTGRES_BIN"); bin != "" {
		if hasServer(bin) {
			return bin, nil
		}
		return fetchPostgres()
	}
	var candidates []string
	if p, err := exec.LookPath("initdb"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			candidates = append(candidates, filepath.Dir(p))
		}
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin", "/Applications/Postgres.app/Contents/Versions/*/bin"} {
		found, _ := filepath.Glob(pattern)
		slices.SortFunc(found, func(a, b string) int { return strings.Compare(padded(b), padded(a)) })
		candidates = append(candidates, found...)
	}
	for _, bin := range candidates {
		if hasServer(bin) {
			return bin, nil
		}
	}
	return fetchPostgres()
}

// padded makes version numbers in a path sort as numbers.
func padded(s string) string {
	var b strings.Builder
	digits := ""
	for _, c := range s + "/" {
		if c >= '0' && c <= '9' {
			digits += string(c)
			continue
		}
		if digits != "" {
			b.WriteString(fmt.Sprintf("%08s", digits))
			digits = ""
		}
		b.WriteRune(c)
	}
	return b.String()
}

func hasServer(bin string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if runtime.GOOS == "windows" {
			name += ".exe"
		}
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return false
		}
	}
	return true
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func tail(b []byte, n int) string {
	if len(b) > n {
		b = b[len(b)-n:]
	}
	return strings.TrimSpace(string(b))
}
