package txn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"sinker/internal/record"
	"sinker/migrations"

	"github.com/golang-migrate/migrate/v4/source"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
)

// SchemaVersion says which version schema sinker has (0: none), which one this binary wants, and whether a migration is
// under way, or was cut off: Migrate finds out which, and goes on.
func SchemaVersion(ctx context.Context, url string) (have, want uint, dirty bool, err error) {
	files, err := listUpFiles()
	if err != nil {
		return 0, 0, false, err
	}
	want = files[len(files)-1].version
	conn, err := Connect(ctx, url, "sinker migrate")
	if err != nil {
		return 0, want, false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	have, dirty, err = readVersion(ctx, conn)
	return have, want, dirty, wrap(record.StepMigrate, "", err)
}

// readVersion works through any pooler: its statements are not prepared.
func readVersion(ctx context.Context, conn *pgx.Conn) (version uint, dirty bool, err error) {
	var there bool
	err = conn.QueryRow(ctx, `SELECT to_regclass('sinker.`+versionTable+`') IS NOT NULL`,
		pgx.QueryExecModeSimpleProtocol).Scan(&there)
	if err != nil || !there {
		return 0, false, err
	}
	err = conn.QueryRow(ctx, `SELECT version, dirty FROM sinker.`+versionTable,
		pgx.QueryExecModeSimpleProtocol).Scan(&version, &dirty)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, nil
	}
	return version, dirty, err
}

type upFile struct {
	version uint
	name    string
}

// listUpFiles lists the migrations in order.
func listUpFiles() ([]upFile, error) {
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

func upFileName(version uint) string {
	files, _ := listUpFiles()
	for _, f := range files {
		if f.version == version {
			return f.name
		}
	}
	return strconv.FormatUint(uint64(version), 10)
}

// versionBefore is the version of the migration before this one; 0 before the first.
func versionBefore(version uint) (before uint, err error) {
	files, err := listUpFiles()
	for _, f := range files {
		if f.version < version {
			before = f.version
		}
	}
	return before, err
}

// upFiles are the embedded migrations as golang-migrate reads them.
type upFiles struct{ source.Driver }

func openUpFiles() (source.Driver, error) {
	files, err := iofs.New(migrations.FS, ".")
	return upFiles{files}, err
}

// ReadUp adds one statement to a migration. golang-migrate marks the version dirty, sends the file as one query, which
// Postgres runs as one transaction, and clears the mark. Clearing it in that transaction too leaves no moment at which
// a killed process leaves it open whether the migration was done: dirty means that it was not.
// (So no migration can hold what refuses to run in a transaction, such as CREATE INDEX CONCURRENTLY.)
func (f upFiles) ReadUp(version uint) (io.ReadCloser, string, error) {
	r, name, err := f.Driver.ReadUp(version)
	if err != nil {
		return nil, name, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(r, strings.NewReader("\n;\nUPDATE sinker."+versionTable+" SET dirty = false;\n")), r}, name, nil
}

// MigrationSQL is what `migrate up` does, in one transaction, for a DBA to run with psql: on a database without schema
// sinker for from 0, or on one at version from. On any other it raises an exception and changes nothing.
func MigrationSQL(from uint) (string, error) {
	files, err := listUpFiles()
	if err != nil {
		return "", err
	}
	last := files[len(files)-1].version
	var b strings.Builder
	fmt.Fprintf(&b, "-- Schema sinker, version %d to %d. Run it with: psql -v ON_ERROR_STOP=1 -f FILE\nBEGIN;\n\n", from,
		last)
	if from == 0 {
		fmt.Fprintf(&b, guardNone, versionTable)
		b.WriteString(createSchema + "\n")
		fmt.Fprintf(&b, "CREATE TABLE sinker.%s (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);\n\n",
			versionTable)
	} else {
		fmt.Fprintf(&b, guardVersion, versionTable, from)
	}
	known := from == 0
	for _, f := range files {
		known = known || f.version == from
		if f.version <= from {
			continue
		}
		sql, err := migrations.FS.ReadFile(f.name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "-- %s\n%s\n\n", f.name, strings.TrimSpace(string(sql)))
	}
	if !known {
		return "", fmt.Errorf("there is no migration %d: this binary knows 1 to %d", from, last)
	}
	b.WriteString(setVersion(last) + "\n\nCOMMIT;\n")
	return b.String(), nil
}

// setVersion is the SQL that writes a version down.
func setVersion(version uint) string {
	return fmt.Sprintf("DELETE FROM sinker.%[1]s; INSERT INTO sinker.%[1]s VALUES (%[2]d, false);", versionTable, version)
}

const (
	guardNone = `DO $$ BEGIN
  IF to_regclass('sinker.%[1]s') IS NOT NULL THEN
    RAISE EXCEPTION 'schema sinker is there already'
    USING HINT = 'sinker migrate version prints its version N; sinker migrate --print-sql --from N prints the rest';
  END IF;
END $$;

`
	guardVersion = `DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM sinker.%[1]s WHERE version = %[2]d AND NOT dirty) THEN
    RAISE EXCEPTION 'schema sinker is not at version %[2]d'
    USING HINT = 'sinker migrate version prints its version N; sinker migrate --print-sql --from N prints the rest';
  END IF;
END $$;

`
)
