package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// A quiet scene is a moment at which nothing is broken and nothing begins to be: a sinker that is killed then shows what
// coming back costs by itself. One turn in thirty is such a scene, and kills so many times.
const (
	turnsToAScene = 30
	killsOfAScene = 4
)

// killer kills sinkers besides the nemesis' faults, about st.kills times in all, at times of its own that come from the
// seed. Each is started again at once.
func (n *nemesis) killer(ctx context.Context) {
	st := n.st
	if st.kills == 0 {
		return
	}
	rng := rand.New(rand.NewPCG(st.seed, 3))
	mean := st.length / time.Duration(st.kills)
	for turn, done := 0, 0; done < st.kills; turn++ {
		if !wait(ctx, between(rng, mean/2, mean*3/2)) {
			return
		}
		if turn%turnsToAScene == turnsToAScene/10 {
			done += n.scene(ctx, rng)
		} else if st.killOne(ctx, st.one(rng), false) {
			done++
		}
	}
}

// scene waits for the faults in force to end, keeps others from beginning, and kills one sinker after the other, each
// when the one before has had time to come back.
func (n *nemesis) scene(ctx context.Context, rng *rand.Rand) (killed int) {
	n.calm.Lock()
	defer n.calm.Unlock()
	if !wait(ctx, 5*time.Second) { // what the last fault left behind
		return 0
	}
	first := rng.IntN(len(n.st.sinkers))
	for i := range killsOfAScene {
		if n.st.killOne(ctx, n.st.sinkers[(first+i)%len(n.st.sinkers)], true) {
			killed++
		}
		if !wait(ctx, between(rng, 6*time.Second, 9*time.Second)) { // a dynamic member's place is free after six
			break
		}
	}
	n.st.say("a quiet scene: killed %d times", killed)
	return killed
}

// killOne kills a sinker as soon as it runs.
func (st *stage) killOne(ctx context.Context, s *sinker, quiet bool) bool {
	err := within(ctx, 5*time.Second, func(context.Context) error {
		if !s.running() {
			return errors.New("not running")
		}
		return nil
	})
	if err != nil || s.kill() != nil {
		return false
	}
	if !quiet {
		st.say("  killed %s", s.name)
	}
	return true
}
