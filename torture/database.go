package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sinker/internal/local"

	"github.com/jackc/pgx/v5"
)

// postgresSettings let a primary be cloned and crashed. fsync is off, because a process that is killed leaves its pages
// to the kernel anyway, and COMMIT does wait for the write: what a crash of the server takes is what it would take
// elsewhere.
var postgresSettings = map[string]string{
	"synchronous_commit": "on", "wal_level": "replica", "max_wal_senders": "5", "wal_keep_size": "512MB",
	"max_wal_size":   "2GB",
	"shared_buffers": "256MB", "max_connections": "60", "hot_standby_feedback": "off", "track_commit_timestamp": "on",
	"log_min_error_statement": "panic", "log_min_messages": "warning",
}

// database is a primary and its standby. The primary changes at a failover; `primary` is the wire that always leads
// to it, as a virtual address or a load balancer would, and hosts are the two servers' own wires.
type database struct {
	stage *stage
	dir   string // for the servers' logs

	// servers is held while the servers are changed: one fault at a time.
	servers sync.Mutex
	count   int // of servers ever made, for the names of their logs

	mu      sync.Mutex
	master  *local.Postgres
	replica *local.Postgres // nil: being rebuilt, or there can be none
	// history counts the moments at which the newest commits may have been lost: failovers, crashes.
	history int64
	closed  bool
}

// openDatabase starts the primary and, where it can be had, a standby.
func openDatabase(ctx context.Context, st *stage) (*database, error) {
	d := &database{stage: st, dir: st.dir}
	log, err := d.newLog()
	if err != nil {
		return nil, err
	}
	if d.master, err = local.StartPostgres(ctx, local.PostgresOptions{Settings: postgresSettings, Log: log}); err != nil {
		return nil, err
	}
	if d.cannotFailOver() == "" {
		if err := d.rebuild(ctx); err != nil {
			d.close()
			return nil, err
		}
	}
	return d, nil
}

// newLog makes the file for the next server's log.
func (d *database) newLog() (*os.File, error) {
	f, err := os.Create(filepath.Join(d.dir, fmt.Sprintf("postgres-%d.log", d.count)))
	d.count++
	return f, err
}

// cannotFailOver says why there can be no standby.
func (d *database) cannotFailOver() string {
	if _, err := os.Stat(filepath.Join(d.master.Bin(), "pg_basebackup")); err != nil {
		return "there is no pg_basebackup in the folder of the server's programs, " + d.master.Bin()
	}
	return ""
}

// rebuild makes a new standby of the primary.
func (d *database) rebuild(ctx context.Context) error {
	log, err := d.newLog()
	if err != nil {
		return err
	}
	replica, err := d.primary().Clone(ctx, log)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.replica = replica
	d.mu.Unlock()
	return nil
}

func (d *database) primary() *local.Postgres {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.master
}

func (d *database) standby() *local.Postgres {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.replica
}

// lostSome is called when the newest commits may be gone; generation tells readers.
func (d *database) lostSome() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.history++
}

func (d *database) generation() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.history
}

// url is the primary's, directly: the checker's and the operator's way.
func (d *database) url() string { return d.primary().URL("postgres") }

// address is a server's host and port.
func address(p *local.Postgres) string {
	cfg, err := pgx.ParseConfig(p.URL("postgres"))
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s:%d", cfg.Host, cfg.Port)
}

func (d *database) close() {
	d.servers.Lock()
	defer d.servers.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.closed = true
	if d.replica != nil {
		d.replica.Close()
	}
	d.master.Close()
}

// connect connects to the primary; the caller closes.
func (d *database) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(d.url() + "&application_name=torture")
	if err != nil {
		return nil, err
	}
	cfg.ConnectTimeout = 5 * time.Second
	return pgx.ConnectConfig(ctx, cfg)
}

// with runs something on a connection to the primary of its own.
func (d *database) with(ctx context.Context, do func(*pgx.Conn) error) error {
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return do(conn)
}

// exec runs statements on the primary, each in a transaction of its own.
func (d *database) exec(ctx context.Context, statements ...string) error {
	return d.with(ctx, func(c *pgx.Conn) error {
		for _, sql := range statements {
			if _, err := c.Exec(ctx, sql); err != nil {
				return fmt.Errorf("%s: %w", firstWords(sql), err)
			}
		}
		return nil
	})
}

// number asks the primary for one number.
func (d *database) number(ctx context.Context, sql string, args ...any) (n int64, err error) {
	err = d.with(ctx, func(c *pgx.Conn) error { return c.QueryRow(ctx, sql, args...).Scan(&n) })
	if err != nil {
		err = fmt.Errorf("%s: %w", firstWords(sql), err)
	}
	return n, err
}

// numberOn asks any server.
func numberOn(ctx context.Context, p *local.Postgres, sql string) (n int64, err error) {
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, sql).Scan(&n)
	return n, err
}

func execOn(ctx context.Context, p *local.Postgres, statements ...string) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", firstWords(sql), err)
		}
	}
	return nil
}

func firstWords(sql string) string { return sql[:min(len(sql), 80)] }

// progress is how far all positions have come.
const progress = `SELECT coalesce(sum(next_offset), 0)::bigint FROM sinker.offsets`

// failover makes the standby a primary after the connection between the two has been cut for a while, so that the
// newest commits are lost, and makes a new standby of nothing. It returns how many records' worth of positions were
// lost.
func (d *database) failover(ctx context.Context, lag time.Duration) (lost int64, err error) {
	old, next := d.primary(), d.standby()
	if next == nil {
		return 0, errors.New("there is no standby")
	}
	if err := d.caughtUp(ctx, old, next); err != nil {
		return 0, err
	}
	if err := execOn(ctx, next, `ALTER SYSTEM SET primary_conninfo = ''`, `SELECT pg_reload_conf()`); err != nil {
		return 0, err
	}
	wait(ctx, lag)
	// Something shall be lost; when sinker is held up by another fault, so be it.
	_ = within(ctx, 8*time.Second, func(ctx context.Context) error {
		n, err := numberOn(ctx, old, progress)
		m, err2 := numberOn(ctx, next, progress)
		if err = errors.Join(err, err2); err == nil && n <= m {
			err = errors.New("the standby is not behind")
		}
		return err
	})
	ctx = context.WithoutCancel(ctx) // from here on it must be finished
	before, err := numberOn(ctx, old, progress)
	if err != nil {
		return 0, err
	}
	if err := old.Stop("immediate"); err != nil {
		return 0, err
	}
	if err := execOn(ctx, next, `SELECT pg_promote()`); err != nil {
		return 0, err
	}
	after, err := numberOn(ctx, next, progress)
	if err != nil {
		return 0, err
	}
	d.mu.Lock()
	d.master, d.replica = next, nil
	d.history++ // not earlier: a reader may have looked at the old primary until it was stopped
	d.mu.Unlock()
	d.stage.rewire()
	old.Close()
	return before - after, nil
}

// caughtUp waits until the standby has everything the primary has now.
func (d *database) caughtUp(ctx context.Context, primary, standby *local.Postgres) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var lsn string
	conn, err := pgx.Connect(ctx, primary.URL("postgres"))
	if err != nil {
		return err
	}
	err = conn.QueryRow(ctx, `SELECT pg_current_wal_lsn()::text`).Scan(&lsn)
	conn.Close(ctx)
	if err != nil {
		return err
	}
	return until(ctx, 100*time.Millisecond, func() error {
		n, err := numberOn(ctx, standby, fmt.Sprintf(`SELECT (pg_last_wal_replay_lsn() >= '%s')::int`, lsn))
		if err == nil && n == 0 {
			err = errors.New("the standby has not caught up")
		}
		return err
	})
}
