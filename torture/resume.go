package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// figures are times in seconds.
type figures struct {
	Count   int     `json:"count"`
	P50     float64 `json:"p50"`
	P99     float64 `json:"p99"`
	Max     float64 `json:"max"`
	LeftOut int     `json:"left_out"` // another fault or kill was in force meanwhile
	Idle    int     `json:"idle"`     // nothing moved in the seconds before, so that there was nothing to resume
	times   []float64
	slowest string
}

// resumes are how long it took until work went on.
type resumes struct {
	AfterKill      figures `json:"resume_after_kill"`         // of static members, from the kill
	AfterStart     figures `json:"resume_after_restart"`      // the same kills, from the start of the next process
	AfterKillMoved figures `json:"resume_after_kill_dynamic"` // of the member without a static name, from the kill
	AfterPostgres  figures `json:"resume_after_postgres"`     // of each sinker, from Postgres' first write on
}

// move is a position that was committed.
type move struct {
	at    time.Time
	part  string
	pid   int // of the owner's process
	fence int64
}

// recently is how long before a fault something must have moved for it to have something to resume.
const recently = 2 * time.Second

// moveLog is what the trigger of I4 wrote down, in order of time: only moves that pass records, not those that take a
// partition.
func moveLog(ctx context.Context, conn *pgx.Conn) ([]move, error) {
	rows, err := conn.Query(ctx, `SELECT at, topic || '/' || partition, split_part(owner, '/', 2)::int,
		new_fence FROM torture.moves
		WHERE pipeline = $1 AND new_next > coalesce(old_next, 0) AND owner LIKE '%/%/%'
		AND application LIKE 'sinker%' AND application <> 'sinker offsets' ORDER BY at`, mainPipeline)
	if err != nil {
		return nil, err
	}
	names := map[string]string{} // one copy of each
	var log []move
	var m move
	_, err = pgx.ForEachRow(rows, []any{&m.at, &m.part, &m.pid, &m.fence}, func() error {
		if name, ok := names[m.part]; ok {
			m.part = name
		}
		names[m.part] = m.part
		log = append(log, m)
		return nil
	})
	return log, err
}

// after is the index of the first move after a moment.
func after(log []move, at time.Time) int {
	i, _ := slices.BinarySearchFunc(log, at, func(m move, at time.Time) int {
		if m.at.After(at) {
			return 1
		}
		return -1
	})
	return i
}

// resumedAfterKill is when all partitions that the killed process had been moving move again, whoever moves them. Not
// ok: it had been moving none. What never moves again does so at the end of the log.
func resumedAfterKill(log []move, k killMark) (at time.Time, ok bool) {
	killed := after(log, k.at)
	owned := map[string]int64{} // its fence, by partition
	for _, m := range log[after(log, k.at.Add(-recently)):killed] {
		if m.pid == k.pid {
			owned[m.part] = m.fence
		} else {
			delete(owned, m.part)
		}
	}
	if len(owned) == 0 {
		return at, false
	}
	for _, m := range log[killed:] {
		// A COMMIT that was under way at the kill still has the fence of the dead.
		if fence, waited := owned[m.part]; waited && m.fence > fence {
			delete(owned, m.part)
			at = m.at
		}
		if len(owned) == 0 {
			return at, true
		}
	}
	if len(log) > 0 {
		at = log[len(log)-1].at
	}
	return at, true
}

// span is a stretch of time in which something was broken.
type span struct {
	name     string
	from, to time.Time
}

// alone says whether no span but those named reaches into [from, to].
func alone(spans []span, from, to time.Time, but ...string) bool {
	return !slices.ContainsFunc(spans, func(s span) bool {
		return !slices.Contains(but, s.name) && s.from.Before(to) && s.to.After(from)
	})
}

// measure works out the times from the marks and the log. dynamic are the sinkers without a static name.
func (m *marks) measure(log []move, sinkers, dynamic []string) (r resumes) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var broken []span
	for _, f := range m.faults {
		broken = append(broken, span(f))
	}
	back := make([]time.Time, len(m.kills))
	for i, k := range m.kills {
		at, ok := resumedAfterKill(log, k)
		if !ok {
			at = k.at.Add(recently)
		}
		back[i] = at
		broken = append(broken, span{killName(i), k.at, at})
	}
	for i, k := range m.kills {
		_, ok := resumedAfterKill(log, k)
		into := &r.AfterKill
		if slices.Contains(dynamic, k.sinker) {
			into = &r.AfterKillMoved
		}
		switch started := m.startAfter(k); {
		case !ok:
			into.Idle++
		case !alone(broken, k.at, back[i], killName(i)):
			into.LeftOut++
		default:
			into.take(k.at, back[i], k.sinker)
			if into == &r.AfterKill {
				r.AfterStart.take(started, back[i], k.sinker)
			}
		}
	}
	for _, p := range m.returns {
		m.measureReturn(&r.AfterPostgres, log, broken, p, sinkers)
	}
	for _, f := range []*figures{&r.AfterKill, &r.AfterStart, &r.AfterKillMoved, &r.AfterPostgres} {
		f.finish()
	}
	return r
}

func killName(i int) string { return fmt.Sprintf("kill %d", i) }

// startAfter is when the killed sinker was started again.
func (m *marks) startAfter(k killMark) time.Time {
	for _, s := range m.starts {
		if s.sinker == k.sinker && s.at.After(k.at) {
			return s.at
		}
	}
	return k.at
}

// measureReturn takes one time for each sinker that moved something before Postgres went.
func (m *marks) measureReturn(into *figures, log []move, broken []span, p returnMark, sinkers []string) {
	var cause []string // what took Postgres away may end later than that, as with the new standby of a failover
	for _, f := range m.faults {
		if f.from.Before(p.up) && f.to.After(p.down) && takesPostgres[f.name] {
			cause = append(cause, f.name)
		}
	}
	if p.sinkers != nil {
		sinkers = p.sinkers
	}
	before := recently
	if slices.Contains(cause, "pg-failover") { // it takes the newest moves, of the log too
		before = 20 * time.Second
	}
	for _, name := range sinkers {
		at, ok := m.firstCommit(log, p, before, name)
		switch {
		case !ok:
			into.Idle++
		case !alone(broken, p.up, at, cause...):
			into.LeftOut++
		default:
			into.take(p.up, at, fmt.Sprint(name, " after ", cause))
		}
	}
}

// firstCommit is a sinker's first after Postgres has come back.
func (m *marks) firstCommit(log []move, p returnMark, before time.Duration, sinker string) (at time.Time, ok bool) {
	pids := map[int]bool{}
	for _, s := range m.starts {
		if s.sinker == sinker {
			pids[s.pid] = true
		}
	}
	ours := func(m move) bool { return pids[m.pid] }
	if !slices.ContainsFunc(log[after(log, p.down.Add(-before)):after(log, p.down)], ours) {
		return at, false
	}
	rest := log[after(log, p.lastFail):]
	if i := slices.IndexFunc(rest, ours); i >= 0 {
		return rest[i].at, true
	}
	return log[len(log)-1].at, true
}

func (f *figures) take(from, to time.Time, who string) {
	t := math.Max(0, to.Sub(from).Seconds())
	if len(f.times) == 0 || t > slices.Max(f.times) {
		f.slowest = who + " at " + from.Format("15:04:05.000")
	}
	f.times = append(f.times, t)
}

func (f *figures) finish() {
	slices.Sort(f.times)
	if f.Count = len(f.times); f.Count == 0 {
		return
	}
	f.P50, f.P99, f.Max = f.quantile(0.5), f.quantile(0.99), f.quantile(1)
}

// quantile is the smallest time that such a part of all does not exceed, in milliseconds' precision.
func (f *figures) quantile(q float64) float64 {
	i := int(math.Ceil(q*float64(len(f.times)))) - 1
	return math.Round(f.times[max(i, 0)]*1000) / 1000
}

func (f *figures) String() string {
	if f.Count == 0 {
		return fmt.Sprintf("not measured: left out %d because of other faults, %d because nothing moved before", f.LeftOut,
			f.Idle)
	}
	return fmt.Sprintf("p50 %.2f s, p99 %.2f s, max %.2f s (%s) of %d; left out %d because of other faults, %d "+
		"because nothing moved before", f.P50, f.P99, f.Max, f.slowest, f.Count, f.LeftOut, f.Idle)
}

// resume fills in the report's times.
func (st *stage) resume(ctx context.Context, conn *pgx.Conn, r *report) error {
	log, err := moveLog(ctx, conn)
	if err != nil || len(log) == 0 {
		return err
	}
	var all, dynamic []string
	for _, s := range st.sinkers {
		all = append(all, s.name)
		if s.instance == "off" {
			dynamic = append(dynamic, s.name)
		}
	}
	r.resumes = st.marks.measure(log, all, dynamic)
	return nil
}
