package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"sinker/e2e"
)

const (
	stormPartitions = 6
	stormChanges    = 24
	stormGap        = 500 * time.Millisecond
)

// Processes join and leave a group every half second, some of them by SIGKILL, under each protocol of a real broker's
// groups, and while a group changes over from one to another. No record may be lost or doubled, and work goes on.
func TestRebalanceStorm(t *testing.T) {
	const (
		cooperative = ", balancer: cooperative-sticky, instance: off"
		eager       = ", balancer: range, instance: off"
		static      = ", balancer: cooperative-sticky"
		serverSide  = ", balancer: server, instance: off"
	)
	for _, c := range []struct {
		name   string
		kafka  []string // of the processes, from the first to the last
		killed bool     // every other one that goes, goes by SIGKILL
	}{
		{"cooperative", []string{cooperative}, true},
		{"static", []string{static}, true},
		{"eager-to-cooperative", []string{eager, cooperative}, true},
		// A killed member of a KIP-848 group keeps its partitions for 45 s at least: the brokers allow no shorter session.
		{"server-side", []string{serverSide}, false},
		{"server-side-static", []string{", balancer: server"}, false},
		{"classic-to-server-side", []string{cooperative, serverSide}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStorm(t, c.name, c.kafka)
			over := make(chan struct{})
			produced := make(chan error, 1)
			go func() { produced <- steadily(t.Context(), s.Load, 100, over) }()
			s.join(0)
			s.join(0)
			s.everybodyWorks()
			s.blow(c.killed)
			s.everybodyWorks()
			close(over)
			if err := <-produced; err != nil {
				t.Fatal(err)
			}
			s.Drained(2*time.Minute, s.Name, s.processes...)
			for _, p := range s.processes {
				p.Stop(20 * time.Second)
			}
			s.EveryRecord(s.Verify(e2e.Check{Pipeline: s.Name, Topic: s.Name, Table: "records"}))
			s.pauses()
		})
	}
}

// groupStorm is a group whose members come and go.
type groupStorm struct {
	*e2e.Case
	t         *testing.T
	configs   []string
	rng       *rand.Rand
	processes []*e2e.Process
	came      int
}

func newStorm(t *testing.T, name string, kafka []string) *groupStorm {
	s := &groupStorm{Case: bed.Use(t).NewCase(t, "storm-"+name, stormPartitions), t: t, rng: rand.New(rand.NewPCG(1, 1))}
	for _, k := range kafka {
		s.configs = append(s.configs, e2e.Config(t, s.YAML(e2e.Settings{Kafka: k, Rows: 2000, Head: "workers: 1"})))
	}
	return s
}

// blow lets two to six processes come and go. Where there are several configurations, the share of the last one grows.
func (s *groupStorm) blow(killed bool) {
	s.t.Helper()
	tick := time.NewTicker(stormGap)
	defer tick.Stop()
	for i := range stormChanges {
		<-tick.C
		if n := len(s.processes); n <= 2 || n < stormPartitions && s.rng.IntN(2) == 0 {
			s.join(i * len(s.configs) / stormChanges)
		} else {
			s.leave(s.rng.IntN(n), killed && i%2 == 0)
		}
	}
}

func (s *groupStorm) join(config int) {
	s.came++
	s.processes = append(s.processes, e2e.Start(s.t, fmt.Sprintf("member-%d", s.came), s.configs[config]))
}

func (s *groupStorm) leave(i int, killed bool) {
	p := s.processes[i]
	s.processes = append(s.processes[:i], s.processes[i+1:]...)
	if killed {
		p.Kill()
	} else {
		p.Stop(20 * time.Second)
	}
}

// everybodyWorks waits until each process has a partition.
func (s *groupStorm) everybodyWorks() {
	s.t.Helper()
	s.Until(90*time.Second, "every process having a partition", func(ctx context.Context) error {
		for _, p := range s.processes {
			var n int
			err := s.DB.QueryRow(ctx, `SELECT count(*) FROM sinker.offsets WHERE pipeline = $1 AND owner LIKE '%/' || $2::text || '/%'`, s.Name, strconv.Itoa(p.PID())).Scan(&n)
			if err != nil || n == 0 {
				return fmt.Errorf("%s has none: %w", p.Name, e2e.ErrNotYet)
			}
		}
		return nil
	}, s.processes...)
}

// pauses looks at the ledger for the longest time without a commit. Within a range there is none of more than a minute: the
// first commit after that begins another.
func (s *groupStorm) pauses() {
	s.t.Helper()
	var longest float64
	var commits int
	err := s.DB.QueryRow(s.t.Context(), `SELECT coalesce(max(extract(epoch FROM gap)), 0)::float8, count(*)
		FROM (SELECT began_at - max(committed_at) OVER (ORDER BY began_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS gap FROM sinker.ledger WHERE pipeline = $1) t`, s.Name).Scan(&longest, &commits)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("%d processes came; %d ranges committed, the longest pause %.1f s", s.came, commits, longest)
	if longest > 60 {
		s.t.Errorf("nothing was committed for %.0f s", longest)
	}
}
