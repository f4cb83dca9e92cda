package txn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"sinker/internal/record"

	"github.com/golang-migrate/migrate/v4"
	migration "github.com/golang-migrate/migrate/v4/database"
	driver "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	versionTable = "schema_migrations" // in schema sinker: never the application's own

	// createSchema asks before it creates, because CREATE SCHEMA IF NOT EXISTS wants the privilege
	// to create schemas also where there is nothing to create.
	createSchema = `DO $$ BEGIN IF to_regnamespace('sinker') IS NULL THEN CREATE SCHEMA sinker; END IF; END $$;`

	migrationLock = 0x73696e6b6572 // "sinker": the advisory lock of whoever migrates
)

// Migrate brings schema sinker to this binary's version, and returns the versions before and after.
// It may be killed at any point, and several processes may run it at once: one migrates, and the
// others wait for it until ctx ends. It refuses a schema that is newer than this binary, and a
// transaction pooler, because the others wait for the lock of a session. When a migration fails,
// nothing of it is left, and the ones before it stay.
func Migrate(ctx context.Context, url string, log *slog.Logger) (from, to uint, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	have, want, dirty, err := SchemaVersion(ctx, url)
	switch {
	case err != nil:
		return 0, 0, err
	case have > want:
		return have, want, newerError(have, want)
	case have == want && !dirty:
		return have, want, nil // also for a role that may not migrate
	}
	if transactionPooler(ctx, url) {
		return have, want, poolerError()
	}
	m, err := lockMigrations(ctx, url, log)
	if err != nil {
		return have, want, wrap(record.StepMigrate, "", err)
	}
	defer m.unlock()
	from, err = m.run(ctx, want)
	return from, want, err
}

func poolerError() error {
	return &Error{Class: Schema, Step: record.StepMigrate,
		Err: errors.New("the connection goes through a transaction pooler, where two processes could migrate at once"),
		Hint: "give the server's own address as postgres.migrate_url, or to `sinker migrate up --to URL`; nothing was " +
			"changed"}
}

func newerError(have, want uint) error {
	return &Error{Class: Schema, Step: record.StepMigrate, Hint: "run a newer sinker; nothing was changed",
		Err: fmt.Errorf("schema sinker is at version %d, this binary knows up to %d", have, want)}
}

// migrator holds the lock of the process that migrates. golang-migrate's own lock is not enough:
// its wait cannot be cancelled and gives up after 15 s, and it does not cover the repair after a
// killed process.
type migrator struct {
	url  string
	log  *slog.Logger
	conn *pgx.Conn // its session holds the lock
}

func lockMigrations(ctx context.Context, url string, log *slog.Logger) (*migrator, error) {
	conn, err := Connect(ctx, url, "sinker migrate")
	if err != nil {
		return nil, err
	}
	m := &migrator{url, log, conn}
	var free bool
	err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, migrationLock).Scan(&free)
	if err == nil && !free {
		log.Info("another process is migrating schema sinker; waiting for it")
		if _, err = conn.Exec(ctx, `SET statement_timeout = 0; SET lock_timeout = 0`); err == nil {
			_, err = conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, migrationLock)
		}
	}
	if err != nil {
		m.unlock()
		return nil, err
	}
	return m, nil
}

// unlock ends the session, and the lock with it.
func (m *migrator) unlock() { m.conn.Close(context.Background()) }

// run migrates under the lock, from what the version table says now.
func (m *migrator) run(ctx context.Context, want uint) (from uint, err error) {
	if _, err := m.conn.Exec(ctx, createSchema); err != nil {
		return 0, wrap(record.StepMigrate, "", err)
	}
	if _, err := m.settle(ctx); err != nil {
		return 0, wrap(record.StepMigrate, "", err)
	}
	have, _, err := readVersion(ctx, m.conn)
	if err != nil || have == want {
		return have, wrap(record.StepMigrate, "", err)
	}
	if have > want {
		return have, newerError(have, want)
	}
	if err := m.up(ctx); err != nil {
		failed, settleErr := m.settle(context.WithoutCancel(ctx))
		if settleErr != nil {
			m.log.Warn("the version table still names the migration that failed; the next `sinker migrate up` corrects that",
				"err", settleErr)
		}
		return have, migrationError(failed, err)
	}
	return have, wrap(record.StepMigrate, "", ctx.Err())
}

// settle removes the mark of a migration that did not finish, and returns its number. The mark is
// set before a migration and cleared in its transaction (upfiles.go). If it is there and nobody
// holds the lock, the migration was rolled back.
func (m *migrator) settle(ctx context.Context) (failed uint, err error) {
	have, dirty, err := readVersion(ctx, m.conn)
	if err != nil || !dirty {
		return 0, err
	}
	m.log.Warn("a migration of schema sinker was interrupted; nothing of it is left", "version", have)
	before, err := versionBefore(have)
	if err != nil {
		return have, err
	}
	if before == 0 {
		_, err = m.conn.Exec(ctx, `DELETE FROM sinker.`+versionTable+` WHERE dirty`)
	} else {
		_, err = m.conn.Exec(ctx, `UPDATE sinker.`+versionTable+` SET version = $1, dirty = false WHERE dirty`, before)
	}
	return have, err
}

// up runs golang-migrate on a connection of its own. When ctx ends it stops after the migration
// under way.
func (m *migrator) up(ctx context.Context) error {
	cfg, err := connConfig(m.url, "sinker migrate")
	if err != nil {
		return err
	}
	g, err := newMigrate(cfg)
	if err != nil {
		return err
	}
	defer g.Close()
	defer context.AfterFunc(ctx, func() { g.GracefulStop <- true })()
	if err := g.Up(); !errors.Is(err, migrate.ErrNoChange) {
		return err
	}
	return nil
}

// newMigrate opens golang-migrate; its Close closes the connections.
func newMigrate(cfg *pgx.ConnConfig) (*migrate.Migrate, error) {
	files, err := openUpFiles()
	if err != nil {
		return nil, err
	}
	// A preset of the role or the database must not end a migration between two statements.
	db := stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		sql := "SET idle_in_transaction_session_timeout = 0"
		if serverVersion(conn) >= 17 {
			sql += "; SET transaction_timeout = 0"
		}
		_, err := conn.Exec(ctx, sql)
		return err
	}))
	target, err := driver.WithInstance(db, &driver.Config{MigrationsTable: versionTable, SchemaName: "sinker"})
	if err != nil {
		db.Close()
		return nil, err
	}
	return migrate.NewWithInstance("iofs", files, "pgx5", target)
}

// migrationError says which migration failed, where, and what to do. failed is 0 when it was none
// of them.
func migrationError(failed uint, err error) error {
	query, cause := driverError(err)
	var pe *pgconn.PgError
	if failed == 0 || !errors.As(cause, &pe) {
		return wrap(record.StepMigrate, "", cause)
	}
	msg := "migration " + upFileName(failed)
	if s := statementAt(query, int(pe.Position)); s != "" {
		msg += ", at " + s
	}
	next := "it ran in one transaction, so nothing of it is left; fix the cause and run `sinker migrate up` again"
	switch pe.Code {
	case pgerrcode.DuplicateSchema, pgerrcode.DuplicateTable, pgerrcode.DuplicateColumn, pgerrcode.DuplicateObject:
		// something of that name exists
		next = fmt.Sprintf("it was rolled back. Drop what is in its way. Or, if somebody already created by hand all "+
			"that this migration "+
			"creates: %s Then run `sinker migrate up` again", setVersion(failed))
	case pgerrcode.InsufficientPrivilege:
		next = "nothing of it is left; run `sinker migrate up --to URL` as a role that may, or give a DBA the output of " +
			"`sinker migrate --print-sql`"
	}
	return &Error{Class: classify(cause), Step: record.StepMigrate, Part: msg, Err: cause, Hint: next}
}

// driverError unwraps golang-migrate's error, which has no Unwrap and comes as a value or as a
// pointer.
func driverError(err error) (query string, cause error) {
	var byValue migration.Error
	var byPointer *migration.Error
	switch {
	case errors.As(err, &byPointer) && byPointer.OrigErr != nil:
		return string(byPointer.Query), byPointer.OrigErr
	case errors.As(err, &byValue) && byValue.OrigErr != nil:
		return string(byValue.Query), byValue.OrigErr
	}
	return "", err
}

// statementAt returns the statement that holds a position, as Postgres counts them: in characters,
// from 1. It is empty where Postgres gave none.
func statementAt(sql string, position int) string {
	chars := []rune(sql)
	if position < 1 || position > len(chars) {
		return ""
	}
	before, after := string(chars[:position-1]), string(chars[position-1:])
	if i := strings.LastIndex(before, ";\n"); i >= 0 {
		before = before[i+2:]
	}
	after, _, _ = strings.Cut(after, ";\n")
	statement := strings.Join(strings.Fields(before+after), " ")
	if len(statement) > 300 {
		statement = strings.ToValidUTF8(statement[:300], "") + " …"
	}
	return statement
}
