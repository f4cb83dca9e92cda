package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"sinker/internal/local"

	"github.com/jackc/pgx/v5"
)

// database is the empty database that the demonstration loads into.
type database struct {
	url   string
	shown string // the same without a password
	about string // version and place, for people
	close func() // drops it, and ends its server if that was started for it
}

// temporary settings: room for a million rows without a checkpoint in the middle.
var settings = map[string]string{"max_wal_size": "4GB", "shared_buffers": "256MB"}

// openDatabase starts a temporary server, or makes a database on the given one.
func openDatabase(ctx context.Context, given string, say func(what, format string, args ...any)) (*database, error) {
	if given != "" {
		return makeDatabase(ctx, given)
	}
	if _, err := local.FindPostgres(); errors.Is(err, local.ErrNoPostgres) {
		say("Postgres", "none here; the first time one is downloaded")
	}
	server, err := local.StartPostgres(ctx, local.PostgresOptions{Fsync: true, Settings: settings})
	if err != nil {
		return nil, err
	}
	db := &database{url: server.URL("postgres"), shown: server.URL("postgres"), close: func() { server.Close() }}
	if db.about, err = postgresVersion(ctx, db.url); err != nil {
		db.close()
		return nil, err
	}
	db.about += ", temporary, fsync on"
	return db, nil
}

// makeDatabase makes a database on a server that is there.
func makeDatabase(ctx context.Context, given string) (*database, error) {
	u, err := url.Parse(given)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, badOption("--postgres must be a URL: postgres://user@host:port/database")
	}
	name := fmt.Sprintf("sinker_demo_%d", os.Getpid())
	if err := execOnce(ctx, given, "CREATE DATABASE "+name); err != nil {
		return nil, &UnavailableError{fmt.Errorf("make a database for the demonstration: %w", err)}
	}
	u.Path = "/" + name
	db := &database{url: u.String(), shown: u.Redacted(), close: func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := execOnce(ctx, given, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			fmt.Fprintf(os.Stderr, "sinker: database %s is still there: %v\n", name, err)
		}
	}}
	if db.about, err = postgresVersion(ctx, given); err != nil {
		db.close()
		return nil, err
	}
	db.about += ", given; database " + name
	return db, nil
}

// connect returns a connection that the search for the loader's ones passes over.
func (db *database) connect(ctx context.Context) (*pgx.Conn, error) {
	c, err := pgx.ParseConfig(db.url)
	if err != nil {
		return nil, err
	}
	c.RuntimeParams["application_name"] = "demo"
	return pgx.ConnectConfig(ctx, c)
}

func execOnce(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

func postgresVersion(ctx context.Context, url string) (v string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, `SELECT split_part(version(), ' (', 1)`).Scan(&v)
	return v, err
}
