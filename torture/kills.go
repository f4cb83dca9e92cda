package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// A quiet scene is a moment at which nothing is broken and nothing begins to be: a sinker that is killed then, and a
// Postgres that goes away, show what coming back costs by itself. One turn in thirty is such a scene, and kills so
// many times.
const (
	turnsToAScene = 30
	killsOfAScene = 4
)

// aloneInAScene are the faults of which each scene has one, after its kills.
var aloneInAScene = []string{"pg-restart", "pg-crash", "pg-failover", "pg-backend-crash", "pg-read-only"}

// killer kills sinkers besides the nemesis' faults, about st.kills times in all; whom and how far apart comes from the
// seed. Each is started again at once.
func (n *nemesis) killer(ctx context.Context) {
	st := n.st
	rng := rand.New(rand.NewPCG(st.seed, 3))
	end := time.Now().Add(st.length)
	for turn, done := 0, 0; done < st.kills; turn++ {
		mean := max(time.Until(end)/time.Duration(st.kills-done), time.Second) // what a scene has cost is made good
		if !wait(ctx, between(rng, mean/2, mean*3/2)) {
			return
		}
		if turn%turnsToAScene == turnsToAScene/10 {
			done += n.scene(ctx, rng)
		} else if st.killOne(ctx, st.one(rng)) {
			done++
		}
	}
}

// scene waits for the faults in force to end, keeps others from beginning, and kills one sinker after the other, each
// when the one before has had time to come back. Then it has Postgres go away, if this run may.
func (n *nemesis) scene(ctx context.Context, rng *rand.Rand) (killed int) {
	n.calm.Lock()
	defer n.calm.Unlock()
	if !wait(ctx, 5*time.Second) { // what the last fault left behind
		return 0
	}
	n.st.say("a quiet scene")
	first := rng.IntN(len(n.st.sinkers))
	for i := range killsOfAScene {
		s := n.st.sinkers[(first+i)%len(n.st.sinkers)]
		if n.st.killOne(ctx, s) {
			killed++
		}
		pause := between(rng, 3*time.Second, 4*time.Second)
		if s.instance == "off" { // its place is free after six seconds
			pause += 5 * time.Second
		}
		if !wait(ctx, pause) {
			return killed
		}
	}
	kind, seed := aloneInAScene[n.scenes%len(aloneInAScene)], rng.Uint64()
	n.scenes++
	if i := slices.IndexFunc(n.faults, func(f *fault) bool { return f.name == kind }); i >= 0 {
		evidence, err := n.fireAlone(ctx, n.faults[i], seed)
		n.account(kind, evidence, err)
		wait(ctx, 6*time.Second)
	}
	return killed
}

// killOne kills a sinker as soon as it runs.
func (st *stage) killOne(ctx context.Context, s *sinker) bool {
	err := within(ctx, 5*time.Second, func(context.Context) error {
		if !s.running() {
			return errors.New("not running")
		}
		return nil
	})
	if err != nil || s.kill() != nil {
		return false
	}
	st.say("  killed %s", s.name)
	return true
}
