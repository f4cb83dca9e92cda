package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"syscall"
	"time"

	"sinker/internal/local/pgproxy"

	"github.com/jackc/pgx/v5/pgconn"
)

// onCommits: the proxies know one fate at a time.
var onCommits = []string{"commits"}

var commitFaults = []*fault{
	{name: "commit-cut-before", about: "the connection breaks before the server has the COMMIT", locks: onCommits,
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			return breakCommits(ctx, st, rng, pgproxy.CutBefore)
		}},
	{name: "commit-cut-after", weight: 2, about: "the connection breaks as soon as the COMMIT is sent: nobody knows",
		locks: onCommits, fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			return breakCommits(ctx, st, rng, pgproxy.CutAfter)
		}},
	{name: "commit-reply-cut", weight: 2, about: "the server's answer to the COMMIT is thrown away", locks: onCommits,
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			return breakCommits(ctx, st, rng, pgproxy.CutReply)
		}},
	{name: "commit-reply-held", about: "the server's answer to the COMMIT comes two seconds late", locks: onCommits,
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			return breakCommits(ctx, st, rng, pgproxy.Hold)
		}},
}

// enough COMMITs must be broken for a fault to end.
const enough = 20

// breakCommits does that to every second to fourth COMMIT of all sinkers for some seconds.
func breakCommits(ctx context.Context, st *stage, rng *rand.Rand, fate pgproxy.Fate) (string, error) {
	before, nth := st.fates()[fate], 2+rng.IntN(3)
	for _, s := range st.sinkers {
		for _, l := range s.links {
			l.proxy.OnCommit(func(n int) pgproxy.Fate {
				if n%nth == 0 {
					return fate
				}
				return pgproxy.Pass
			})
			defer l.proxy.OnCommit(func(int) pgproxy.Fate { return pgproxy.Pass })
		}
	}
	wait(ctx, between(rng, 4*time.Second, 10*time.Second))
	for end := time.Now().Add(15 * time.Second); st.fates()[fate]-before < enough && time.Now().Before(end); {
		// sinker may be held up
		if !wait(ctx, 200*time.Millisecond) {
			break
		}
	}
	if n := st.fates()[fate] - before; n > 0 {
		return fmt.Sprintf("%d COMMITs", n), nil
	}
	return "", errors.New("there was no COMMIT")
}

// fates counts what became of all COMMITs.
func (st *stage) fates() map[pgproxy.Fate]int {
	all := map[pgproxy.Fate]int{}
	for _, s := range st.sinkers {
		for _, l := range s.links {
			for fate, n := range l.proxy.Fates() {
				all[fate] += n
			}
		}
	}
	return all
}

// inDoubt is how many COMMITs were sent whose answer never came, or came late.
func (st *stage) inDoubt() int {
	f := st.fates()
	return f[pgproxy.CutAfter] + f[pgproxy.CutReply]
}

func withoutBouncer(st *stage) string {
	if st.bouncer == nil && noBouncer() == "" {
		return "only the third sinker goes through pgbouncer (-sinkers 3)"
	}
	return noBouncer()
}

// kill9 kills a process that this program has started.
func kill9(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }

func isCode(err error, code string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == code
}
