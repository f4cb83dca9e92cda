// Package localtest gives tests their servers: a fresh database on one temporary Postgres a test binary, and a Kafka in
// the process.
package localtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sinker/internal/local"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kfake"
)

var (
	once   sync.Once
	locale string          // of the databases that are made, as CREATE DATABASE has it
	ours   *local.Postgres // kept: were it collected, its pipe would close and the server end
	failed error
	serial atomic.Int64
)

// start finds or starts the server that the tests of this binary share. It ends with the process.
func start() {
	if os.Getenv(given) == "" {
		ours, failed = local.StartPostgres(context.Background(), local.PostgresOptions{})
	}
	if failed == nil {
		locale, failed = englishLocale(context.Background())
	}
}

// englishLocale returns what CREATE DATABASE is to be told for a database that sorts text as users' databases do, "a"
// before "B", where the server can (ICU, since 15). In one that sorts by bytes, as Go does, a test may pass by luck.
func englishLocale(ctx context.Context) (string, error) {
	conn, err := pgx.Connect(ctx, server())
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var can bool
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int >= 150000 AND EXISTS (SELECT FROM
		pg_collation WHERE collprovider = 'i')`).Scan(&can)
	if err != nil || !can {
		return "", err
	}
	return " TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'", nil
}

// given names the variable with a server that is there already.
const given = "SINKER_TEST_DATABASE_URL"

// server is a superuser's URL.
func server() string {
	if ours != nil {
		return ours.URL("postgres")
	}
	return os.Getenv(given)
}

// Database returns the superuser's URL of a fresh, empty database, dropped at the end of the test. It is on the
// server of $SINKER_TEST_DATABASE_URL, if that is set, else on a temporary one. Where no server can be had the test
// is skipped, and in CI it fails.
func Database(t testing.TB) string {
	t.Helper()
	once.Do(start)
	return DatabaseOf(t, locale)
}

// DatabaseOf is Database with what CREATE DATABASE is to be told besides the name.
func DatabaseOf(t testing.TB, options string) string {
	t.Helper()
	once.Do(start)
	if errors.Is(failed, local.ErrNoPostgres) && os.Getenv("CI") == "" {
		t.Skip(failed)
	}
	if failed != nil {
		t.Fatal(failed)
	}
	name := fmt.Sprintf("t%d_%d_%d", os.Getpid(), time.Now().UnixNano(), serial.Add(1))
	admin(t, "CREATE DATABASE "+name+options)
	t.Cleanup(func() { admin(t, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	u, err := url.Parse(server())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// Version is server_version_num of the server that Database makes databases on: 180003 is Postgres 18.3. Tests of
// what only newer servers have range over it; none is left out.
func Version(t testing.TB) (num int) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&num); err != nil {
		t.Fatal(err)
	}
	return num
}

func admin(t testing.TB, sql string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}

// Kafka returns a Kafka in this process, closed at the end of the test.
func Kafka(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
