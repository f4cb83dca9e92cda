package outages

import (
	"context"
	"testing"
	"time"

	"sinker/e2e"
	"sinker/internal/local"
)

// patience is how long a process may take to end.
const patience = 30 * time.Second

// hung is how many COMMITs wait for a standby that does not answer. They are durable on this server already.
const hung = `SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name LIKE 'sinker%'`

// TestHungCommit lets COMMITs hang on a synchronous standby that is not there, and breaks them there: each is in doubt,
// and each has been committed.
func TestHungCommit(t *testing.T) {
	for name, blow := range map[string]func(s *scene) error{
		"Cancelled": func(s *scene) error {
			return s.toSinker(`pg_cancel_backend`)
		},
		"Terminated": func(s *scene) error {
			return s.toSinker(`pg_terminate_backend`)
		},
		"ImmediateShutdown": func(s *scene) error {
			return s.pg.Restart(context.Background(), "immediate")
		},
		"Killed": func(s *scene) error {
			return s.pg.Restart(context.Background(), "kill")
		},
		"LeftAlone": func(*scene) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, true)
			sinker := e2e.Start(t, "sinker", s.config(s.url(s.pg)))
			stop := s.load()
			s.moves(s.pg)
			for range 3 {
				s.synchronous(s.pg, "nobody")
				s.eventually("a COMMIT to hang", func() bool { return s.count(s.pg, hung) > 0 })
				if err := blow(s); err != nil {
					t.Fatal(err)
				}
				s.synchronous(s.pg, "")
				s.moves(s.pg)
			}
			stop()
			s.reckon(s.pg)
			sinker.Stop(patience)
		})
	}
}

// synchronous names the standby that COMMITs wait for. It must not wait itself.
func (s *scene) synchronous(pg *local.Postgres, name string) {
	s.t.Helper()
	s.exec(pg, `ALTER SYSTEM SET synchronous_standby_names = '`+name+`'`)
	s.exec(pg, `SELECT pg_reload_conf()`)
}

// toSinker signals the backends that hang.
func (s *scene) toSinker(function string) error {
	_, err := s.ask(s.pg, `SELECT count(`+function+`(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name LIKE 'sinker%'`)
	return err
}
