package app

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"sinker/internal/consume"
)

// starting is a service that does not read yet: it is asking Kafka and Postgres, or waiting for one of them. Meanwhile
// /readyz says 503 and why, and /livez says ok.
type starting struct {
	workers int
	log     *slog.Logger

	mu    sync.Mutex
	since time.Time
	why   error                         // nil: it is still asking
	after func() []*consume.WorkerState // once it has begun
}

func newStarting(workers int, log *slog.Logger) *starting {
	return &starting{workers: workers, log: log, since: time.Now()}
}

// started hands over to the workers' own states.
func (s *starting) started(states func() []*consume.WorkerState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = states
}

// states is what the HTTP side shows.
func (s *starting) states() []*consume.WorkerState {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.after != nil {
		return s.after()
	}
	trouble := "starting: Kafka and Postgres have not answered yet"
	if s.why != nil {
		trouble = "waiting to start: " + s.why.Error()
	}
	states := make([]*consume.WorkerState, s.workers)
	for i := range states {
		states[i] = &consume.WorkerState{Worker: i, At: time.Now(), Running: true, Trouble: trouble, Since: s.since}
	}
	return states
}

// stopped says what it waited for. What it was asking just now failed because it was told to stop.
func (s *starting) stopped() {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	if s.why != nil {
		log = log.With("while", s.why)
	}
	log.Info("stopped during startup; nothing was read or written")
}

func (s *starting) waitsFor(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why = err
}

// await tries until begin succeeds. It returns begin's error when waiting does not change it, and nil when ctx has
// ended. What it waits for is logged when it changes, and every 30 s.
func (s *starting) await(ctx context.Context, begin func(context.Context) error) error {
	var said time.Time
	var last string
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 3*time.Second) {
		err := begin(ctx)
		switch {
		case ctx.Err() != nil:
			s.stopped()
			return nil
		case err == nil:
			if !said.IsZero() {
				s.log.Info("starting after all", "after", time.Since(s.since).Round(time.Millisecond))
			}
			return nil
		case KindOf(err) != Unavailable:
			return err
		}
		s.waitsFor(err)
		if err.Error() != last || time.Since(said) >= 30*time.Second {
			s.log.Warn("waiting to start; will retry", "since", s.since.Round(time.Millisecond), "err", err)
			said, last = time.Now(), err.Error()
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait - time.Duration(rand.Int64N(int64(wait)/4))):
		}
	}
}
