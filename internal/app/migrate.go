package app

import (
	"context"
	"errors"
	"log/slog"

	"sinker/internal/txn"
)

// Migrate brings schema sinker to this binary's version, and returns the versions before and after.
func Migrate(ctx context.Context, url string, log *slog.Logger) (from, to uint, err error) {
	return txn.Migrate(ctx, url, log)
}

// MigrationSQL is the SQL that brings schema sinker from a version to this binary's. An error is of the kind Usage.
func MigrationSQL(from uint) (string, error) {
	sql, err := txn.MigrationSQL(from)
	return sql, As(Usage, err)
}

// Schema says which version schema sinker has, and which one this binary wants.
type Schema struct {
	Dirty   bool `json:"dirty"` // a migration is under way or was cut off
	Version uint `json:"version"`
	Wanted  uint `json:"wanted"`
}

// SchemaVersion reads the version of schema sinker.
func SchemaVersion(ctx context.Context, url string) (s Schema, err error) {
	s.Version, s.Wanted, s.Dirty, err = txn.SchemaVersion(ctx, url)
	return s, err
}

// PlanDowngrade says what going back to a version would lose. It changes nothing; Run of what it returns does. An
// error of the kind Usage says that this binary does not know the way.
func PlanDowngrade(ctx context.Context, url string, to uint) (*txn.Downgrade, error) {
	d, err := txn.PlanDowngrade(ctx, url, to)
	if known := (*txn.Error)(nil); err != nil && !errors.As(err, &known) {
		err = As(Usage, err)
	}
	return d, err
}
