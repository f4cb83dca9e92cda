// Command torture runs sinker on a real Kafka and a real Postgres, breaks everything around it for as long as it is
// told, and proves afterwards that no record was lost, doubled or invented.
//
//	go run ./torture                      ten minutes
//	go run ./torture -for 1h -brokers 3   longer, with leaders that move
//	go run ./torture -seed 7              the same plan as another run that printed seed=7
//	go run ./torture -list                the kinds of faults
//
// The last line of standard output is one JSON object; the exit code is 1 on any violation. README.md says what is
// broken, what is checked, and what is not covered.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"sinker/internal/local"
	tabs "sinker/internal/table"
)

// options are the command line.
type options struct {
	length  time.Duration
	seed    uint64
	brokers int
	sinkers int
	rate    int
	only    []string
	every   interval
	most    int
	kills   int
	dir     string
	race    bool
	sinker  string
	list    bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program. It returns 0 when nothing was found, 1 when something was, 64 on wrong usage, 69 when a
// server that it needs is not installed.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "torture:", err)
		return 64
	}
	if o.list {
		t := tabs.New(stdout)
		for _, f := range allFaults() {
			t.Row(f.name, f.about)
		}
		t.Flush()
		return 0
	}
	r, err := torture(ctx, o, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "torture:", err)
	}
	if errors.Is(err, local.ErrNoKafka) || errors.Is(err, local.ErrNoPostgres) {
		return 69
	}
	if r == nil {
		return 1
	}
	r.print(stderr)
	line, _ := json.Marshal(r)
	fmt.Fprintf(stdout, "%s\n", line)
	if err != nil || !r.OK {
		return 1
	}
	return 0
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	var every, only string
	f := flag.NewFlagSet("torture", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.DurationVar(&o.length, "for", 10*time.Minute, "how long faults are made; starting, draining and checking come "+
		"on top")
	f.Uint64Var(&o.seed, "seed", 0, "of the plan (default: a new one, which is printed)")
	f.IntVar(&o.brokers, "brokers", 1, "Kafka brokers, 1 to 3")
	f.IntVar(&o.sinkers, "sinkers", 3, "sinkers, 1 to 3; the third goes through pgbouncer where it is installed")
	f.IntVar(&o.rate, "rate", 6000, "records per second")
	f.StringVar(&only, "only", "", "comma-separated kinds of faults, instead of all; none: no faults")
	f.StringVar(&every, "every", "", "time between two rounds of faults, low-high (default 20s-40s, less when the "+
		"run is short)")
	f.IntVar(&o.most, "most", 0, "most kinds that begin at once (default 4, more when the run is short)")
	f.IntVar(&o.kills, "kills", 0, "number of SIGKILLs of sinkers besides those of the faults, evenly over the run; "+
		"some of them when nothing else is broken")
	f.StringVar(&o.dir, "dir", "", "folder for logs and other traces, kept (default: a temporary one, kept only when "+
		"something was found)")
	f.BoolVar(&o.race, "race", false, "build sinker with the race detector")
	f.StringVar(&o.sinker, "sinker", "", "the sinker binary (default: build ./cmd/sinker)")
	f.BoolVar(&o.list, "list", false, "list the kinds of faults, and end")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case f.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.brokers < 1 || o.brokers > 3 || o.sinkers < 1 || o.sinkers > 3:
		return nil, errors.New("-brokers and -sinkers must be 1, 2 or 3")
	case o.rate < 100 || o.most < 0 || o.kills < 0 || o.length <= 0:
		return nil, errors.New("-rate must be at least 100, -most and -kills not negative, and -for more than nothing")
	}
	if o.seed == 0 {
		o.seed = uint64(rand.Uint32())
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	var err error
	o.every, err = o.rounds(every)
	return o, err
}

// rounds is the time between rounds: as given, or so that a run makes at least fifteen.
func (o *options) rounds(given string) (interval, error) {
	if given == "" {
		mean := min(30*time.Second, o.length/15)
		return interval{mean * 2 / 3, mean * 4 / 3}, nil
	}
	low, high, ok := strings.Cut(given, "-")
	if !ok {
		high = low
	}
	a, err1 := time.ParseDuration(low)
	b, err2 := time.ParseDuration(high)
	if err := errors.Join(err1, err2); err != nil || a <= 0 || b < a {
		return interval{}, fmt.Errorf("-every %s: want low-high, such as 20s-40s", given)
	}
	return interval{a, b}, nil
}

// choose splits the kinds into those of this run and those that it cannot have, with the reasons.
func choose(st *stage) (faults []*fault, leftOut map[string]string, err error) {
	leftOut = map[string]string{}
	for _, name := range st.only {
		if name != "none" && !slices.ContainsFunc(allFaults(), func(f *fault) bool { return f.name == name }) {
			return nil, nil, fmt.Errorf("-only: there is no kind %q; -list shows them", name)
		}
	}
	for _, f := range allFaults() {
		if st.only != nil && !slices.Contains(st.only, f.name) {
			continue
		}
		if f.missing != nil {
			if why := f.missing(st); why != "" {
				leftOut[f.name] = why
				st.say("left out: %s: %s", f.name, why)
				continue
			}
		}
		faults = append(faults, f)
	}
	return faults, leftOut, nil
}

// torture is a whole run. The report is nil when nothing could be said.
func torture(ctx context.Context, o *options, stderr io.Writer) (r *report, err error) {
	dir, remove := o.dir, func() {}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "sinker-torture-"); err != nil {
			return nil, err
		}
		remove = func() { os.RemoveAll(dir) }
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // pgbouncer and Postgres run as somebody else
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "nemesis.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	st := &stage{options: o, dir: dir, journal: newJournal(io.MultiWriter(stderr, log))}
	st.say("seed=%d, traces in %s", o.seed, dir)
	defer func() {
		err = errors.Join(err, st.close())
		switch {
		case o.dir == "" && (errors.Is(ctx.Err(), context.Canceled) || r != nil && r.OK && err == nil):
			remove()
		default:
			fmt.Fprintf(stderr, "torture: the traces are in %s\n", dir)
		}
	}()
	if err := st.open(ctx); err != nil {
		return nil, err
	}
	return st.act(ctx)
}

// act is everything from the first record to the verdict.
func (st *stage) act(ctx context.Context) (*report, error) {
	faults, leftOut, err := choose(st)
	if err != nil {
		return nil, err
	}
	r := &report{Seed: st.seed, LeftOut: leftOut}
	began := time.Now()
	if err := st.startLoad(ctx); err != nil {
		return nil, err
	}
	defer st.load.close()
	for _, s := range append(st.sinkers[:len(st.sinkers):len(st.sinkers)], st.aside) {
		if err := s.run(); err != nil {
			return nil, err
		}
	}
	watch, unwatch := st.startWatching(ctx)
	defer unwatch()
	pulsing, stopPulse := context.WithCancel(ctx)
	defer stopPulse()
	go st.pulse(pulsing)
	if err := st.warm(ctx); err != nil {
		return nil, err
	}
	n := newNemesis(st, faults)
	if st.most == 0 { // every kind shall have its turn
		rounds := int(st.length / ((st.every.low + st.every.high) / 2))
		st.most = max(4, 1+len(faults)*22/10/max(rounds, 1))
	}
	broken, heal := context.WithTimeout(ctx, st.length)
	n.wg.Go(func() { n.killer(broken) })
	n.run(broken, makePlan(st.seed, faults, st.length, st.every, st.most))
	<-broken.Done()
	heal()
	st.say("no more faults from here on")
	n.wg.Wait()
	n.makeUp(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	r.Kinds, r.Quiet = n.fired, n.quiet
	if err := st.drain(ctx, r); err != nil {
		return r, err
	}
	stopPulse()
	unwatch()
	r.watched(watch)
	if err := st.settle(ctx, r); err != nil {
		return r, err
	}
	r.Seconds = int(time.Since(began).Seconds())
	r.judge(st, n)
	return r, nil
}

// startWatching begins to look at both servers.
func (st *stage) startWatching(ctx context.Context) (all []*live, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	all = []*live{newLive(st, "on the primary", st.db.primary), newLive(st, "on the standby", st.db.standby)}
	done := make(chan struct{}, len(all))
	for i, l := range all {
		go func() {
			l.run(ctx, time.Duration(1+4*i)*200*time.Millisecond)
			done <- struct{}{}
		}()
	}
	stopped := false
	return all, func() {
		cancel()
		for range all {
			if !stopped {
				<-done
			}
		}
		stopped = true
	}
}

// warm waits until records arrive: what does not work without faults is no matter for a nemesis.
func (st *stage) warm(ctx context.Context) error {
	err := within(ctx, time.Minute, func(ctx context.Context) error {
		for _, t := range tables {
			n, err := st.db.number(ctx, `SELECT count(*) FROM (SELECT FROM `+t.name+` LIMIT 100) t`)
			if err == nil && n < 100 {
				err = fmt.Errorf("table %s has %d rows", t.name, n)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sinker does not work before the first fault: %w", err)
	}
	return nil
}
