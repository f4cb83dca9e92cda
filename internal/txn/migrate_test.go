package txn

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"sinker/internal/local/localtest"

	"github.com/jackc/pgx/v5"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// schemaOf describes schema sinker as the catalog has it.
func schemaOf(t *testing.T, url string) string {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var s string
	err = conn.QueryRow(ctx, `
SELECT (SELECT string_agg(c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || a.attidentity::text, E'\n' ORDER BY c.relname, a.attnum)
          FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = 'sinker'::regnamespace AND a.attnum > 0 AND c.relkind = 'r')
    || (SELECT string_agg(indexdef, E'\n' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'sinker')
    || (SELECT string_agg(relname || coalesce(reloptions::text, ''), E'\n' ORDER BY relname) FROM pg_class WHERE relnamespace = 'sinker'::regnamespace)
    || (SELECT string_agg(conname || pg_get_constraintdef(oid), E'\n' ORDER BY conname) FROM pg_constraint WHERE connamespace = 'sinker'::regnamespace)
    || (SELECT version || ' ' || dirty FROM sinker.schema_migrations)`).Scan(&s)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMigrate(t *testing.T) {
	ctx := context.Background()

	t.Run("FromNothingAndAgain", func(t *testing.T) {
		url := localtest.Database(t)
		from, to, err := Migrate(ctx, url, quiet)
		if err != nil || from != 0 || to == 0 {
			t.Fatalf("%d → %d, %v", from, to, err)
		}
		if from, again, err := Migrate(ctx, url, quiet); err != nil || from != to || again != to {
			t.Errorf("again: %d → %d, %v", from, again, err)
		}
	})

	t.Run("ManyAtOnce", func(t *testing.T) {
		for range 5 {
			url := localtest.Database(t)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					if _, _, err := Migrate(ctx, url, quiet); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
	})

	t.Run("PrintedSQLDoesTheSame", func(t *testing.T) {
		migrated, printed := localtest.Database(t), localtest.Database(t)
		if _, _, err := Migrate(ctx, migrated, quiet); err != nil {
			t.Fatal(err)
		}
		sql, err := MigrationSQL()
		if err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(ctx, printed)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
		if a, b := schemaOf(t, migrated), schemaOf(t, printed); a != b {
			t.Errorf("migrate up made\n%s\nthe printed SQL made\n%s", a, b)
		}
	})

	t.Run("NewerThanTheBinary", func(t *testing.T) {
		db := newDatabase(t)
		db.exec(`CREATE TABLE sinker.schema_migrations (version bigint PRIMARY KEY, dirty boolean); INSERT INTO sinker.schema_migrations VALUES (999, false)`)
		_, _, err := Migrate(ctx, db.url, quiet)
		wantClass(t, err, Schema, "newer sinker")
	})

	t.Run("Dirty", func(t *testing.T) {
		db := newDatabase(t)
		db.exec(`CREATE TABLE sinker.schema_migrations (version bigint PRIMARY KEY, dirty boolean); INSERT INTO sinker.schema_migrations VALUES (2, true)`)
		_, _, err := Migrate(ctx, db.url, quiet)
		wantClass(t, err, Schema, "UPDATE sinker.schema_migrations SET version = 1, dirty = false")
	})

	t.Run("DownAndUp", func(t *testing.T) {
		url := localtest.Database(t)
		if _, _, err := Migrate(ctx, url, quiet); err != nil {
			t.Fatal(err)
		}
		before := schemaOf(t, url)
		m, err := newMigrate(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Down(); err != nil {
			t.Fatal(err)
		}
		if err := m.Up(); err != nil {
			t.Fatal(err)
		}
		m.Close()
		if after := schemaOf(t, url); after != before || !strings.Contains(after, "offsets") {
			t.Errorf("down and up again made another schema")
		}
	})
}
