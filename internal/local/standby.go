package local

import (
	"context"
	"fmt"
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
