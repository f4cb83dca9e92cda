package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Postgres goes away under load, in order and by SIGKILL, and comes back. The processes stay, and go on by themselves.
func TestPostgresRestart(t *testing.T) {
	b := bed.Use(t)
	c := b.NewCase(t, "postgres-restart", 4)
	c.underRestarts(3, func(ctx context.Context, i int) error {
		return b.Postgres.Restart(ctx, []string{"SIGKILL", "SIGINT", "SIGKILL"}[i])
	})
}

// The broker goes away under load, in order and by SIGKILL, and comes back.
func TestKafkaRestart(t *testing.T) {
	b := bed.Use(t)
	c := b.NewCase(t, "kafka-restart", 4)
	c.underRestarts(2, func(ctx context.Context, i int) error {
		return b.Kafka.Restart(ctx, []string{"SIGTERM", "SIGKILL"}[i])
	})
}

// underRestarts loads with two processes while a producer keeps them busy, restarts something n times, each time after
// the loaders have moved on since the last, and verifies.
func (c *Case) underRestarts(n int, restart func(ctx context.Context, i int) error) {
	c.t.Helper()
	config := Config(c.t, c.YAML(Settings{Rows: 2000}))
	first, second := Start(c.t, "first", config), Start(c.t, "second", config)
	over := make(chan struct{})
	ctx, failed := context.WithCancelCause(c.t.Context())
	produced := make(chan error, 1)
	go func() {
		err := c.steadily(over)
		failed(err) // nobody need wait for progress then
		produced <- err
	}()
	for i := range n {
		c.moved(ctx, first, second)
		if err := restart(ctx, i); err != nil {
			c.t.Fatal(err)
		}
		back := time.Now()
		c.moved(ctx, first, second)
		c.t.Logf("restart %d: new commits %.1f s after it was back", i+1, time.Since(back).Seconds())
	}
	close(over)
	if err := <-produced; err != nil {
		c.t.Fatal(err)
	}
	c.Drained(time.Minute, c.Name, first, second)
	first.Stop(20 * time.Second)
	second.Stop(20 * time.Second)
	c.EveryRecord(c.Verify(Check{Pipeline: c.Name, Topic: c.Name, Table: "records"}))
}

// steadily produces some ten thousand records a second until over is closed.
func (c *Case) steadily(over <-chan struct{}) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := c.Load.Plain(c.t.Context(), 1000, nil); err != nil {
			return err
		}
		select {
		case <-over:
			return nil
		case <-tick.C:
		}
	}
}

// moved waits until positions have moved from where they are now. The end of working is why they
// will not.
func (c *Case) moved(working context.Context, alive ...*Process) {
	c.t.Helper()
	before := int64(-1)
	c.Until(2*time.Minute, "progress", func(ctx context.Context) error {
		if err := context.Cause(working); err != nil {
			c.t.Fatal(err)
		}
		_, sum, err := c.Positions(ctx, c.Name)
		if err != nil {
			return err
		}
		if before < 0 {
			before = sum
		}
		if sum < before+5000 {
			ends, _ := c.Kafka.Ends(ctx, c.Name)
			return fmt.Errorf("the positions add up to %d, and did to %d; the log ends at %v", sum, before, ends)
		}
		return nil
	}, alive...)
}
