package main

import (
	"strings"
	"testing"

	"sinker/internal/local"

	"github.com/jackc/pgx/v5"
)

// TestStandby: commands that only read work on a standby, and say that it may be behind; those that write name the primary.
func TestStandby(t *testing.T) {
	primary, err := local.StartPostgres(t.Context(), local.PostgresOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { primary.Close() })
	standby, err := primary.Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { standby.Close() })
	s := newStage(t, "")
	s.url = primary.URL("postgres")
	s.connect()
	s.configure(ordersSink)
	s.produce(values(`{"id":1}`, `{"id":2}`, `nonsense`)...)
	s.load().want(t, exitOK, "3 records, 1 dead letter")
	reader, err := pgx.Connect(t.Context(), standby.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close(t.Context()) })
	end := s.one(`SELECT pg_current_wal_lsn()::text`)
	s.eventually("the standby to have it all", func() bool {
		var there bool
		err := reader.QueryRow(t.Context(), `SELECT coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false)`, end).Scan(&there)
		return err == nil && there
	})

	s.url = standby.URL("postgres")
	s.configure(ordersSink)
	const behind = "is a standby"
	for _, line := range []string{"status", "offsets list", "verify"} {
		for _, format := range []string{"", " --json"} {
			r := s.sinker(strings.Fields(line + format + " -c " + s.file)...)
			r.want(t, exitOK, "orders")
			if !strings.Contains(r.errors, behind) {
				t.Errorf("%s%s does not say that it reads a standby: %s%s", line, format, r.out, r.errors)
			}
		}
	}
	if r := s.sinker("status", "-c", s.file, "--json"); !strings.Contains(r.out, `"consumed":3`) {
		t.Errorf("status: %s", r.out)
	}
	for _, line := range []string{"check", "run --until-end", "offsets set --topic orders --partition 0 --offset 0 --write-again", "offsets adopt --topic orders --partition 0",
		"migrate up", "migrate down --to 1 --yes"} {
		r := s.sinker(strings.Fields(line + " -c " + s.file)...)
		if r.code == exitOK || !strings.Contains(r.out+r.errors, "point postgres.url at the primary") {
			t.Errorf("%s exits %d: %s%s", line, r.code, r.out, r.errors)
		}
	}
	// With the primary in the URL as well, it is the one that is asked.
	s.url = strings.Replace(s.url, "@", "@"+hostOf(primary)+",", 1)
	s.configure(ordersSink)
	if r := s.sinker("status", "-c", s.file); r.code != exitOK || strings.Contains(r.errors, behind) {
		t.Errorf("with the primary in the URL: exit %d, %s", r.code, r.errors)
	}
}

// hostOf is the host and port of a server.
func hostOf(p *local.Postgres) string {
	_, rest, _ := strings.Cut(p.URL("postgres"), "@")
	host, _, _ := strings.Cut(rest, "/")
	return host
}
