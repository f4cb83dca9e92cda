package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"sinker/e2e"
)

// Two processes of one group load more than a million records, and one of them is killed with SIGKILL at a random
// moment, again and again, at least twenty times. The seed of the moments is printed; E2E_SEED sets it.
func TestKill(t *testing.T) {
	b := bed.Use(t)
	const records, kills = 1_000_000, 20
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("E2E_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("E2E_SEED: %v", err)
		}
	}
	t.Logf("seed %d", seed)
	c := b.NewCase(t, "kill", 8)
	cutBefore, err := b.Postgres.CutTransactions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k := &killer{Case: c, t: t, config: e2e.Config(t, c.YAML(e2e.Settings{Rows: 5000})), rng: rand.New(rand.NewPCG(seed, 0))}
	k.processes = []*e2e.Process{k.start(0), k.start(1)}
	produced := make(chan error, 1)
	killed := make(chan struct{})
	go func() { produced <- k.produce(records, killed) }()
	for range kills {
		k.kill()
	}
	close(killed)
	if err := <-produced; err != nil {
		t.Fatal(err)
	}
	c.Drained(2*time.Minute, c.Name, k.processes...)
	for _, p := range k.processes {
		p.Stop(20 * time.Second)
	}
	cut, err := b.Postgres.CutTransactions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills cut off %d open transactions, as Postgres saw it", kills, cut-cutBefore)
	if cut == cutBefore {
		t.Error("no kill met an open transaction: the moments are badly chosen")
	}
	report := c.Verify(e2e.Check{Pipeline: c.Name, Topic: c.Name, Table: "records"})
	c.EveryRecord(report)
	if report.Records < records {
		t.Errorf("%d records, want at least %d", report.Records, records)
	}
}

type killer struct {
	*e2e.Case
	t         *testing.T
	config    string
	rng       *rand.Rand
	processes []*e2e.Process
	kills     int
}

func (k *killer) start(slot int) *e2e.Process {
	return e2e.Start(k.t, fmt.Sprintf("process-%d-after-%d-kills", slot, k.kills), k.config)
}

// produce keeps a backlog in front of the loaders, so that a kill meets them at work, until there are enough records
// and the killing is over.
func (k *killer) produce(atLeast int, killed <-chan struct{}) error {
	const chunk, backlog = 10_000, 300_000
	made, over := 0, false
	return k.Load.While(k.t.Context(), func(ctx context.Context) (int, error) {
		err := e2e.Poll(ctx, func() error {
			select {
			case <-killed:
				over = true
			default:
			}
			if _, done, err := k.Positions(ctx, k.Name); err == nil && int64(made)-done > backlog && !over {
				return e2e.ErrNotYet
			}
			return nil // also while sinker has not made its tables yet
		})
		if err != nil || over && made >= atLeast {
			return 0, err
		}
		made += chunk
		return chunk, nil
	})
}

// kill kills one process and starts it again. Three times of four it waits until the process has committed something
// and kills it up to 0.7 s later; otherwise it kills it up to 1.5 s after its start, wherever it is by then: joining
// the group, taking partitions, in its first transaction.
func (k *killer) kill() {
	k.t.Helper()
	slot := k.rng.IntN(len(k.processes))
	victim := k.processes[slot]
	delay := time.Duration(k.rng.Int64N(int64(700 * time.Millisecond)))
	if k.rng.IntN(4) == 0 {
		delay = time.Duration(k.rng.Int64N(int64(1500 * time.Millisecond)))
	} else {
		k.Until(time.Minute, victim.Name+" committing", func(ctx context.Context) error { return k.working(ctx, victim) }, k.processes...)
	}
	// This wait is not for anything: the random moment is the fault.
	moment := time.NewTimer(delay)
	<-moment.C
	victim.Kill()
	k.kills++
	k.processes[slot] = k.start(slot)
}

// working returns nil when a process has committed a batch.
func (k *killer) working(ctx context.Context, p *e2e.Process) error {
	var n int
	err := k.DB.QueryRow(ctx, `SELECT count(*) FROM sinker.ledger WHERE pipeline = $1 AND owner LIKE '%/' || $2::text || '/%'
		AND committed_at > now() - interval '1 second'`, k.Name, strconv.Itoa(p.PID())).Scan(&n)
	if err == nil && n == 0 {
		err = e2e.ErrNotYet
	}
	return err
}
