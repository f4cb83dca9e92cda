package outages

import (
	"context"
	"strings"
	"testing"

	"sinker/e2e"
)

// TestFailover promotes an asynchronous standby that had not got the last transactions. sinker must go back to what the
// new primary says and fill it up again, and must never write to the old primary when that comes back.
func TestFailover(t *testing.T) {
	s := newScene(t, false)
	ctx := context.Background()
	standby, err := s.pg.Standby(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { standby.Close() })
	old := s.pg
	hosts := strings.TrimPrefix(strings.TrimSuffix(s.url(old), "/postgres?sslmode=disable"), "postgres://postgres@")
	both := "postgres://postgres@" + hosts + "," + strings.TrimPrefix(s.url(standby), "postgres://postgres@")
	sinker := e2e.Start(t, "sinker", s.config(both))

	s.produce(500)
	s.eventually("the standby to have rows", func() bool { return s.position(standby) == s.produced })
	if err := standby.Stop("fast"); err != nil { // from now on it lags
		t.Fatal(err)
	}
	s.produce(500)
	s.eventually("the primary to have more rows", func() bool { return s.position(old) == s.produced })
	if err := old.Stop("immediate"); err != nil {
		t.Fatal(err)
	}
	if err := standby.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if lost := s.produced - s.position(standby); lost != 500*partitions {
		t.Fatalf("the standby lags %d records behind, want %d: the test proves nothing", lost, 500*partitions)
	}
	s.exec(standby, `SELECT pg_promote()`)
	s.reckon(standby) // without a new record to bring it up
	s.said(sinker, "went back")

	// The old primary comes back and takes writes. It is the first host of the connection string.
	if err := old.Start(ctx); err != nil {
		t.Fatal(err)
	}
	before := s.position(old)
	s.exec(standby, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sinker%'`)
	s.produce(500)
	s.reckon(standby)
	if s.position(old) != before {
		t.Errorf("the old primary was written to")
	}
	if err := standby.Stop("fast"); err != nil { // only the old primary is left: better nobody than that one
		t.Fatal(err)
	}
	s.produce(1)
	s.said(sinker, "old primary")
	if s.position(old) != before {
		t.Errorf("the old primary was written to when it was the only one")
	}
	if err := standby.Start(ctx); err != nil {
		t.Fatal(err)
	}
	s.reckon(standby)
	sinker.Stop(patience)
}
