package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	tabs "sinker/internal/table"

	"github.com/jackc/pgx/v5"
)

// report is what a run found; its JSON is the last line of standard output.
type report struct {
	OK      bool  `json:"ok"`
	Records int64 `json:"records"` // committed ones, as Kafka's own reader counts them, and those of the small topics
	differences
	resumes
	Kills    int                `json:"kills"`        // SIGKILLs and crashes: of sinkers, of brokers, of Postgres
	Sinkers  int                `json:"sinker_kills"` // of these: SIGKILLs of sinkers
	Kinds    map[string]*firing `json:"kinds"`
	InDoubt  int                `json:"in_doubt_commits"`
	Failover int                `json:"failovers"`
	Seed     uint64             `json:"seed"`
	Seconds  int                `json:"seconds"`

	DeadLetters int64             `json:"dead_letters"`
	Groups      int64             `json:"aggregate_groups"`  // rows of the table of sums, each compared
	Summed      int64             `json:"aggregate_records"` // that are in them
	Aborted     int64             `json:"aborted_transactions"`
	KafkaLost   int64             `json:"kafka_lost"` // records that Kafka had taken and does not have: not sinker's
	LiveLooks   int64             `json:"live_looks"`
	LiveRows    int64             `json:"live_rows"`
	LongestStop float64           `json:"longest_stop_seconds"` // the longest time without progress, outages included
	Drained     float64           `json:"drained_seconds"`
	Quiet       int               `json:"quiet_rounds"`
	LeftOut     map[string]string `json:"left_out,omitempty"`
	Problems    []string          `json:"problems,omitempty"`
}

// drain ends the load and waits until every position is at the end of its partition.
func (st *stage) drain(ctx context.Context, r *report) error {
	wait(ctx, min(20*time.Second, st.length/6)) // the load goes on: what a fault left behind shows under load
	st.load.stop()
	err := within(ctx, 2*time.Minute, func(ctx context.Context) error { return st.led(ctx) })
	if err != nil {
		return err
	}
	ending, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := st.load.markers(ending); err != nil {
		return err
	}
	began := time.Now()
	st.say("the load has ended, %d records; draining", st.load.sent.Load())
	err = within(ctx, 5*time.Minute, st.drained)
	r.Drained = time.Since(began).Seconds()
	if err != nil {
		r.Problems = append(r.Problems, fmt.Sprintf("I7: five minutes after the last record: %v", err))
	}
	for _, s := range append(st.sinkers[:len(st.sinkers):len(st.sinkers)], st.aside) {
		if err := s.hold(syscall.SIGTERM); err != nil {
			r.Problems = append(r.Problems, "I7: "+err.Error())
		}
	}
	return nil
}

// drained says which position is not at its end. The ends are those of the log, not of what can be read at the
// moment: a transaction that a broken producer left open ends by its timeout, and what stands behind it is to be read
// too.
func (st *stage) drained(ctx context.Context) error {
	for _, t := range tables {
		ends, err := st.logEnds(ctx, t.name)
		if err != nil {
			return err
		}
		for p, end := range ends {
			at, err := st.db.number(ctx, `SELECT coalesce(max(next_offset), 0) FROM sinker.offsets WHERE pipeline = $1 AND
				topic = $2 AND partition = $3`, mainPipeline, t.name, p)
			if err == nil && at != end {
				err = fmt.Errorf("%s/%d is at %d of %d", t.name, p, at, end)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// settle holds everything against the truth.
func (st *stage) settle(ctx context.Context, r *report) error {
	conn, err := st.db.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, t := range tables {
		ends, err := st.ends(ctx, t.name)
		if err != nil {
			return err
		}
		tr, err := st.readTruth(ctx, t, len(ends))
		if err != nil {
			return err
		}
		d, rows, letters, err := checkTable(ctx, conn, t, tr)
		if err == nil && t.sums != "" {
			err = st.settleSums(ctx, conn, t, tr, r)
		}
		tr.close()
		if err != nil {
			return err
		}
		st.say("%s: Kafka's own reader shows %d records; %d rows, %d dead letters; lost %d, duplicated %d, phantom %d, "+
			"changed %d", t.name, tr.records, rows, letters, d.Lost, d.Duplicated, d.Phantom, d.Changed)
		r.add(d)
		r.Records += tr.records
		r.DeadLetters += letters
		r.acked(st, t, tr)
	}
	if err := st.resume(ctx, conn, r); err != nil {
		return err
	}
	d, n, err := st.checkAside(ctx, conn)
	if err != nil {
		return err
	}
	r.add(d)
	r.Records += n
	problems, err := checkBooks(ctx, conn)
	r.Problems = append(r.Problems, problems...)
	return err
}

// settleSums does so for a table of sums, and its dead letters.
func (st *stage) settleSums(ctx context.Context, conn *pgx.Conn, t *table, tr *truth, r *report) error {
	d, rows, err := checkSums(ctx, conn, t.sums, tr.sums)
	if err != nil {
		return err
	}
	e, letters, err := checkLetters(ctx, conn, t, t.sums, tr.all(isDead))
	if err != nil {
		return err
	}
	d.add(e)
	st.say("%s: %d groups of %d records, recomputed from what Kafka's own reader shows; %d dead letters; lost %d, "+
		"duplicated %d, phantom %d, changed %d", t.sums, rows, totalOf(tr.sums), letters, d.Lost, d.Duplicated, d.Phantom,
		d.Changed)
	r.add(d)
	r.Groups, r.Summed = r.Groups+rows, r.Summed+totalOf(tr.sums)
	r.DeadLetters += letters
	return nil
}

// acked holds what Kafka holds against what the producers were told. Compaction takes records away by right.
func (r *report) acked(st *stage, t *table, tr *truth) {
	if !t.upsert {
		n, few := st.load.acked[t.name].missing(&tr.seen)
		if r.KafkaLost += n; n > 0 {
			st.say("%s: Kafka has lost %d records that it had taken, such as %v; that is not sinker's doing", t.name, n, few)
		}
	}
	if tr.twice > 0 {
		st.say("%s: Kafka has %d records twice; that is not sinker's doing", t.name, tr.twice)
	}
}

// watched takes over what the live readers saw.
func (r *report) watched(all []*live) {
	for _, l := range all {
		l.mu.Lock()
		r.LiveLooks += l.looks
		r.LiveRows += l.counted
		if l.where == "on the primary" {
			r.LongestStop = max(l.longest, time.Since(l.moved)).Seconds()
		}
		l.mu.Unlock()
	}
}

// judge says whether the run is good: nothing was found, and what was to fire has fired.
func (r *report) judge(st *stage, n *nemesis) {
	st.tally.mu.Lock()
	r.Kills, r.Sinkers, r.Failover = st.tally.kills, st.tally.sinkers, st.tally.failovers
	r.Problems = append(r.Problems, st.tally.problems...)
	st.tally.mu.Unlock()
	r.InDoubt, r.Aborted = st.inDoubt(), st.load.aborts.Load()
	r.Problems = append(r.Problems, r.examples...)
	for _, kind := range n.never() {
		r.Problems = append(r.Problems, fmt.Sprintf("the fault %s never really fired: %s", kind, n.fired[kind].Problem))
	}
	if r.LiveLooks == 0 || r.LiveRows == 0 {
		r.Problems = append(r.Problems, "I5: the live reader saw nothing")
	}
	r.Problems = append(r.Problems, st.panics()...)
	r.OK = r.total() == 0 && len(r.Problems) == 0
}

// panics looks for what no log may hold.
func (st *stage) panics() (found []string) {
	logs, _ := filepath.Glob(filepath.Join(st.dir, "sinker-*.log"))
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			found = append(found, err.Error())
		}
		for _, word := range []string{"panic: ", "fatal error: ", "DATA RACE"} {
			if strings.Contains(string(text), word) {
				found = append(found, fmt.Sprintf("%s says %q", filepath.Base(path), word))
			}
		}
	}
	return found
}

// print is for people.
func (r *report) print(w io.Writer) {
	fmt.Fprintln(w)
	t := tabs.New(w, "kind", "fired", "missed", "evidence")
	for _, kind := range slices.Sorted(maps.Keys(r.Kinds)) {
		f := r.Kinds[kind]
		t.Row(kind, f.Fired, f.Missed, f.Evidence)
	}
	for _, kind := range slices.Sorted(maps.Keys(r.LeftOut)) {
		t.Row(kind, "", "", "left out: "+r.LeftOut[kind])
	}
	t.Flush()
	fmt.Fprintf(w, "\n%d records, %d kills (%d of sinkers), %d kinds, %d COMMITs in doubt, %d failovers, %d looks at "+
		"live tables, seed %d, %d s\n", r.Records, r.Kills, r.Sinkers, len(r.Kinds), r.InDoubt, r.Failover, r.LiveLooks,
		r.Seed, r.Seconds)
	fmt.Fprintf(w, "lost %d, duplicated %d, phantom %d, changed %d\n", r.Lost, r.Duplicated, r.Phantom, r.Changed)
	fmt.Fprintln(w, "work went on")
	t = tabs.New(w)
	t.Row("  after a SIGKILL (static)", &r.AfterKill)
	t.Row("  after the next start", &r.AfterStart)
	t.Row("  after a SIGKILL (dynamic)", &r.AfterKillMoved)
	t.Row("  of each after Postgres was back", &r.AfterPostgres)
	t.Flush()
	for _, p := range r.Problems {
		fmt.Fprintf(w, "PROBLEM %s\n", p)
	}
}
