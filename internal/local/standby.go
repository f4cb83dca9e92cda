package local

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Standby makes a streaming standby of the server, which is stopped for the copy and started again. Close ends the
// standby as any server; SELECT pg_promote() makes a primary of it.
func (p *Postgres) Standby(ctx context.Context) (*Postgres, error) {
	s := &Postgres{opts: p.opts, cred: p.cred}
	var err error
	if s.dir, s.remove, err = tempDir(place(p.cred), "sinker-pg-"); err != nil {
		return nil, err
	}
	if err = p.copyTo(ctx, s); err == nil {
		err = s.Start(ctx)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("make a standby: %w", err)
	}
	return s, nil
}

// copyTo copies the files of the stopped server.
func (p *Postgres) copyTo(ctx context.Context, s *Postgres) error {
	if err := p.Stop("fast"); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "cp", "-a", p.data(), s.data()).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the data folder: %w: %s", err, tail(out, 500))
	}
	conf := fmt.Sprintf("primary_conninfo = 'host=127.0.0.1 port=%d user=postgres sslmode=disable'\n", p.port)
	for name, text := range map[string]string{"standby.signal": "", "postgresql.auto.conf": conf} {
		path := filepath.Join(s.data(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
		if p.cred != nil {
			if err := os.Chown(path, p.cred.uid, p.cred.gid); err != nil {
				return err
			}
		}
	}
	if p.cred != nil {
		if err := os.Chown(s.dir, p.cred.uid, p.cred.gid); err != nil {
			return err
		}
	}
	return p.Start(ctx)
}

// Clone makes a streaming standby while the server runs, by pg_basebackup, which not every installation has. Its log
// goes to log, if that is not nil.
func (p *Postgres) Clone(ctx context.Context, log io.Writer) (*Postgres, error) {
	s := &Postgres{opts: p.opts, cred: p.cred}
	s.opts.Log = log
	var err error
	if s.dir, s.remove, err = tempDir(place(p.cred), "sinker-pg-"); err != nil {
		return nil, err
	}
	if err = p.backupTo(ctx, s); err == nil {
		err = s.Start(ctx)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("make a standby: %w", err)
	}
	return s, nil
}

func (p *Postgres) backupTo(ctx context.Context, s *Postgres) error {
	if p.cred != nil {
		if err := os.Chown(s.dir, p.cred.uid, p.cred.gid); err != nil {
			return err
		}
	}
	from := fmt.Sprintf("host=127.0.0.1 port=%d user=postgres sslmode=disable", p.port)
	cmd := exec.CommandContext(ctx, filepath.Join(p.opts.Bin, "pg_basebackup"), "-D", s.data(), "-d", from, "-R", "-X",
		"stream", "-c", "fast", "--no-sync")
	p.cred.apply(cmd)
	ownGroup(cmd)
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, tail(out, 500))
	}
	return nil
}
