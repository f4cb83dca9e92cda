package main

import (
	"testing"
	"time"
)

// The times to resume are read out of what the trigger wrote down, and only out of what nothing else disturbed.
func TestTimesToResume(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	// Process 1 moves a/0 and a/1, process 2 moves a/2. Process 1 is killed at 10 and started at 10.2 as process 11, which
	// moves a/0 at 10.5 and a/1 at 12. Postgres is away from 20 to 23; process 11 goes on at 23.4, process 2 at 24.
	log := []move{
		{at(9), "a/0", 1, 1}, {at(9.1), "a/1", 1, 1}, {at(9.2), "a/2", 2, 1},
		{at(10.01), "a/0", 1, 1}, // it was under way
		{at(10.5), "a/0", 11, 2}, {at(10.6), "a/2", 2, 1}, {at(12), "a/1", 11, 2},
		{at(19.9), "a/0", 11, 2}, {at(19.9), "a/2", 2, 1},
		{at(23.4), "a/0", 11, 2}, {at(24), "a/2", 2, 1},
	}
	usual := func() *marks {
		return &marks{
			kills:   []killMark{{"one", 1, at(10)}},
			starts:  []startMark{{"one", 1, at(0)}, {"two", 2, at(0)}, {"one", 11, at(10.2)}},
			returns: []returnMark{{down: at(20), lastFail: at(22.9), up: at(23)}},
			faults:  []faultMark{{"pg-failover", at(19), at(30)}},
		}
	}
	type want struct{ kill, restart, postgres, left, idle float64 }
	for name, c := range map[string]struct {
		change  func(*marks)
		dynamic []string
		want    want
	}{
		"Undisturbed":            {func(*marks) {}, nil, want{2, 1.8, 1, 0, 0}},
		"AnotherFaultAtTheKill":  {func(m *marks) { m.faults = append(m.faults, faultMark{"kafka-cut", at(11), at(11.5)}) }, nil, want{0, 0, 1, 1, 0}},
		"AnotherFaultAfterwards": {func(m *marks) { m.faults = append(m.faults, faultMark{"kafka-cut", at(13), at(14)}) }, nil, want{2, 1.8, 1, 0, 0}},
		"AFaultAsPostgresIsBack": {func(m *marks) { m.faults = append(m.faults, faultMark{"kafka-cut", at(22), at(23.1)}) }, nil, want{2, 1.8, 0, 2, 0}},
		"AnotherKillMeanwhile":   {func(m *marks) { m.kills = append(m.kills, killMark{"two", 2, at(11)}) }, nil, want{0, 0, 0, 4, 0}},
		"NothingMovedBefore":     {func(m *marks) { m.kills[0].pid = 99 }, nil, want{0, 0, 1, 0, 1}},
		"AFailoverTookTheLog":    {func(m *marks) { m.returns[0].down = at(22.5) }, nil, want{2, 1.8, 1, 0, 0}},
		"ACrashLongAfterwards":   {func(m *marks) { m.returns[0].down, m.faults[0].name = at(22.5), "pg-crash" }, nil, want{2, 1.8, 0, 0, 0}},
		"ADynamicMember":         {func(*marks) {}, []string{"one"}, want{0, 0, 1, 0, 0}},
		"OnlyOneWasCutOff":       {func(m *marks) { m.returns[0].sinkers = []string{"one"} }, nil, want{2, 1.8, 0.4, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			m := usual()
			c.change(m)
			r := m.measure(log, []string{"one", "two"}, c.dynamic)
			got := want{r.AfterKill.Max, r.AfterStart.Max, r.AfterPostgres.Max, float64(r.AfterKill.LeftOut + r.AfterPostgres.LeftOut), float64(r.AfterKill.Idle)}
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			if c.dynamic != nil && r.AfterKillMoved.Max != 2 {
				t.Errorf("%v", &r.AfterKillMoved)
			}
		})
	}
}

func TestQuantiles(t *testing.T) {
	var f figures
	for i := range 200 {
		f.take(time.Unix(0, 0), time.Unix(int64(i+1), 0), "x")
	}
	f.finish()
	if f.P50 != 100 || f.P99 != 198 || f.Max != 200 || f.Count != 200 {
		t.Errorf("%v", &f)
	}
}
