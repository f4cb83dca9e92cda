package e2e

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
	"github.com/testcontainers/testcontainers-go/network"
)

const postgresImage = "postgres:17"

// Postgres is a server in a container.
type Postgres struct {
	Container testcontainers.Container
	Addr      string // for this machine
	Inside    string // for containers of the same network
}

func startPostgres(ctx context.Context, net string) (*Postgres, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	p := &Postgres{Addr: fmt.Sprintf("%s:%d", engineHost(), port), Inside: "postgres:5432"}
	// The module would switch fsync off; here a server that is killed has to recover for real.
	c, err := postgres.Run(ctx, postgresImage, publish("5432/tcp", port), testcontainers.WithCmd("postgres"),
		network.WithNetworkName([]string{"postgres"}, net))
	if c != nil {
		p.Container = c.Container
	}
	if err != nil {
		return p, fmt.Errorf("starting %s: %w", postgresImage, err)
	}
	return p, p.wait(ctx)
}

// wait waits until the server accepts connections over TCP, which the server of the first start's set-up does not.
func (p *Postgres) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := Poll(ctx, func() error {
		db, err := pgx.Connect(ctx, p.URL("postgres"))
		if err != nil {
			return err
		}
		return db.Close(ctx)
	})
	if err != nil {
		return fmt.Errorf("Postgres at %s does not answer: %w", p.Addr, err)
	}
	return nil
}

// Restart ends the server with a signal and starts it again with its data. SIGINT: connections are cut and it shuts
// down in order; SIGKILL: it has to recover from its log.
func (p *Postgres) Restart(ctx context.Context, signal string) error {
	if err := SignalContainer(ctx, p.Container, signal); err != nil {
		return err
	}
	if err := p.Container.Start(ctx); err != nil {
		return fmt.Errorf("starting Postgres again: %w", err)
	}
	return p.wait(ctx)
}

// URL returns the connection URL of a database, for this machine.
func (p *Postgres) URL(database string) string { return databaseURL(p.Addr, database) }

// InsideURL returns the connection URL of a database, for containers of the same network.
func (p *Postgres) InsideURL(database string) string { return databaseURL(p.Inside, database) }

func databaseURL(addr, database string) string {
	return fmt.Sprintf("postgres://postgres:postgres@%s/%s?sslmode=disable", addr, database)
}

// Database makes a test's own database and runs the given SQL in it. It stays for those who want to look until the
// container goes.
func (p *Postgres) Database(t *testing.T, name, setup string) {
	t.Helper()
	p.exec(t, "postgres", "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	if setup != "" {
		p.exec(t, name, setup)
	}
}

func (p *Postgres) exec(t *testing.T, database, sql string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), p.URL(database))
	if err != nil {
		t.Fatalf("connecting to database %s: %v", database, err)
	}
	defer db.Close(context.Background())
	if _, err := db.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Connect returns connections to a database, closed with the test. They are made again after a restart of the server.
func (p *Postgres) Connect(t *testing.T, database string) *pgxpool.Pool {
	t.Helper()
	db, err := pgxpool.New(t.Context(), p.URL(database))
	if err != nil {
		t.Fatalf("database %s: %v", database, err)
	}
	t.Cleanup(db.Close)
	return db
}

// CutTransactions counts the clients that went away in the middle of a transaction, as the server's log says.
func (p *Postgres) CutTransactions(ctx context.Context) (int, error) {
	log, err := p.Container.Logs(ctx)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	text, err := io.ReadAll(log)
	return strings.Count(string(text), "on client connection with an open transaction"), err
}

func (p *Postgres) remove() { removeContainer(p.Container) }
