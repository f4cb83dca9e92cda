package txn

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"sinker/internal/local/localtest"
	"sinker/migrations"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// schemaText describes all of schema sinker as the catalog has it, as pg_dump would: columns, defaults, constraints,
// indexes, storage options, comments, owners, grants, sequences, and the row of the version table.
const schemaText = `
SELECT string_agg(line, E'\n' ORDER BY line) FROM (
  SELECT 'schema owner ' || pg_get_userbyid(nspowner) || ' ' || coalesce(nspacl::text, '') AS line FROM pg_namespace WHERE nspname = 'sinker'
  UNION ALL SELECT 'relation ' || c.relname || ' ' || c.relkind::text || c.relpersistence::text || ' ' || pg_get_userbyid(c.relowner) || ' ' || coalesce(c.relacl::text, '') || ' '
      || coalesce(c.reloptions::text, '') || ' ' || coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class c WHERE c.relnamespace = 'sinker'::regnamespace
  UNION ALL SELECT 'column ' || c.relname || ' ' || a.attnum || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || a.attidentity::text || a.attgenerated::text
      || a.attstorage::text || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || ' ' || coalesce(col_description(c.oid, a.attnum), '')
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
      WHERE c.relnamespace = 'sinker'::regnamespace AND a.attnum > 0 AND c.relkind = 'r'
  UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'sinker'
  UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'sinker'::regnamespace
  UNION ALL SELECT 'sequence ' || sequencename || ' ' || data_type || ' ' || start_value || ' ' || increment_by || ' ' || coalesce(last_value, -1) FROM pg_sequences WHERE schemaname = 'sinker'
  UNION ALL SELECT 'function ' || proname || ' ' || prosrc FROM pg_proc WHERE pronamespace = 'sinker'::regnamespace
  UNION ALL SELECT 'version ' || version || ' ' || dirty FROM sinker.schema_migrations) t`

// empty is a test's database without schema sinker.
func empty(t *testing.T) *database {
	t.Helper()
	url := localtest.Database(t)
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return &database{t: t, url: url, conn: conn}
}

// migrated is one that Migrate has brought up to date.
func migrated(t *testing.T) *database {
	t.Helper()
	db := empty(t)
	if _, _, err := Migrate(context.Background(), db.url, quiet); err != nil {
		t.Fatal(err)
	}
	return db
}

// newest is the version this binary needs.
func newest(t *testing.T) uint {
	t.Helper()
	files, err := listUpFiles()
	if err != nil {
		t.Fatal(err)
	}
	return files[len(files)-1].version
}

func (db *database) upToDate() {
	db.t.Helper()
	have, want, dirty, err := SchemaVersion(context.Background(), db.url)
	if err != nil || have != want || dirty {
		db.t.Errorf("version %d of %d, dirty %v, %v", have, want, dirty, err)
	}
	db.want(`SELECT count(*) FROM pg_tables WHERE schemaname = 'sinker' AND tablename IN ('offsets', 'dead_letters', 'audit', 'batches')`, "4")
}

func TestMigrate(t *testing.T) {
	ctx := context.Background()

	t.Run("FromNothingAndAgain", func(t *testing.T) {
		db := empty(t)
		from, to, err := Migrate(ctx, db.url, quiet)
		if err != nil || from != 0 || to != newest(t) {
			t.Fatalf("%d → %d, %v", from, to, err)
		}
		if from, again, err := Migrate(ctx, db.url, quiet); err != nil || from != to || again != to {
			t.Errorf("again: %d → %d, %v", from, again, err)
		}
		db.upToDate()
	})

	t.Run("ManyAtOnce", func(t *testing.T) {
		for range 5 {
			db := empty(t)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					if _, _, err := Migrate(ctx, db.url, quiet); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			db.upToDate()
		}
	})

	t.Run("WaitsForAnotherAsLongAsTheContextLets", func(t *testing.T) {
		db := empty(t)
		db.exec(`SELECT pg_advisory_lock($1)`, migrationLock)
		ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, _, err := Migrate(ctx, db.url, quiet); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) < 400*time.Millisecond {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		db.want(`SELECT to_regnamespace('sinker') IS NULL`, "true")
	})

	t.Run("LeavesTheApplicationsVersionTableAlone", func(t *testing.T) {
		db := empty(t)
		db.exec(`CREATE TABLE public.schema_migrations (version bigint, dirty boolean); INSERT INTO public.schema_migrations VALUES (42, true)`)
		if _, _, err := Migrate(ctx, db.url, quiet); err != nil {
			t.Fatal(err)
		}
		db.want(`SELECT version || ' ' || dirty FROM public.schema_migrations`, "42 true")
		db.upToDate()
	})

	t.Run("NewerThanTheBinary", func(t *testing.T) {
		db := migrated(t)
		db.exec(`UPDATE sinker.schema_migrations SET version = 999`)
		_, _, err := Migrate(ctx, db.url, quiet)
		wantClass(t, err, Schema, "run a newer sinker; nothing was changed")
	})

	t.Run("DownAndUp", func(t *testing.T) {
		db := migrated(t)
		before := db.one(schemaText)
		cfg, err := connConfig(db.url, "test")
		if err != nil {
			t.Fatal(err)
		}
		m, err := newMigrate(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(m.Down(), m.Up()); err != nil {
			t.Fatal(err)
		}
		m.Close()
		if after := db.one(schemaText); after != before || !strings.Contains(after, "offsets") {
			t.Errorf("down and up again made another schema:\n%s", after)
		}
	})
}

// begun leaves the database as a process does that dies after it marked migration n and before Postgres has run it.
func begun(t *testing.T, n uint) *database {
	t.Helper()
	db := empty(t)
	db.exec(createSchema + `CREATE TABLE sinker.schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)`)
	files, err := listUpFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.version < n {
			sql, err := fs.ReadFile(migrations.FS, f.name)
			if err != nil {
				t.Fatal(err)
			}
			db.exec(string(sql))
		}
	}
	db.exec(`INSERT INTO sinker.schema_migrations VALUES ($1, true)`, n)
	return db
}

func TestMigrateAfterAFailure(t *testing.T) {
	ctx := context.Background()
	files, err := listUpFiles()
	if err != nil {
		t.Fatal(err)
	}

	t.Run("KilledBeforeAMigrationRan", func(t *testing.T) {
		for _, f := range files {
			db := begun(t, f.version)
			if _, _, err := Migrate(ctx, db.url, quiet); err != nil {
				t.Errorf("migration %d: %v", f.version, err)
			}
			db.upToDate()
		}
	})

	t.Run("KilledAfterAMigrationRan", func(t *testing.T) {
		source, err := openUpFiles()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			db := begun(t, f.version)
			r, _, err := source.ReadUp(f.version)
			if err != nil {
				t.Fatal(err)
			}
			sql, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			db.exec(string(sql)) // and the process is gone
			if _, _, err := Migrate(ctx, db.url, quiet); err != nil {
				t.Errorf("migration %d: %v", f.version, err)
			}
			db.upToDate()
		}
	})

	t.Run("SomethingInTheWay", func(t *testing.T) {
		for _, first := range []bool{true, false} {
			db := empty(t)
			table := "sinker.batches"
			if first {
				table = "sinker.dead_letters" // of the first migration: there is no version to go back to
			}
			db.exec(`CREATE SCHEMA sinker; CREATE TABLE ` + table + ` ()`)
			_, _, err := Migrate(ctx, db.url, quiet)
			wantClass(t, err, Schema, ".up.sql: ")
			wantClass(t, err, Schema, "already exists (SQLSTATE 42P07)")
			wantClass(t, err, Schema, "DELETE FROM sinker.schema_migrations; INSERT INTO sinker.schema_migrations VALUES (")
			if _, _, dirty, err := SchemaVersion(ctx, db.url); dirty || err != nil {
				t.Errorf("left dirty: %v, %v", dirty, err)
			}
			db.exec(`DROP TABLE ` + table)
			if _, _, err := Migrate(ctx, db.url, quiet); err != nil {
				t.Error(err)
			}
			db.upToDate()
		}
	})

	t.Run("NamesTheStatement", func(t *testing.T) {
		sql := "CREATE TABLE a (x int);\n-- why\nCREATE TABLE b (\n  y nosuch\n);\nCREATE TABLE c ();\n"
		db := empty(t)
		_, err := db.conn.Exec(ctx, sql)
		var pe *pgconn.PgError
		if !errors.As(err, &pe) {
			t.Fatal(err)
		}
		if got := statementAt(sql, int(pe.Position)); got != "-- why CREATE TABLE b ( y nosuch )" {
			t.Errorf("statement = %q", got)
		}
	})
}

func TestMigrateAsARole(t *testing.T) {
	ctx := context.Background()
	// as makes a role of the given rights, and returns the URL with which it connects.
	as := func(t *testing.T, db *database, grants string) string {
		role := "r" + db.one(`SELECT current_database()`)
		db.exec(`CREATE ROLE ` + role + ` LOGIN`)
		t.Cleanup(func() { db.exec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
		db.exec(`REVOKE CREATE ON DATABASE ` + db.one(`SELECT current_database()`) + ` FROM PUBLIC`)
		db.exec(strings.ReplaceAll(grants, "$role", role))
		return withUser(t, db.url, role)
	}

	t.Run("InASchemaMadeForIt", func(t *testing.T) {
		db := empty(t)
		url := as(t, db, `CREATE SCHEMA sinker; GRANT USAGE, CREATE ON SCHEMA sinker TO $role`)
		if _, _, err := Migrate(ctx, url, quiet); err != nil {
			t.Fatal(err)
		}
		db.upToDate()
	})

	t.Run("WithNothingToDo", func(t *testing.T) {
		db := migrated(t)
		url := as(t, db, `GRANT USAGE ON SCHEMA sinker TO $role; GRANT SELECT ON sinker.schema_migrations TO $role`)
		if _, _, err := Migrate(ctx, url, quiet); err != nil {
			t.Error(err)
		}
	})

	t.Run("ThatMayNot", func(t *testing.T) {
		db := empty(t)
		_, _, err := Migrate(ctx, as(t, db, ``), quiet)
		wantClass(t, err, Schema, "permission denied for database")
		db.want(`SELECT to_regnamespace('sinker') IS NULL`, "true")
	})

	t.Run("ThatMayNotInTheSchema", func(t *testing.T) {
		db := empty(t)
		_, _, err := Migrate(ctx, as(t, db, `CREATE SCHEMA sinker; GRANT USAGE ON SCHEMA sinker TO $role`), quiet)
		wantClass(t, err, Schema, "permission denied for schema sinker")
	})
}

func TestMigrationSQL(t *testing.T) {
	ctx := context.Background()
	files, err := listUpFiles()
	if err != nil {
		t.Fatal(err)
	}
	print := func(t *testing.T, from uint) string {
		t.Helper()
		sql, err := MigrationSQL(from)
		if err != nil {
			t.Fatal(err)
		}
		return sql
	}

	t.Run("DoesWhatMigrateDoes", func(t *testing.T) {
		want := migrated(t).one(schemaText)
		db := empty(t)
		db.exec(print(t, 0))
		if got := db.one(schemaText); got != want {
			t.Errorf("migrate up made\n%s\nthe printed SQL made\n%s", want, got)
		}
	})

	t.Run("FromEveryVersion", func(t *testing.T) {
		want := migrated(t).one(schemaText)
		for _, f := range files[:len(files)-1] {
			db := begun(t, f.version+1)
			db.exec(`UPDATE sinker.schema_migrations SET version = $1, dirty = false`, f.version)
			db.exec(print(t, f.version))
			if got := db.one(schemaText); got != want {
				t.Errorf("from %d: migrate up made\n%s\nthe printed SQL made\n%s", f.version, want, got)
			}
		}
	})

	t.Run("OnTheWrongVersionChangesNothing", func(t *testing.T) {
		db := migrated(t)
		before := db.one(schemaText)
		for _, from := range []uint{0, files[0].version} {
			_, err := db.conn.Exec(ctx, print(t, from))
			if err == nil || !strings.Contains(err.Error(), "P0001") {
				t.Errorf("from %d: %v", from, err)
			}
			db.exec(`ROLLBACK`)
		}
		if after := db.one(schemaText); after != before {
			t.Errorf("it changed the schema to\n%s", after)
		}
	})

	t.Run("UnknownVersion", func(t *testing.T) {
		if sql, err := MigrationSQL(999); err == nil {
			t.Errorf("printed %q", sql)
		}
	})
}
