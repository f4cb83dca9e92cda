package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// fault is one kind of trouble.
type fault struct {
	name   string
	about  string
	weight int      // how many cards of the deck; 0: one
	kills  bool     // it does nothing but kill sinkers
	locks  []string // what only one fault at a time may break: kafka, postgres, aside
	// missing says why this machine, or this run, cannot have it; "" when it can.
	missing func(*stage) string
	// fire makes the trouble, lets it last and heals it, also when ctx ends meanwhile. Its evidence says what was seen to
	// happen; without any, the fault did not really fire.
	fire func(ctx context.Context, st *stage, rng *rand.Rand) (evidence string, err error)
}

// allFaults are all kinds there are.
func allFaults() []*fault {
	return slices.Concat(sinkerFaults, postgresFaults, commitFaults, kafkaFaults, dataFaults, asideFaults, diskFaults)
}

// firing is what became of a kind in a run.
type firing struct {
	Fired    int    `json:"fired"`
	Missed   int    `json:"missed"` // it was busy, or what it breaks was broken already
	Evidence string `json:"evidence,omitempty"`
	Problem  string `json:"problem,omitempty"` // of the last miss
}

// nemesis begins faults and keeps account of them.
type nemesis struct {
	st     *stage
	faults []*fault
	locks  map[string]*sync.Mutex
	wg     sync.WaitGroup
	calm   sync.RWMutex // each fault in force reads; a quiet scene writes

	mu      sync.Mutex
	running map[string]bool
	fired   map[string]*firing
	quiet   int
	scenes  int // of the killer's
}

func newNemesis(st *stage, faults []*fault) *nemesis {
	n := &nemesis{st: st, faults: faults, running: map[string]bool{}, fired: map[string]*firing{},
		locks: map[string]*sync.Mutex{"kafka": &st.nodes, "postgres": &st.db.servers, "aside": {}, "commits": {}}}
	for _, f := range faults {
		n.fired[f.name] = &firing{}
	}
	return n
}

// run follows the plan, then gives every kind that has not fired another try.
func (n *nemesis) run(ctx context.Context, plan []round) {
	began := time.Now()
	for _, r := range plan {
		if !wait(ctx, time.Until(began.Add(r.at))) {
			break
		}
		n.st.say("round: %s", strings.Join(append(r.kinds, []string{"nothing"}[min(len(r.kinds), 1):]...), ", "))
		if len(r.kinds) == 0 {
			n.mu.Lock()
			n.quiet++
			n.mu.Unlock()
		}
		for i, kind := range r.kinds {
			n.begin(ctx, kind, r.seeds[i])
		}
	}
}

// makeUp gives the kinds that never fired another chance, some at a time.
func (n *nemesis) makeUp(ctx context.Context) {
	n.wg.Wait()
	for try := range uint64(3) {
		for kinds := range slices.Chunk(n.never(), 4) {
			if ctx.Err() != nil {
				return
			}
			n.st.say("once more: %s", strings.Join(kinds, ", "))
			for _, kind := range kinds {
				n.begin(ctx, kind, n.st.seed+try)
			}
			n.wg.Wait()
		}
	}
}

// never lists the kinds that have not fired.
func (n *nemesis) never() (kinds []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, f := range n.faults {
		if n.fired[f.name].Fired == 0 {
			kinds = append(kinds, f.name)
		}
	}
	return kinds
}

// begin fires a fault without waiting for its end, unless one of its kind is still under way.
func (n *nemesis) begin(ctx context.Context, kind string, seed uint64) {
	i := slices.IndexFunc(n.faults, func(f *fault) bool { return f.name == kind })
	n.mu.Lock()
	defer n.mu.Unlock()
	if i < 0 || n.running[kind] {
		return
	}
	n.running[kind] = true
	n.wg.Go(func() {
		evidence, err := n.fire(ctx, n.faults[i], seed)
		n.account(kind, evidence, err)
		n.mu.Lock()
		defer n.mu.Unlock()
		n.running[kind] = false
	})
}

// account notes what became of a fault.
func (n *nemesis) account(kind, evidence string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch f := n.fired[kind]; {
	case err != nil || evidence == "":
		f.Missed++
		f.Problem = fmt.Sprint(err)
		n.st.say("  %s: did not fire: %v", kind, err)
	default:
		f.Fired++
		f.Evidence = evidence
		n.st.say("  %s: %s", kind, evidence)
	}
}

// fire fires a fault unless it is a quiet scene. While a scene waits to begin no further fault does.
func (n *nemesis) fire(ctx context.Context, f *fault, seed uint64) (string, error) {
	if err := tryFor(ctx, 2*time.Minute, n.calm.TryRLock, "it is a quiet scene"); err != nil {
		return "", err
	}
	defer n.calm.RUnlock()
	return n.fireAlone(ctx, f, seed)
}

// fireAlone takes the fault's locks, in one order for all, and fires it.
func (n *nemesis) fireAlone(ctx context.Context, f *fault, seed uint64) (string, error) {
	for i, name := range f.locks {
		if err := tryFor(ctx, 60*time.Second, n.locks[name].TryLock, "another fault is at "+name); err != nil {
			for _, held := range f.locks[:i] {
				n.locks[held].Unlock()
			}
			return "", err
		}
	}
	defer func() {
		for _, name := range f.locks {
			n.locks[name].Unlock()
		}
	}()
	if err := n.st.ready(ctx, f.locks); err != nil {
		return "", err
	}
	if !f.kills {
		began := time.Now()
		defer func() { n.st.marks.fault(faultMark{f.name, began, time.Now()}) }()
	}
	return f.fire(ctx, n.st, rand.New(rand.NewPCG(seed, 2)))
}

// tryFor tries to have a lock.
func tryFor(ctx context.Context, limit time.Duration, try func() bool, why string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return until(ctx, 50*time.Millisecond, func() error {
		if !try() {
			return errors.New(why)
		}
		return nil
	})
}

// ready waits until what a fault is going to break is whole.
func (st *stage) ready(ctx context.Context, locks []string) error {
	if slices.Contains(locks, "postgres") {
		if err := within(ctx, 30*time.Second, func(ctx context.Context) error {
			return st.db.exec(ctx,
				`SELECT 1`)
		}); err != nil {
			return err
		}
	}
	if slices.Contains(locks, "kafka") {
		return within(ctx, 60*time.Second, st.led)
	}
	return nil
}

// between draws a duration.
func between(rng *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(rng.Int64N(int64(high-low)+1))
}
