package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// serverSettings are what a started server has beside initdb's defaults: no checkpoint falls into a turn by itself, and
// commits can be timed. They are the same for everybody who is measured.
var serverSettings = []string{"shared_buffers=512MB", "max_wal_size=8GB", "checkpoint_timeout=30min", "track_commit_timestamp=on"}

// start makes a cluster with the Postgres programs that are installed, runs it, and returns its URL.
func (pg *postgres) start(ctx context.Context, e *env) (string, error) {
	initdb, pgctl := findPgBin("initdb"), findPgBin("pg_ctl")
	if initdb == "" || pgctl == "" {
		return "", errors.New("no Postgres: install its server (apt install postgresql), or give -postgres URL of a running one")
	}
	owner, err := serverOwner()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(e.dir, "postgres")
	if err := emptyDir(dir, owner); err != nil {
		return "", err
	}
	port, err := freePorts(1)
	if err != nil {
		return "", err
	}
	data := filepath.Join(dir, "data")
	if err := owner.run(ctx, initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"); err != nil {
		return "", err
	}
	opts := fmt.Sprintf("-c port=%d -c listen_addresses=127.0.0.1 -c unix_socket_directories=''", port)
	for _, s := range serverSettings {
		opts += " -c " + s
	}
	if err := owner.run(ctx, pgctl, "-D", data, "-l", filepath.Join(dir, "log"), "-o", opts, "-w", "start"); err != nil {
		return "", err
	}
	pg.how = "started, initdb's defaults but for " + strings.Join(serverSettings, " ")
	e.cleanup = append(e.cleanup, func() error {
		err := owner.run(context.Background(), pgctl, "-D", data, "-m", "fast", "-w", "stop")
		if e.keep {
			return err
		}
		return errors.Join(err, os.RemoveAll(dir))
	})
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres", port), nil
}

// account is who runs the server: Postgres refuses root.
type account struct{ credential *syscall.Credential }

// serverOwner is this process' user or, for root, user postgres or nobody.
func serverOwner() (account, error) {
	if os.Getuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return account{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
		}
	}
	return account{}, errors.New("Postgres refuses to run as root, and there is no user postgres or nobody: run this as another user, or give -postgres")
}

// run executes a program as the account. Its output goes to a file and not a pipe: pg_ctl leaves a server behind that
// would hold the pipe open.
func (a account) run(ctx context.Context, program string, args ...string) error {
	out, err := os.CreateTemp("", "sinker-bench")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, "/"
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential, Setpgid: true}
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, said)
	}
	return nil
}

// emptyDir makes an empty directory that belongs to the account.
func emptyDir(dir string, a account) error {
	if _, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid")); err == nil {
		return fmt.Errorf("a Postgres of an earlier run may still use %s: stop it (pg_ctl -D %s/data stop), or give another -dir", dir, dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if a.credential == nil {
		return nil
	}
	return os.Chown(dir, int(a.credential.Uid), int(a.credential.Gid))
}
