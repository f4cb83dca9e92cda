package txn

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestMigrateDown goes back from the newest version to each older one, and up again: the schema is the one that going up
// makes, and every step says what it loses.
func TestMigrateDown(t *testing.T) {
	ctx := context.Background()
	newest := newest(t)
	// upTo makes a database of a version as an older sinker would.
	upTo := func(t *testing.T, version uint) *database {
		db := empty(t)
		if version == 0 {
			return db
		}
		sql, err := MigrationSQL(0)
		if err != nil {
			t.Fatal(err)
		}
		files, err := listUpFiles()
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(files, func(f upFile) bool { return f.version == version }); i+1 < len(files) {
			before, _, _ := strings.Cut(sql, "-- "+files[i+1].name)
			sql = before + setVersion(version) + " COMMIT;"
		}
		if _, err := db.conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			t.Fatal(err)
		}
		return db
	}
	whole := schemaOf(upTo(t, newest))
	for to := range newest {
		t.Run(fmt.Sprint(to), func(t *testing.T) {
			db := upTo(t, newest)
			db.exec(`INSERT INTO sinker.offsets (pipeline, topic, partition, topic_id, start_offset, next_offset, written, consumed) VALUES ('p', 'orders', 0, gen_random_uuid(), 0, 5, 5, 5)`)
			d, err := PlanDowngrade(ctx, db.url, to)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range d.Lost {
				if len(l) < 30 {
					t.Errorf("%q is not what is lost; a down-migration begins with %q", l, lossMark)
				}
			}
			if len(d.Lost) != int(newest-to) || schemaOf(db) != whole {
				t.Errorf("the plan has %d steps, or changed something", len(d.Lost))
			}
			if err := d.Run(ctx, db.url, quiet); err != nil {
				t.Fatal(err)
			}
			if to > 0 {
				if got, want := schemaOf(db), schemaOf(upTo(t, to)); got != want {
					t.Errorf("down to %d and up to it differ:\n%s", to, differing(got, want))
				}
				db.want(`SELECT next_offset FROM sinker.offsets`, "5")
			}
			if from, at, err := Migrate(ctx, db.url, quiet); err != nil || from != to || at != newest {
				t.Fatalf("%d → %d, %v", from, at, err)
			}
			if got := schemaOf(db); got != whole {
				t.Errorf("up again is another schema:\n%s", differing(got, whole))
			}
		})
	}

	t.Run("Refused", func(t *testing.T) {
		db := upTo(t, newest)
		if _, err := PlanDowngrade(ctx, db.url, newest+1); err == nil || !strings.Contains(err.Error(), "there is no version") {
			t.Error(err)
		}
		d, err := PlanDowngrade(ctx, db.url, 0)
		if err != nil {
			t.Fatal(err)
		}
		worker, err := Connect(ctx, db.url, "sinker orders-to-pg")
		if err != nil {
			t.Fatal(err)
		}
		wantClass(t, d.Run(ctx, db.url, quiet), Schema, "workers are connected: sinker orders-to-pg")
		worker.Close(ctx)
		db.want(`SELECT count(*) FROM sinker.offsets`, "0")
	})

	t.Run("AllOrNothing", func(t *testing.T) {
		db := upTo(t, newest)
		db.exec(`CREATE VIEW mine AS SELECT topic FROM sinker.offsets`) // the last step cannot be
		d, err := PlanDowngrade(ctx, db.url, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Run(ctx, db.url, quiet); err == nil || !strings.Contains(err.Error(), "mine") {
			t.Errorf("%v", err)
		}
		if got := schemaOf(db); got != whole {
			t.Errorf("something of it stayed:\n%s", got)
		}
		db.upToDate()
	})

	t.Run("SomebodyUsesIt", func(t *testing.T) {
		db := upTo(t, newest)
		d, err := PlanDowngrade(ctx, db.url, 0)
		if err != nil {
			t.Fatal(err)
		}
		reader, err := pgx.Connect(ctx, db.url)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close(ctx)
		if _, err := reader.Exec(ctx, `BEGIN; SELECT * FROM sinker.offsets`); err != nil {
			t.Fatal(err)
		}
		wantClass(t, d.Run(ctx, db.url, quiet), Schema, "another session uses a table")
		db.upToDate()
	})
}

// A column that was dropped leaves its place empty for good: neither it nor the numbers of the others are the schema's.
var (
	droppedColumn = regexp.MustCompile(`(?m)^column .*pg\.dropped.*\n`)
	columnNumber  = regexp.MustCompile(`(?m)^(column \w+) \d+`)
)

func schemaOf(db *database) string {
	lines := strings.Split(columnNumber.ReplaceAllString(droppedColumn.ReplaceAllString(db.one(schemaText), ""), "$1"), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// differing are the lines that only one of two texts has.
func differing(a, b string) string {
	var out []string
	for _, side := range [][3]string{{a, b, "- "}, {b, a, "+ "}} {
		for line := range strings.Lines(side[0]) {
			if !strings.Contains(side[1]+"\n", strings.TrimSuffix(line, "\n")+"\n") {
				out = append(out, side[2]+strings.TrimSuffix(line, "\n"))
			}
		}
	}
	return strings.Join(out, "\n")
}

// TestCheckVersion: a run that does not migrate works with its own version only.
func TestCheckVersion(t *testing.T) {
	ctx := context.Background()
	db := migrated(t)
	check := func(want string) {
		t.Helper()
		unknown, err := CheckVersion(ctx, db.url)
		if want == "" && (unknown != nil || err != nil) {
			t.Errorf("%v, %v", unknown, err)
		} else if want != "" {
			wantClass(t, err, Schema, want)
		}
	}
	check("")
	db.exec(`UPDATE sinker.schema_migrations SET version = version + 1`)
	check("run a newer sinker")
	db.exec(`UPDATE sinker.schema_migrations SET version = 1`)
	check("run `sinker migrate up`")
	db.exec(`UPDATE sinker.schema_migrations SET dirty = true`)
	check("run `sinker migrate up`")
	role := "v" + db.one(`SELECT current_database()`)
	db.exec(`CREATE ROLE ` + role + ` LOGIN; GRANT USAGE ON SCHEMA sinker TO ` + role)
	t.Cleanup(func() { db.exec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
	if unknown, err := CheckVersion(ctx, withUser(t, db.url, role)); err != nil || unknown == nil || !strings.Contains(unknown.Error(), "GRANT SELECT ON sinker.schema_migrations") {
		t.Errorf("%v, %v", unknown, err)
	}
}
