package txn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"

	"sinker/migrations"

	"github.com/golang-migrate/migrate/v4"
	migration "github.com/golang-migrate/migrate/v4/database"
	driver "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const versionTable = "schema_migrations" // in schema sinker: never the application's own

// Migrate brings schema sinker to this binary's version and says from which to which. Two processes may do it at once:
// a session's advisory lock makes one wait, which is why it needs a direct connection and no transaction pooler.
// A schema that is newer than this binary is left alone and refused.
func Migrate(ctx context.Context, url string, log *slog.Logger) (from, to uint, err error) {
	have, want, dirty, err := SchemaVersion(ctx, url)
	switch {
	case err != nil:
		return 0, 0, err
	case have > want:
		return have, want, &Error{Class: Schema, Op: "migrate", Err: fmt.Errorf("schema sinker is at version %d, this binary knows up to %d", have, want), Hint: "run a newer sinker; nothing was changed"}
	case have == want && !dirty:
		return have, want, nil // also for a role that may not migrate
	}
	// What looks half done may be another process at work: under the lock it is known.
	m, err := newMigrate(ctx, url)
	if err != nil {
		return have, want, wrap("migrate", "", err)
	}
	defer m.Close()
	if err := m.Up(); err != nil && !errors.Is(err, migrate.ErrNoChange) {
		var half *migration.Error
		var left migrate.ErrDirty
		if errors.As(err, &left) {
			return have, want, dirtyError(uint(left.Version))
		}
		if errors.As(err, &half) {
			return have, want, &Error{Class: Schema, Op: "migrate", Err: fmt.Errorf("%w; the statement: %.300s", half.OrigErr, half.Query), Hint: "mend the cause and run `sinker migrate up` again; see also `sinker migrate --print-sql`"}
		}
		return have, want, wrap("migrate", "", err)
	}
	return have, want, nil
}

func dirtyError(version uint) error {
	return &Error{Class: Schema, Op: "migrate", Err: fmt.Errorf("migration %d of schema sinker failed half way", version),
		Hint: fmt.Sprintf("look at what migration %d left behind, then: UPDATE sinker.%s SET version = %d, dirty = false; and `sinker migrate up`", version, versionTable, max(int(version)-1, 0))}
}

// newMigrate opens golang-migrate on a connection of its own, which its Close closes.
func newMigrate(ctx context.Context, url string) (*migrate.Migrate, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, hidePassword(err)
	}
	cfg.RuntimeParams["application_name"] = "sinker migrate"
	db := stdlib.OpenDB(*cfg)
	// IF NOT EXISTS does not wait for another process that is making the schema: it fails.
	if _, err := db.ExecContext(ctx, `DO $$ BEGIN IF to_regnamespace('sinker') IS NULL THEN CREATE SCHEMA IF NOT EXISTS sinker; END IF;
		EXCEPTION WHEN unique_violation OR duplicate_schema THEN NULL; END $$`); err != nil {
		db.Close()
		return nil, err
	}
	target, err := driver.WithInstance(db, &driver.Config{MigrationsTable: versionTable, SchemaName: "sinker"})
	if err != nil {
		db.Close()
		return nil, err
	}
	source, err := iofs.New(migrations.FS, ".")
	if err != nil {
		db.Close()
		return nil, err
	}
	return migrate.NewWithInstance("iofs", source, "pgx5", target)
}

// SchemaVersion says which version schema sinker has (0: none), which one this binary wants, and whether a migration
// has failed half way.
func SchemaVersion(ctx context.Context, url string) (have, want uint, dirty bool, err error) {
	files, err := upFiles()
	if err != nil {
		return 0, 0, false, err
	}
	want = files[len(files)-1].version
	conn, err := Connect(ctx, url, "sinker migrate")
	if err != nil {
		return 0, want, false, err
	}
	defer conn.Close(ctx)
	var there bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('sinker.`+versionTable+`') IS NOT NULL`).Scan(&there); err != nil || !there {
		return 0, want, false, wrap("migrate", "", err)
	}
	err = conn.QueryRow(ctx, `SELECT version, dirty FROM sinker.`+versionTable).Scan(&have, &dirty)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, want, false, nil
	}
	return have, want, dirty, wrap("migrate", "", err)
}

type upFile struct {
	version uint
	name    string
}

// upFiles lists the migrations in order.
func upFiles() ([]upFile, error) {
	names, err := fs.Glob(migrations.FS, "*.up.sql")
	if err != nil {
		return nil, err
	}
	var files []upFile
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		v, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("migration %s has no number", name)
		}
		files = append(files, upFile{uint(v), name})
	}
	return files, nil
}

// MigrationSQL is what `migrate up` does on a fresh database, for a DBA to run with psql.
func MigrationSQL() (string, error) {
	files, err := upFiles()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("BEGIN;\n\nCREATE SCHEMA IF NOT EXISTS sinker;\n\n")
	for _, f := range files {
		sql, err := migrations.FS.ReadFile(f.name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "-- %s\n%s\n", f.name, strings.TrimSpace(string(sql))+"\n")
	}
	fmt.Fprintf(&b, "CREATE TABLE sinker.%s (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);\n", versionTable)
	fmt.Fprintf(&b, "INSERT INTO sinker.%s VALUES (%d, false);\n\nCOMMIT;\n", versionTable, files[len(files)-1].version)
	return b.String(), nil
}
