package consume

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"sinker/internal/local/await"
)

// So many members come or go, one every stormGap.
const (
	stormChanges = 18
	stormGap     = 500 * time.Millisecond
)

// TestRebalanceStorm lets members join and leave a group every half second while records come, under each protocol of
// Kafka's groups: nothing may be lost or doubled, and work must go on all the time.
func TestRebalanceStorm(t *testing.T) {
	if testing.Short() {
		t.Skip("a minute; left out with -short")
	}
	t.Parallel()
	for name, c := range map[string]struct {
		balancers []string // of the members, in turn
		static    bool
	}{
		"Cooperative":       {[]string{"cooperative-sticky"}, false},
		"CooperativeStatic": {[]string{"cooperative-sticky"}, true},
		"Eager":             {[]string{"range"}, false},
		"EagerStatic":       {[]string{"sticky"}, true},
		"ServerSide":        {[]string{"server"}, false},
		"ServerSideStatic":  {[]string{"server"}, true},
		"BalancerChanges":   {[]string{"range", "cooperative-sticky"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStorm(t, c.balancers, c.static)
			s.blow()
			s.everyPartitionOwned()
			s.produce("orders", 6, 10)
			s.caughtUp("orders")
			for len(s.members) > 0 {
				s.leave(0)
			}
			s.checkExactlyOnce()
			t.Logf("%d members came, %d went; %d commits, the longest pause %.1f s", s.came, s.went, s.commits, s.pause.Seconds())
			if s.pause > 30*time.Second {
				t.Errorf("nothing was committed for %s", s.pause)
			}
		})
	}
}

// storm is a group whose members come and go.
type storm struct {
	*bench
	balancers []string
	static    bool
	members   []stormMember
	came      int
	went      int

	mu      sync.Mutex
	last    time.Time // commit
	pause   time.Duration
	commits int
}

type stormMember struct {
	seat int // of a static membership
	svc  *Service
	stop func() error
}

func newStorm(t *testing.T, balancers []string, static bool) *storm {
	return &storm{bench: newBench(t, "orders", 6), balancers: balancers, static: static, last: time.Now()}
}

// blow lets members come and go at random, two to eight at a time, and produces meanwhile.
func (s *storm) blow() {
	s.join()
	s.join()
	rng := rand.New(rand.NewPCG(1, 2))
	tick := time.NewTicker(stormGap / 10)
	defer tick.Stop()
	for i := range 10 * stormChanges {
		s.produce("orders", 6, 10)
		if i%10 == 9 {
			if n := len(s.members); n <= 2 || n < 8 && rng.IntN(2) == 0 {
				s.join()
			} else {
				s.leave(rng.IntN(n))
			}
		}
		<-tick.C
	}
}

func (s *storm) join() {
	s.t.Helper()
	cfg := s.config("orders")
	cfg.Balancer = s.balancers[s.came%len(s.balancers)]
	cfg.Observe = s.committed
	m := stormMember{seat: s.freeSeat()}
	var instances []string
	if s.static {
		instances = []string{fmt.Sprint("seat-", m.seat)}
	}
	m.svc, m.stop = s.runAs(cfg, instances)
	s.members = append(s.members, m)
	s.came++
}

// everyPartitionOwned waits for the calm: every member has joined, and they share the partitions.
func (s *storm) everyPartitionOwned() {
	s.t.Helper()
	await.Until(s.t, "every member to have joined, and every partition to have an owner", func() bool {
		joined, owned := 0, 0
		for _, m := range s.members {
			if w := m.svc.States()[0]; w.Joined {
				joined++
				owned += len(w.Partitions)
			}
		}
		return joined == len(s.members) && owned == 6
	})
}

// freeSeat is the lowest number that no member has.
func (s *storm) freeSeat() int {
	taken := map[int]bool{}
	for _, m := range s.members {
		taken[m.seat] = true
	}
	seat := 0
	for taken[seat] {
		seat++
	}
	return seat
}

func (s *storm) leave(i int) {
	s.t.Helper()
	m := s.members[i]
	s.members = append(s.members[:i], s.members[i+1:]...)
	s.went++
	if err := m.stop(); err != nil {
		s.t.Errorf("a member that was told to go: %v", err)
	}
}

func (s *storm) committed(r Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pause = max(s.pause, r.At.Sub(s.last))
	s.last = r.At
	s.commits++
}

// runAs starts a service of one worker, as a static member if instances says so.
func (b *bench) runAs(cfg Config, instances []string) (svc *Service, stop func() error) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	svc = NewService(cfg, 1, instances, func(int) Store { return b.store() }, nil)
	done := make(chan error, 1)
	go func() { done <- svc.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	b.t.Cleanup(func() { stop() })
	return svc, stop
}
