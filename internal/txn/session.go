package txn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"sinker/internal/record"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ParseURL checks a connection string without dialling. The error never holds the password.
func ParseURL(url string) error {
	_, err := pgx.ParseConfig(url)
	return hidePassword(err)
}

// hidePassword drops the connection string from pgx's error. pgx documents its own redaction as
// best effort.
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

// Connect dials Postgres for a command. It takes only a server that accepts writes, unless
// target_session_attrs in the connection string says otherwise.
func Connect(ctx context.Context, url, application string) (*pgx.Conn, error) {
	conn, err := connect(ctx, url, application, nil)
	return conn, wrongPort(ctx, url, err)
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
	return openSession(ctx, cfg)
}

// ConnectToRead is Connect for a command that only reads: it takes a standby where no server
// accepts writes. What it reads there may be behind.
func ConnectToRead(ctx context.Context, url, application string) (*pgx.Conn, error) {
	conn, err := Connect(ctx, url, application)
	if !errors.Is(err, pgconn.ErrReadOnlyConnection) {
		return conn, err
	}
	cfg, err := connConfig(url, application)
	if err != nil {
		return nil, err
	}
	cfg.ValidateConnect = nil
	return openSession(ctx, cfg)
}

// openSession dials, and arranges for a pooler between sinker and the server. Its errors are *Error
// with a hint.
func openSession(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := dial(ctx, cfg)
	if err == nil && cfg.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement && pooled(ctx, conn) {
		// A prepared statement belongs to a server process, and the next transaction may get
		// another one.
		conn.Close(ctx)
		cfg.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		conn, err = dial(ctx, cfg)
	}
	if err != nil {
		return nil, &Error{Class: classifyConnect(err), Step: record.StepConnect, Err: hidePassword(err),
			Hint: connectHint(err)}
	}
	return conn, nil
}

// pooled says whether a pooler stands between: a server tells its process number when a session
// begins.
func pooled(ctx context.Context, conn *pgx.Conn) bool {
	var pid uint32
	err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeSimpleProtocol).Scan(&pid)
	return err == nil && pid != conn.PgConn().PID()
}

// connConfig reads a connection string and adds the settings of every connection of sinker.
func connConfig(url, application string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, &Error{Class: Auth, Step: record.StepConnect, Err: hidePassword(err), Hint: "see postgres.url"}
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 5 * time.Second
	}
	if cfg.ValidateConnect == nil {
		cfg.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	alive := net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 4}
	cfg.DialFunc = (&net.Dialer{KeepAliveConfig: alive}).DialContext
	cfg.RuntimeParams["application_name"] = application
	// sinker sends text in this form, whatever the database or the role presets. pgx sets neither.
	// Poolers know both.
	cfg.RuntimeParams["client_encoding"], cfg.RuntimeParams["standard_conforming_strings"] = "UTF8", "on"
	return cfg, nil
}

// session returns the store's connection, dialling when there is none or it is broken.
func (s *Store) session(ctx context.Context) (*pgx.Conn, error) {
	if s.conn != nil && !s.conn.IsClosed() {
		return s.conn, nil
	}
	s.conn = nil
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.learnPlanner(ctx, conn); err != nil {
		conn.Close(ctx)
		return nil, wrap(record.StepConnect, "", err)
	}
	s.conn = conn
	s.pipe.forget()
	for _, t := range s.targets {
		t.forget() // another server may have other tables
	}
	return conn, nil
}

func (s *Store) connect(ctx context.Context) (*pgx.Conn, error) {
	if s.cfg.OnlyReads {
		return ConnectToRead(ctx, s.cfg.URL, "sinker "+s.cfg.Pipeline)
	}
	return connect(ctx, s.cfg.URL, "sinker "+s.cfg.Pipeline, s.cfg.Lineage)
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

// settings is the statement that begins a transaction's settings. They hold for the transaction
// only, so a transaction pooler may stand between. They bound how long an owner that is frozen or
// cut off holds an offset row (TestFrozenOwnerLetsGo): idle_in_transaction_session_timeout frees
// the row between statements, tcp_user_timeout frees it when the network is gone. A backend that is
// frozen in the middle of a COPY or of a round trip is ended by whoever waits for it (endFrozen).
func (s *Store) settings(conn *pgx.Conn) (sql string) {
	ms := func(d time.Duration) string { return "'" + strconv.FormatInt(d.Milliseconds(), 10) + "'" }
	// for triggers that rely on it; sinker's own SQL names everything in full
	path := conn.Config().RuntimeParams["search_path"]
	sql = `SELECT set_config('search_path', ` + literal(path) + `, true), set_config('timezone', 'UTC', true)` +
		`, set_config('statement_timeout', ` + ms(s.cfg.StatementTimeout) + `, true)` +
		`, set_config('lock_timeout', ` + ms(s.cfg.LockTimeout) + `, true)` +
		`, set_config('idle_in_transaction_session_timeout', ` + ms(s.cfg.StatementTimeout) + `, true)`
	version := serverVersion(conn)
	if version >= 17 {
		sql += `, set_config('transaction_timeout', '0', true)` // a batch is bounded by its statements, and may have many
	}
	if host := conn.Config().Host; host != "" && host[0] != '/' && version >= 12 {
		sql += `, set_config('tcp_user_timeout', ` + ms(s.cfg.StatementTimeout) + `, true)`
	}
	if s.cfg.SynchronousCommit != "" {
		sql += `, set_config('synchronous_commit', '` + s.cfg.SynchronousCommit + `', true)`
	}
	return sql
}

// serverVersion is the number of the server's major version.
func serverVersion(conn *pgx.Conn) int {
	version, _ := strconv.Atoi(firstNumber(conn.PgConn().ParameterStatus("server_version")))
	return version
}

// patience bounds how long a transaction outside of the loop may wait for sinker between two
// statements.
const patience = "1min"

// beginPatiently begins a transaction outside of the loop. A preset of the role or the database for
// idle transactions, or for how long a transaction may take, would end it between two of its
// statements; so both are set in the message that begins it.
func beginPatiently(conn *pgx.Conn, options string) string {
	sql := "BEGIN" + options + "; SET LOCAL idle_in_transaction_session_timeout = '" + patience + "'; "
	if serverVersion(conn) >= 17 {
		sql += "SET LOCAL transaction_timeout = 0; "
	}
	return sql
}

// inTransaction runs f in a transaction that beginPatiently begins.
func inTransaction(ctx context.Context, conn *pgx.Conn, options string, f func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{BeginQuery: beginPatiently(conn, options)}, f)
}

// literal quotes a string for SQL. It relies on standard_conforming_strings, which every connection
// sets.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func firstNumber(s string) string {
	for i, c := range s {
		if c < '0' || c > '9' {
			return s[:i]
		}
	}
	return s
}
