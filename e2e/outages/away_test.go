package outages

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sinker/e2e"
)

// away is how long Postgres is away: longer than any session or timeout.
const away = 2 * time.Minute

// TestTwoMinutesAway stops Postgres for two minutes, once in the middle of a load, and once while partitions are being
// assigned. No member may leave the group, memory stays bounded though records keep coming, and work goes on at once.
func TestTwoMinutesAway(t *testing.T) {
	t.Run("DuringBatches", func(t *testing.T) {
		s := newScene(t, false)
		a, b := s.member("a"), s.member("b")
		stop := s.load()
		s.moves(s.pg)
		s.eventually("both members to own partitions", func() bool { return a.owns() == partitions/2 && b.owns() == partitions/2 })
		before := a.rebalances() + b.rebalances()
		if err := s.pg.Stop("immediate"); err != nil {
			t.Fatal(err)
		}
		s.waitAway(a, b)
		s.back()
		if after := a.rebalances() + b.rebalances(); after != before {
			t.Errorf("%d rebalances, there were %d before the outage", after, before)
		}
		stop()
		s.reckon(s.pg)
		a.Stop(patience)
		b.Stop(patience)
	})

	t.Run("DuringAnAssignment", func(t *testing.T) {
		s := newScene(t, false)
		a, b := s.member("a"), s.member("b")
		stop := s.load()
		s.moves(s.pg)
		s.eventually("both members to own partitions", func() bool { return a.owns() == partitions/2 && b.owns() == partitions/2 })
		if err := s.pg.Stop("immediate"); err != nil {
			t.Fatal(err)
		}
		before := a.rebalances()
		b.Kill() // the group gives its partitions to the other, which cannot take them
		s.eventually("the partitions to be given to the other member", func() bool { return a.rebalances() > before })
		before = a.rebalances()
		s.waitAway(a)
		s.back()
		if after := a.rebalances(); after != before {
			t.Errorf("%d rebalances, there were %d at the beginning of the outage", after, before)
		}
		s.eventually("the other member to own all partitions", func() bool { return a.owns() == partitions })
		stop()
		s.reckon(s.pg)
		a.Stop(patience)
	})
}

// member is a sinker whose metrics can be read.
type member struct {
	*e2e.Process
	t   *testing.T
	url string
}

func (s *scene) member(name string, args ...string) *member {
	s.t.Helper()
	port, err := e2e.FreePort()
	if err != nil {
		s.t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	p := e2e.Start(s.t, name, s.config(s.url(s.pg)), append([]string{"--http", address}, args...)...)
	m := &member{Process: p, t: s.t, url: "http://" + address}
	s.eventually(name+" to answer", func() bool {
		resp, err := http.Get(m.url + "/livez")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return true
	})
	return m
}

// metric is the sum of a metric's values, and how many there are.
func (m *member) metric(name string) (sum float64, series int) {
	m.t.Helper()
	resp, err := http.Get(m.url + "/metrics")
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^`+name+`(?:\{[^}]*\})? (\S+)$`).FindAllStringSubmatch(string(text), -1)
	for _, f := range found {
		v, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			m.t.Fatal(err)
		}
		sum += v
	}
	return sum, len(found)
}

// rebalances counts the assignments that the member was given.
func (m *member) rebalances() int {
	n, _ := m.metric("sinker_rebalances_total")
	return int(n)
}

// owns is how many partitions it shows a position of.
func (m *member) owns() int {
	_, n := m.metric("sinker_db_offset")
	return n
}

// resident is the most memory that a process has had, in MB; 0 where that cannot be known.
func resident(p *e2e.Process) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0 // not Linux
	}
	for line := range strings.Lines(string(text)) {
		var kB int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kB); n == 1 {
			return kB / 1000
		}
	}
	return 0
}

// waitAway lets the outage last. Meanwhile the members must stay up.
func (s *scene) waitAway(members ...*member) {
	s.t.Helper()
	end := time.NewTimer(away)
	defer end.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-end.C:
			for _, m := range members {
				if r := resident(m.Process); r > 200 {
					s.t.Errorf("%s has %d MB resident after the outage", m.Name, r)
				}
			}
			return
		case <-tick.C:
			for _, m := range members {
				if err := m.Alive(); err != nil {
					s.t.Fatal(err)
				}
			}
		}
	}
}

// back starts Postgres again and says how long it took until more was committed.
func (s *scene) back() {
	s.t.Helper()
	if err := s.pg.Start(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	start := time.Now()
	s.moves(s.pg)
	took := time.Since(start)
	s.t.Logf("working again %.1f s after Postgres answered", took.Seconds())
	if took > 5*time.Second {
		s.t.Errorf("working again only %v after Postgres answered", took)
	}
}
