package e2e

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A transactional producer that aborts a fifth of its transactions, and a plain producer, write the same topic while two
// processes load it. The last transaction is an aborted one on every partition, so that the log ends in records nobody
// may see and in control records: the positions must pass them all the same, or the lag would never be 0.
func TestAbortedTransactions(t *testing.T) {
	b := bed.Use(t)
	c := b.NewCase(t, "transactions", 4)
	config := Config(t, c.YAML(Settings{}))
	first, second := Start(t, "first", config), Start(t, "second", config)

	const transactions = 400
	rng := rand.New(rand.NewPCG(1, 2))
	aborts := make([]bool, transactions)
	for i := range aborts {
		aborts[i] = rng.IntN(5) == 0 || i == transactions-1
	}
	var failed atomic.Pointer[error]
	note := func(err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { note(c.Load.Plain(t.Context(), 100_000)) })
	wg.Go(func() {
		note(c.Load.Transactions(t.Context(), c.Name, transactions, 500, func(i int) bool { return aborts[i] }))
	})
	wg.Wait()
	note(c.Load.Transactions(t.Context(), c.Name+"-tail", 1, 400, func(int) bool { return true }))
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
	if c.Load.Aborted() < 1000 {
		t.Fatalf("only %d records were aborted: the test would show nothing", c.Load.Aborted())
	}
	c.Drained(2*time.Minute, c.Name, first, second)
	first.Stop(20 * time.Second)
	second.Stop(20 * time.Second)
	c.EveryRecord(c.Verify(Check{Pipeline: c.Name, Topic: c.Name, Table: "records"}))
}

// An open transaction holds back what came after it; sinker waits for its end, neither skipping nor reading ahead.
func TestOpenTransaction(t *testing.T) {
	b := bed.Use(t)
	c := b.NewCase(t, "open-transaction", 1)
	process := Start(t, "sinker", Config(t, c.YAML(Settings{})))
	commit := c.Load.Open(t, c.Name, 100)
	if err := c.Load.Plain(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	// The position is taken, and stays where the open transaction begins for as long as it is open.
	c.Until(time.Minute, "the partition taken", func(ctx context.Context) error {
		positions, _, err := c.Positions(ctx, c.Name)
		if err == nil && len(positions) == 0 {
			err = ErrNotYet
		}
		return err
	}, process)
	if _, sum, err := c.Positions(t.Context(), c.Name); err != nil || sum != 0 {
		t.Fatalf("position %d (error %v) while the transaction at offset 0 is open, want 0", sum, err)
	}
	commit()
	c.Drained(2*time.Minute, c.Name, process)
	process.Stop(20 * time.Second)
	c.EveryRecord(c.Verify(Check{Pipeline: c.Name, Topic: c.Name, Table: "records"}))
}
