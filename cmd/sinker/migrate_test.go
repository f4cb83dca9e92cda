package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestMigrateCommand(t *testing.T) {
	version := func(t *testing.T, s *stage) (doc struct {
		Version, Wanted uint
		Dirty           bool
	}) {
		t.Helper()
		r := s.sinker("migrate", "version", "-c", s.file, "--json")
		if err := json.Unmarshal([]byte(r.out), &doc); err != nil || r.code != exitOK {
			t.Fatalf("exit code %d, %v\n%s%s", r.code, err, r.out, r.errors)
		}
		return doc
	}

	t.Run("UpAndAgain", func(t *testing.T) {
		s := newStage(t, ordersSink)
		if v := version(t, s); v.Version != 0 || v.Wanted == 0 || v.Dirty {
			t.Errorf("%+v", v)
		}
		s.sinker("migrate", "version", "--to", s.url).want(t, exitOK, "at version 0; this binary needs")
		s.sinker("migrate", "up", "-c", s.file).want(t, exitOK, "version 0 → ")
		s.sinker("migrate", "up", "--to", s.url).want(t, exitOK, "already")
		if v := version(t, s); v.Version != v.Wanted {
			t.Errorf("%+v", v)
		}
	})

	t.Run("UsesMigrateURL", func(t *testing.T) {
		s := newStage(t, ordersSink)
		s.url = "{ url: 'postgres://postgres@" + deadPort(t) + "/x', migrate_url: '" + s.url + "' }"
		s.configure(ordersSink)
		s.sinker("migrate", "up", "-c", s.file).want(t, exitOK, "version 0 → ")
	})

	t.Run("PrintedSQLIsEnoughForRun", func(t *testing.T) {
		s := newStage(t, ordersSink)
		r := s.sinker("migrate", "--print-sql")
		r.want(t, exitOK, "COMMIT;")
		s.exec(r.out)
		s.produce(values(`{"id":1}`)...)
		s.load("--migrate=false").want(t, exitOK, "1 record,")
		s.sinker("migrate", "--print-sql", "--from", "999").want(t, exitUsage, "there is no migration 999")
	})

	t.Run("BadDays", func(t *testing.T) {
		s := newStage(t, ordersSink)
		s.sinker("migrate", "up", "--to", "postgres://postgres@"+deadPort(t)+"/x").want(t, exitUnavailable, "connection refused")
		s.sinker("migrate", "up", "--to", strings.Replace(s.url, "postgres@", "nobody_here@", 1)).want(t, exitConfig, "check the user and password")
		s.sinker("migrate", "up", "-c", "/nowhere.yaml").want(t, exitConfig, "/nowhere.yaml")
		s.sinker("migrate", "up", "--to", s.url).want(t, exitOK, "→")
		s.exec(`UPDATE sinker.schema_migrations SET version = 999`)
		s.sinker("migrate", "up", "--to", s.url).want(t, exitConfig, "run a newer sinker")
		s.sinker("migrate", "version", "--to", s.url).want(t, exitOK, "run a newer sinker")
	})
}

func TestMigrateDown(t *testing.T) {
	s := newStage(t, ordersSink)
	s.sinker("migrate", "up", "-c", s.file).want(t, exitOK, "version 0 → ")
	s.sinker("migrate", "down", "-c", s.file, "--to", "2").want(t, exitUsage, "the ledger; verify has nothing to compare")
	s.sinker("migrate", "down", "-c", s.file, "--to", "2").want(t, exitUsage, "Nothing was changed. If that is what you want, add --yes")
	s.sinker("migrate", "up", "-c", s.file).want(t, exitOK, "already")
	s.sinker("migrate", "down", "-c", s.file, "--to", "2", "--yes").want(t, exitOK, "→ 2. Lost:")
	s.sinker("migrate", "down", "-c", s.file, "--to", "2", "--yes").want(t, exitOK, "already")
	s.sinker("migrate", "down", "-c", s.file, "--to", "3", "--yes").want(t, exitUsage, "`sinker migrate up`")
	s.load("--migrate=false").want(t, exitConfig, "schema sinker is at version 2, this binary needs")
	s.produce(values(`{"id":1}`)...)
	s.load().want(t, exitOK, "1 record,")
	s.sinker("migrate", "down", "-c", s.file, "--to", "0", "--yes").want(t, exitOK, "every position")
	s.load().want(t, exitOK, "1 record,")
	s.exec(`UPDATE sinker.schema_migrations SET version = 999`)
	s.load("--migrate=false").want(t, exitConfig, "run a newer sinker")
	s.sinker("check", "-c", s.file).want(t, exitConfig, "this binary knows up to")
}
