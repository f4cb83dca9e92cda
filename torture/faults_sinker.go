package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// one picks a sinker of the main pipeline.
func (st *stage) one(rng *rand.Rand) *sinker { return st.sinkers[rng.IntN(len(st.sinkers))] }

var sinkerFaults = []*fault{
	{name: "sinker-kill", about: "SIGKILL for one sinker", weight: 2, kills: true,
		fire: func(_ context.Context, st *stage, rng *rand.Rand) (string, error) {
			s := st.one(rng)
			return "killed " + s.name, s.kill()
		}},
	{name: "sinker-kill-burst", about: "SIGKILL ten to twenty times in some seconds, as soon as it is up again, or a " +
		"little later", weight: 3, kills: true, fire: killBurst},
	{name: "sinker-freeze", about: "SIGSTOP for longer than every timeout, then SIGCONT: a zombie that goes on where " +
		"it was", fire: freezeSinker},
	{name: "sinker-starve", about: "stopped for 95 of every 100 milliseconds, for a while", fire: starve},
	{name: "sinker-term", about: "SIGTERM; it must end by itself",
		fire: func(_ context.Context, st *stage, rng *rand.Rand) (string, error) {
			s := st.one(rng)
			gone, err := s.signal(syscall.SIGTERM)
			if err != nil {
				return "", err
			}
			began := time.Now()
			select {
			case <-gone:
				return fmt.Sprintf("%s ended after %.1f s", s.name, time.Since(began).Seconds()), nil
			case <-time.After(60 * time.Second):
				return "", errors.New("it still ran after 60 s")
			}
		}},
	{name: "rebalance-storm", about: "a further member joins and leaves, by SIGTERM or SIGKILL, every half second or so",
		fire: storm},
}

func killBurst(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
	want, killed := 10+rng.IntN(11), 0
	for range want {
		s := st.one(rng)
		up := within(ctx, 5*time.Second, func(context.Context) error {
			if !s.running() {
				return errors.New("not running")
			}
			return nil
		})
		if up == nil && s.kill() == nil {
			killed++
		}
		if !wait(ctx, between(rng, 100*time.Millisecond, 1500*time.Millisecond)) {
			break
		}
	}
	if killed == 0 {
		return "", errors.New("no sinker was running")
	}
	return fmt.Sprintf("killed %d times", killed), nil
}

func freezeSinker(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
	s := st.one(rng)
	gone, err := s.signal(syscall.SIGSTOP)
	if err != nil {
		return "", err
	}
	began := time.Now()
	defer s.signal(syscall.SIGCONT)
	wait(ctx, between(rng, 8*time.Second, 16*time.Second))
	select {
	case <-gone:
		return "", errors.New("it was killed meanwhile")
	default:
		return fmt.Sprintf("%s stood still for %.0f s", s.name, time.Since(began).Seconds()), nil
	}
}

func starve(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
	s, naps := st.one(rng), 0
	defer s.signal(syscall.SIGCONT)
	for end := time.Now().Add(between(rng, 5*time.Second, 10*time.Second)); time.Now().Before(end) && ctx.Err() == nil; {
		if _, err := s.signal(syscall.SIGSTOP); err == nil {
			naps++
		}
		wait(ctx, 95*time.Millisecond)
		s.signal(syscall.SIGCONT)
		wait(ctx, 5*time.Millisecond)
	}
	if naps == 0 {
		return "", errors.New("it was not running")
	}
	return fmt.Sprintf("%s was stopped %d times", s.name, naps), nil
}

// storm runs a further member of the group that never stays. Now and then it lives long enough to own partitions.
func storm(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
	extra := &sinker{st: st, name: "sinker-storm", pipeline: mainPipeline, instance: "off"}
	if err := extra.wirePostgres("address"); err != nil {
		return "", err
	}
	defer extra.close()
	defer st.guest(extra)()
	joined := 0
	for range 8 + rng.IntN(8) {
		if err := extra.run(); err != nil {
			return "", err
		}
		goOn := wait(ctx, between(rng, 300*time.Millisecond, 2500*time.Millisecond))
		if extra.running() {
			joined++
		}
		if err := extra.hold([]syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[rng.IntN(2)]); err != nil {
			return "", err
		}
		if !goOn {
			break
		}
	}
	return fmt.Sprintf("a member came and went %d times", joined), nil
}
