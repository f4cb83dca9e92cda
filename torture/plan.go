package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// round is what the nemesis begins at one moment: some faults at once, or none.
type round struct {
	at    time.Duration
	kinds []string
	seeds []uint64 // of each fault's own choices
}

// interval is the time between two rounds: anything from low to high.
type interval struct{ low, high time.Duration }

// makePlan draws the rounds of a run from its seed: the same seed, the same plan. Kinds come from a deck that is
// shuffled again when it is used up, so that none is left to luck; a kind's weight is how many cards it has.
func makePlan(seed uint64, faults []*fault, total time.Duration, every interval, most int) (rounds []round) {
	rng := rand.New(rand.NewPCG(seed, 1))
	var deck []string
	first := true
	draw := func() string {
		if len(deck) == 0 {
			for _, f := range faults {
				cards := max(f.weight, 1)
				if first {
					cards = 1 // a short run has little more than one deck
				}
				for range cards {
					deck = append(deck, f.name)
				}
			}
			first = false
			rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		card := deck[0]
		deck = deck[1:]
		return card
	}
	if len(faults) == 0 {
		return nil
	}
	for at := every.low / 2; at < total; at += every.low + time.Duration(rng.Int64N(int64(every.high-every.low)+1)) {
		r := round{at: at}
		if rng.IntN(10) > 0 { // one in ten is quiet: constant faults only keep a system down
			for range 1 + rng.IntN(most) {
				if kind := draw(); !slices.Contains(r.kinds, kind) {
					r.kinds = append(r.kinds, kind)
					r.seeds = append(r.seeds, rng.Uint64())
				}
			}
		}
		rounds = append(rounds, r)
	}
	return rounds
}
