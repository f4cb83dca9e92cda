package txn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"sinker/internal/record"
	"sinker/migrations"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Downgrade is a way back to an older version of schema sinker.
type Downgrade struct {
	From, To uint
	Lost     []string // what each step loses, newest first, in one sentence each
	steps    []string // the SQL, newest first
}

// PlanDowngrade says what going back to a version would lose. It changes nothing.
func PlanDowngrade(ctx context.Context, url string, to uint) (*Downgrade, error) {
	have, want, dirty, err := SchemaVersion(ctx, url)
	switch {
	case err != nil:
		return nil, err
	case have > want:
		return nil, newerError(have, want)
	case dirty:
		return nil, &Error{Class: Schema, Step: record.StepMigrate, Err: errors.New("a migration is running or was " +
			"interrupted"), Hint: "`sinker migrate up` waits for it, or finishes it"}
	}
	return planDowngrade(have, to)
}

func planDowngrade(from, to uint) (*Downgrade, error) {
	d := &Downgrade{From: from, To: to}
	files, err := listUpFiles()
	if err != nil {
		return nil, err
	}
	known := to == 0
	for i := len(files) - 1; i >= 0; i-- {
		f := files[i]
		known = known || f.version == to
		if f.version > from || f.version <= to {
			continue
		}
		sql, err := fs.ReadFile(migrations.FS, strings.TrimSuffix(f.name, ".up.sql")+".down.sql")
		if err != nil {
			return nil, err
		}
		d.steps = append(d.steps, string(sql))
		d.Lost = append(d.Lost, fmt.Sprintf("version %d: %s", f.version, lossOf(string(sql))))
	}
	if !known {
		return nil, fmt.Errorf("there is no version %d of schema sinker: this binary knows 0 to %d", to,
			files[len(files)-1].version)
	}
	return d, nil
}

// lossMark begins the first line of a down-migration.
const lossMark = "-- Lost: "

// lossOf is what the first line of a down-migration says.
func lossOf(sql string) string {
	line, _, _ := strings.Cut(sql, "\n")
	if text, ok := strings.CutPrefix(line, lossMark); ok {
		return text
	}
	return ""
}

// Run goes back in one transaction. When it fails or is killed, nothing was changed. It refuses
// while a worker of any pipeline is connected, and while another process migrates.
func (d *Downgrade) Run(ctx context.Context, url string, log *slog.Logger) error {
	if transactionPooler(ctx, url) {
		return poolerError()
	}
	m, err := lockMigrations(ctx, url, log)
	if err != nil {
		return wrap(record.StepMigrate, "", err)
	}
	defer m.unlock()
	err = inTransaction(ctx, m.conn, "", func(tx pgx.Tx) error { return d.inside(ctx, tx) })
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == pgerrcode.LockNotAvailable {
		return &Error{Class: Schema, Step: record.StepMigrate, Err: err,
			Hint: "another session uses a table of schema sinker: end it, and run the command again; nothing was changed"}
	}
	return wrap(record.StepMigrate, "", err)
}

const (
	// stillRunning finds the connections of workers: their application's name is sinker's and the
	// pipeline's.
	stillRunning = `
SELECT coalesce(string_agg(DISTINCT application_name, ', '), '') FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'sinker %'
  AND application_name NOT IN ('sinker migrate', 'sinker status', 'sinker verify', 'sinker offsets')`

	lockWait = 10 * time.Second
)

func (d *Downgrade) inside(ctx context.Context, tx pgx.Tx) error {
	var have uint
	if err := tx.QueryRow(ctx, `SELECT version FROM sinker.`+versionTable+` WHERE NOT dirty`).Scan(&have); err != nil ||
		have != d.From {
		return &Error{Class: Schema, Step: record.StepMigrate, Err: fmt.Errorf("schema sinker is no longer at version %d",
			d.From), Hint: "look at `sinker migrate version`; nothing was changed"}
	}
	var running string
	if err := tx.QueryRow(ctx, stillRunning).Scan(&running); err != nil {
		return err
	}
	if running != "" {
		return &Error{Class: Schema, Step: record.StepMigrate, Err: fmt.Errorf("workers are connected: %s", running),
			Hint: "stop sinker on every host first; nothing was changed"}
	}
	if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", lockWait.Milliseconds())); err != nil {
		return err
	}
	version := "DELETE FROM sinker." + versionTable
	if d.To > 0 {
		version = setVersion(d.To)
	}
	for _, sql := range append(d.steps, version) {
		if _, err := tx.Conn().PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

// CheckVersion says whether schema sinker is at the version that this binary works with, for a run
// that does not migrate. unknown is an error of a role that may not look; the rest is for the
// caller to find out.
func CheckVersion(ctx context.Context, url string) (unknown, err error) {
	have, want, dirty, err := SchemaVersion(ctx, url)
	var pe *pgconn.PgError
	switch {
	case errors.As(err, &pe) && pe.Code == pgerrcode.InsufficientPrivilege:
		return fmt.Errorf("%s: GRANT SELECT ON sinker.%s", pe.Message, versionTable), nil
	case err != nil:
		return nil, err
	case have > want:
		return nil, newerError(have, want)
	case dirty || have < want:
		return nil, &Error{Class: Schema, Step: record.StepMigrate, Err: fmt.Errorf("schema sinker is at version %d, "+
			"this binary needs %d", have, want), Hint: "run `sinker migrate up`; nothing was changed"}
	}
	return nil, nil
}
