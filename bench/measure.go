package main

import (
	"context"
	"slices"
	"syscall"
	"time"
)

// measure is one turn of one side. CPU times are microseconds per row; -1 where the process cannot be seen from here.
type measure struct {
	Seconds       float64 `json:"seconds"`         // wall, from the client process' start to its exit
	RowsPerSecond float64 `json:"rows_per_second"` // rows / Seconds

	ClientCPU   float64 `json:"client_cpu_us"` // sinker, or psql
	PostgresCPU float64 `json:"postgres_cpu_us"`
	BrokerCPU   float64 `json:"broker_cpu_us"`
	OtherCores  float64 `json:"other_cores"` // busy with other work: the kernel's writing, and whatever disturbs

	// By the commit timestamps in Postgres; all 0 when it does not track them.
	Commits     int     `json:"commits"`
	ToFirst     float64 `json:"seconds_to_first_commit"` // from the process' start
	FirstToLast float64 `json:"seconds_first_to_last_commit"`
	SteadyRate  float64 `json:"steady_rows_per_second"` // of the rows after the first commit, between it and the last
	ToExit      float64 `json:"seconds_last_commit_to_exit"`

	PeakRSS    int64   `json:"peak_rss_bytes,omitempty"` // VmHWM of sinker
	AllocBytes float64 `json:"alloc_bytes_per_row,omitempty"`
	Allocs     float64 `json:"allocs_per_row,omitempty"`
}

// side is one of those who take turns: sinker, or something to compare it with.
type side struct {
	name string
	turn func(ctx context.Context, n int) (measure, error)
}

// turns are all that one side did, and the median of each figure.
type turns struct {
	Name   string    `json:"name"`
	Runs   []measure `json:"runs"`
	Median measure   `json:"median"`
}

// usage is what the measured work says of itself.
type usage struct {
	cpu   time.Duration
	start time.Time // of the client's process
	end   time.Time // of its exit
}

// snapshot is the CPU time that everyone has used so far.
type snapshot struct{ postgres, broker, machine, self time.Duration }

func (e *env) snapshot() snapshot {
	s := snapshot{postgres: treeCPU(e.pg.pid), broker: treeCPU(e.kafka.pid), machine: machineCPU()}
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil {
		s.self = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return s
}

// measure runs work, which moves the given number of rows, and says what it took.
func (e *env) measure(rows int64, work func() (usage, error)) (measure, usage, error) {
	before := e.snapshot()
	u, err := work()
	after := e.snapshot()
	if err != nil {
		return measure{}, u, err
	}
	wall := u.end.Sub(u.start).Seconds()
	perRow := func(d time.Duration) float64 { return float64(d) / 1e3 / float64(rows) }
	m := measure{Seconds: wall, RowsPerSecond: float64(rows) / wall, ClientCPU: perRow(u.cpu), PostgresCPU: -1,
		BrokerCPU: -1}
	pg, broker := after.postgres-before.postgres, after.broker-before.broker
	if e.pg.pid != 0 {
		m.PostgresCPU = perRow(pg)
	}
	if e.kafka.pid != 0 {
		m.BrokerCPU = perRow(broker)
	}
	rest := after.machine - before.machine - pg - broker - u.cpu - (after.self - before.self)
	m.OtherCores = max(0, rest.Seconds()/wall)
	return m, u, nil
}

// addCommits fills in when the rows of a table were committed.
func (m *measure) addCommits(c commits, rows int64, u usage) {
	if c.n == 0 {
		return
	}
	m.Commits = c.n
	m.ToFirst = c.first.Sub(u.start).Seconds()
	m.FirstToLast = c.last.Sub(c.first).Seconds()
	m.ToExit = u.end.Sub(c.last).Seconds()
	if m.FirstToLast > 0 {
		m.SteadyRate = float64(rows-c.firstRows) / m.FirstToLast
	}
}

// alternate lets the sides take turns: one that does not count, and then as many as -repeat says.
func (e *env) alternate(ctx context.Context, sides []side) ([]turns, error) {
	for _, s := range sides { // nobody's first turn counts: caches are cold, and a young JVM is not compiled yet
		m, err := s.turn(ctx, -1)
		if err != nil {
			return nil, err
		}
		e.say("  warm-up %-24s %8.0f rows/s", s.name, m.RowsPerSecond)
	}
	all := make([]turns, len(sides))
	for n := range e.repeat {
		for i, s := range sides {
			m, err := s.turn(ctx, n)
			if err != nil {
				return nil, err
			}
			e.say("  %d/%d %-24s %8.0f rows/s", n+1, e.repeat, s.name, m.RowsPerSecond)
			all[i].Name = s.name
			all[i].Runs = append(all[i].Runs, m)
		}
	}
	for i := range all {
		all[i].Median = medians(all[i].Runs)
	}
	return all, nil
}

// medians takes the median of every figure by itself.
func medians(runs []measure) measure {
	of := func(figure func(measure) float64) float64 {
		v := make([]float64, len(runs))
		for i, r := range runs {
			v[i] = figure(r)
		}
		return median(v)
	}
	return measure{
		Seconds:       of(func(m measure) float64 { return m.Seconds }),
		RowsPerSecond: of(func(m measure) float64 { return m.RowsPerSecond }),
		ClientCPU:     of(func(m measure) float64 { return m.ClientCPU }),
		PostgresCPU:   of(func(m measure) float64 { return m.PostgresCPU }),
		BrokerCPU:     of(func(m measure) float64 { return m.BrokerCPU }),
		OtherCores:    of(func(m measure) float64 { return m.OtherCores }),
		Commits:       int(of(func(m measure) float64 { return float64(m.Commits) })),
		ToFirst:       of(func(m measure) float64 { return m.ToFirst }),
		FirstToLast:   of(func(m measure) float64 { return m.FirstToLast }),
		SteadyRate:    of(func(m measure) float64 { return m.SteadyRate }),
		ToExit:        of(func(m measure) float64 { return m.ToExit }),
		PeakRSS:       int64(of(func(m measure) float64 { return float64(m.PeakRSS) })),
		AllocBytes:    of(func(m measure) float64 { return m.AllocBytes }),
		Allocs:        of(func(m measure) float64 { return m.Allocs }),
	}
}

// median of a non-empty list; of an even number, the mean of the two in the middle.
func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
