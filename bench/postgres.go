package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"sinker/internal/local"

	"github.com/jackc/pgx/v5"
)

// database is the database that everything happens in. It is dropped and made again by every run.
const database = "sinker_bench"

// postgres is the server under measurement.
type postgres struct {
	url     string // of the benchmark's own database
	how     string // where it came from, for the report
	pid     int    // the postmaster on this machine; 0: not known, and its CPU time is not reported
	dataDir string // where fsync is measured; empty: not this machine's
	psql    string
	conn    *pgx.Conn
}

// shown are the settings that the report states.
var shown = []string{"server_version", "shared_buffers", "max_wal_size", "checkpoint_timeout", "wal_level",
	"wal_compression", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "track_commit_timestamp"}

// openPostgres makes the benchmark's database on the given server, or on one that it starts.
func openPostgres(ctx context.Context, e *env) (*postgres, error) {
	pg := &postgres{how: "given", psql: local.FindProgram("psql")}
	server := e.postgres
	if server == "" {
		var err error
		if server, err = pg.start(ctx, e); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("-postgres must be a URL, postgres://user@host:port/database")
	}
	if err := pg.createDatabase(ctx, server); err != nil {
		return nil, err
	}
	u.Path = "/" + database
	pg.url = u.String()
	if pg.conn, err = pgx.Connect(ctx, pg.url); err != nil {
		return nil, err
	}
	e.cleanup = append(e.cleanup, func() error { return pg.conn.Close(context.Background()) })
	return pg, pg.look(ctx, u)
}

// serverSettings are what a started server has in addition to initdb's defaults: no checkpoint falls into a turn by
// itself, and commits can be timed. They are the same for everybody who is measured.
var serverSettings = map[string]string{"shared_buffers": "512MB", "max_wal_size": "8GB",
	"checkpoint_timeout": "30min", "track_commit_timestamp": "on"}

// start runs a new server with durable commits, and returns its URL.
func (pg *postgres) start(ctx context.Context, e *env) (string, error) {
	server, err := local.StartPostgres(ctx, local.PostgresOptions{Fsync: true, Settings: serverSettings})
	if err != nil {
		return "", fmt.Errorf("%w; or give -postgres URL of a running one", err)
	}
	e.cleanup = append(e.cleanup, server.Close)
	pg.how = "started, initdb's defaults but for shared_buffers, max_wal_size, checkpoint_timeout and " +
		"track_commit_timestamp"
	return server.URL("postgres"), nil
}

// createDatabase replaces what an earlier run left.
func (pg *postgres) createDatabase(ctx context.Context, server string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("Postgres does not answer: %w", err)
	}
	defer conn.Close(ctx)
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + database + " WITH (FORCE)", "CREATE DATABASE " + database,
		"CHECKPOINT"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// look makes the schema, refuses a server that may lose commits, and finds its process and data directory.
func (pg *postgres) look(ctx context.Context, u *url.URL) error {
	if err := pg.exec(ctx, "CREATE SCHEMA bench"); err != nil {
		return err
	}
	for _, name := range []string{"fsync", "synchronous_commit"} {
		if v := pg.setting(ctx, name); v != "on" {
			return fmt.Errorf("Postgres runs with %s = %s: figures without durable commits would mean nothing; set it on",
				name, v)
		}
	}
	if port, err := strconv.Atoi(u.Port()); err == nil && isLocal(u.Hostname()) {
		pg.pid = listener(port)
	}
	if dir := pg.setting(ctx, "data_directory"); pg.pid != 0 {
		if _, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err == nil {
			pg.dataDir = dir
		}
	}
	return nil
}

func (pg *postgres) exec(ctx context.Context, sql string) error {
	if _, err := pg.conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", strings.TrimSpace(sql[:min(len(sql), 100)]), err)
	}
	return nil
}

// setting is a server setting's value, empty when the user may not see it.
func (pg *postgres) setting(ctx context.Context, name string) string {
	var v string
	_ = pg.conn.QueryRow(ctx, "SELECT current_setting($1, true)", name).Scan(&v)
	return v
}

// settings are those that the report states.
func (pg *postgres) settings(ctx context.Context) map[string]string {
	m := map[string]string{}
	for _, name := range shown {
		m[name] = pg.setting(ctx, name)
	}
	return m
}

// run executes one psql command, as a user would type it.
func (pg *postgres) run(ctx context.Context, command string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, pg.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", pg.url, "-c", command)
	if out, err := cmd.CombinedOutput(); err != nil {
		return cmd, fmt.Errorf("psql -c %q: %w\n%s", command, err, out)
	}
	return cmd, nil
}
