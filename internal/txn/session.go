package txn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ParseURL checks a connection string without dialling. The error never holds the password.
func ParseURL(url string) error {
	_, err := pgx.ParseConfig(url)
	return hidePassword(err)
}

// hidePassword drops the connection string from pgx's error: its redaction is best effort by its own words.
func hidePassword(err error) error {
	var pe *pgconn.ParseConfigError
	if errors.As(err, &pe) {
		if inner := errors.Unwrap(pe); inner != nil {
			return fmt.Errorf("cannot parse the connection string: %w", inner)
		}
		return errors.New("cannot parse the connection string")
	}
	return err
}

// Connect dials Postgres for a worker or a command. Only a server that accepts writes is taken, unless the connection
// string itself says otherwise by target_session_attrs.
func Connect(ctx context.Context, url, application string) (*pgx.Conn, error) {
	return connect(ctx, url, application, nil)
}

func connect(ctx context.Context, url, application string, lineage *Lineage) (*pgx.Conn, error) {
	cfg, err := connConfig(url, application)
	if err != nil {
		return nil, err
	}
	if writable := cfg.ValidateConnect; lineage != nil {
		cfg.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
			if err := writable(ctx, conn); err != nil {
				return err
			}
			return lineage.check(ctx, conn)
		}
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err == nil && cfg.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement && pooled(ctx, conn) {
		// A prepared statement is the server process's, and the next transaction may get another one.
		conn.Close(ctx)
		cfg.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		conn, err = pgx.ConnectConfig(ctx, cfg)
	}
	if err != nil {
		return nil, &Error{Class: classifyConnect(err), Op: "connect", Err: hidePassword(err), Hint: connectHint(err)}
	}
	return conn, nil
}

// pooled says whether a pooler answers for the server, which tells its process number when a session begins.
func pooled(ctx context.Context, conn *pgx.Conn) bool {
	var pid uint32
	err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeSimpleProtocol).Scan(&pid)
	return err == nil && pid != conn.PgConn().PID()
}

// connConfig reads a connection string and adds what every connection of sinker has.
func connConfig(url, application string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, &Error{Class: Auth, Op: "connect", Err: hidePassword(err), Hint: "see postgres.url"}
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 5 * time.Second
	}
	if cfg.ValidateConnect == nil {
		cfg.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	cfg.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 4}}).DialContext
	cfg.RuntimeParams["application_name"] = application
	// What we send, whatever the database or the role say; pgx asks for nothing. Poolers know these two.
	cfg.RuntimeParams["client_encoding"], cfg.RuntimeParams["standard_conforming_strings"] = "UTF8", "on"
	return cfg, nil
}

// session returns the store's connection, dialling when there is none or it is broken.
func (s *Store) session(ctx context.Context) (*pgx.Conn, error) {
	if s.conn != nil && !s.conn.IsClosed() {
		return s.conn, nil
	}
	s.conn = nil
	conn, err := connect(ctx, s.cfg.URL, "sinker "+s.cfg.Pipeline, s.cfg.Lineage)
	if err != nil {
		return nil, err
	}
	if err := s.learnPlanner(ctx, conn); err != nil {
		conn.Close(ctx)
		return nil, wrap("connect", "", err)
	}
	s.conn = conn
	for _, t := range s.targets {
		t.forget() // another server may have other tables
	}
	return conn, nil
}

// drop closes the connection without waiting for the server; the next use dials again.
func (s *Store) drop() {
	if s.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.conn.Close(ctx)
	s.conn = nil
}

// Close ends the connection.
func (s *Store) Close() { s.drop() }

// Connected says whether the store has a usable connection.
func (s *Store) Connected() bool { return s.conn != nil && !s.conn.IsClosed() }

// settings are set for the transaction only, by the statement that begins it: nothing of the session is relied on, so
// a transaction pooler may stand between. They bound how long an owner that is frozen, or cut off, holds an offset row
// (held by TestFrozenOwnerLetsGo): idle_in_transaction_session_timeout frees it between statements, the tcp settings
// when the network is gone, and what is frozen in the middle of a COPY or of a round trip is ended by whoever waits for
// it (endFrozen).
func (s *Store) settings(conn *pgx.Conn) (sql string) {
	ms := func(d time.Duration) string { return "'" + strconv.FormatInt(d.Milliseconds(), 10) + "'" }
	path := conn.Config().RuntimeParams["search_path"] // for triggers whose functions rely on it; we name everything in full
	sql = `SELECT set_config('search_path', ` + literal(path) + `, true), set_config('timezone', 'UTC', true)` +
		`, set_config('statement_timeout', ` + ms(s.cfg.StatementTimeout) + `, true)` +
		`, set_config('lock_timeout', ` + ms(s.cfg.LockTimeout) + `, true)` +
		`, set_config('idle_in_transaction_session_timeout', ` + ms(s.cfg.StatementTimeout) + `, true)`
	version, _ := strconv.Atoi(firstNumber(conn.PgConn().ParameterStatus("server_version")))
	if host := conn.Config().Host; host != "" && host[0] != '/' && version >= 12 {
		sql += `, set_config('tcp_user_timeout', ` + ms(s.cfg.StatementTimeout) + `, true)`
	}
	if s.cfg.SynchronousCommit != "" {
		sql += `, set_config('synchronous_commit', '` + s.cfg.SynchronousCommit + `', true)`
	}
	return sql
}

// literal quotes a string for SQL, which standard_conforming_strings makes this simple.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func firstNumber(s string) string {
	for i, c := range s {
		if c < '0' || c > '9' {
			return s[:i]
		}
	}
	return s
}
