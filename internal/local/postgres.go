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
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresOptions choose how a temporary server runs.
type PostgresOptions struct {
	Bin      string            // folder with initdb and postgres; empty: FindPostgres, else FetchPostgres
	Fsync    bool              // off, a crash of the machine loses the data; a crash of the server does not
	Settings map[string]string // any setting of postgresql.conf
	Log      io.Writer         // what the server prints; nil: the file log in its folder
}

// Postgres is a temporary server, on loopback and with all its files in one temporary folder. Its methods must not be
// called at the same time.
type Postgres struct {
	opts    PostgresOptions
	dir     string
	remove  func()      // removes dir
	port    int         // 0: not chosen yet
	settled bool        // the server has answered on port, so it is kept
	cred    *credential // the unprivileged user, when this process is root
	server  *guarded    // nil: stopped
}

// StartPostgres makes and starts a server. Close ends it and removes its files; so does the end of this process. The
// error is ErrNoPostgres where no server's programs can be had. When ctx ends first, nothing is left behind.
func StartPostgres(ctx context.Context, opts PostgresOptions) (*Postgres, error) {
	if opts.Bin == "" {
		bin, err := FindPostgres()
		if errors.Is(err, ErrNoPostgres) {
			bin, err = FetchPostgres()
		}
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
	if p.dir, p.remove, err = tempDir(place(p.cred), "sinker-pg-"); err != nil {
		return nil, err
	}
	if err = p.init(ctx); err == nil {
		err = p.Start(ctx)
	}
	if err != nil {
		p.Close()
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
	var out bytes.Buffer
	initdb, err := guard(p.dir, p.cred, &out, filepath.Join(p.opts.Bin, "initdb"), "-D", p.data(), "-U", "postgres",
		"-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	if err != nil {
		return err
	}
	select {
	case <-initdb.done:
		initdb.end()
	case <-ctx.Done():
		initdb.end()
		return ctx.Err()
	}
	if initdb.err != nil {
		return fmt.Errorf("initdb: %w: %s", initdb.err, tail(out.Bytes(), 500))
	}
	return nil
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// Start starts the server again after Stop, on the port it had.
func (p *Postgres) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for try := 0; ; try++ {
		if p.port == 0 {
			port, err := FreePort()
			if err != nil {
				return err
			}
			p.port = port
		}
		err := p.start(ctx)
		if err == nil {
			p.settled = true
			return nil
		}
		if p.server != nil {
			p.server.end()
			p.server = nil
		}
		if !p.settled {
			p.port = 0 // it may be somebody else's by now
		}
		// A server that was killed leaves processes that need a moment to notice; until then a new one refuses to start.
		if try == 3 && !p.settled || try == 50 || wait(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

// start launches the server and waits until it takes connections.
func (p *Postgres) start(ctx context.Context) error {
	log := p.opts.Log
	if log == nil {
		f, err := os.OpenFile(p.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
		if err != nil {
			return err
		}
		defer f.Close()
		log = f
	}
	var err error
	if p.server, err = guard(p.dir, p.cred, log, filepath.Join(p.opts.Bin, "postgres"), p.args()...); err != nil {
		return err
	}
	for {
		conn, err := pgx.Connect(ctx, p.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-p.server.done:
			text, _ := os.ReadFile(p.log())
			return fmt.Errorf("Postgres ended as soon as it was started: %s", tail(text, 500))
		default:
		}
		if wait(ctx, 10*time.Millisecond) != nil {
			return fmt.Errorf("Postgres was started and does not answer: %w", err)
		}
	}
}

func (p *Postgres) log() string { return filepath.Join(p.dir, "log") }

func (p *Postgres) args() []string {
	socket := p.dir
	if len(socket) > 85 { // the address of a Unix socket has 103 bytes at most on some systems
		socket = ""
	}
	args := []string{"-D", p.data(), "-p", fmt.Sprint(p.port), "-k", socket, "-c", "listen_addresses=127.0.0.1", "-c",
		"log_line_prefix=%m [%p] "}
	if !p.opts.Fsync {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	for _, k := range slices.Sorted(maps.Keys(p.opts.Settings)) {
		args = append(args, "-c", k+"="+p.opts.Settings[k])
	}
	return args
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

// Stop ends the server, its files stay: mode is smart, fast or immediate, as pg_ctl's, or kill, which is SIGKILL for
// its first process.
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
	<-p.server.done
	p.server.end()
	p.server = nil
	return nil
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
	if p.server != nil {
		p.server.end()
		p.server = nil
	}
	p.remove()
	return os.RemoveAll(p.dir)
}

// FreePort is a TCP port of 127.0.0.1 that nothing listens on now.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// wait waits for d, or returns ctx's error if that ends first.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func tail(b []byte, n int) string {
	if len(b) > n {
		b = b[len(b)-n:]
	}
	return strings.TrimSpace(string(b))
}
