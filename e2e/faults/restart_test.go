package faults

import (
	"context"
	"fmt"
	"testing"
	"time"

	"sinker/e2e"
)

// Postgres goes away under load, in order and by SIGKILL, and comes back. The processes stay, and go on by themselves.
func TestPostgresRestart(t *testing.T) {
	b := bed.Use(t)
	c := b.NewCase(t, "postgres-restart", 4)
	underRestarts(t, c, 3, func(ctx context.Context, i int) error {
		return b.Postgres.Restart(ctx, []string{"SIGKILL", "SIGINT", "SIGKILL"}[i])
	})
}

// The broker goes away under load, in order and by SIGKILL, and comes back.
func TestKafkaRestart(t *testing.T) {
	b := bed.Use(t)
	c := b.NewCase(t, "kafka-restart", 4)
	underRestarts(t, c, 2, func(ctx context.Context, i int) error {
		return b.Kafka.Restart(ctx, []string{"SIGTERM", "SIGKILL"}[i])
	})
}

// underRestarts loads with two processes while a producer keeps them busy, restarts something n times, each time after
// the loaders have moved on since the last, and verifies.
func underRestarts(t *testing.T, c *e2e.Case, n int, restart func(ctx context.Context, i int) error) {
	t.Helper()
	config := e2e.Config(t, c.YAML(e2e.Settings{Rows: 2000}))
	first, second := e2e.Start(t, "first", config), e2e.Start(t, "second", config)
	over := make(chan struct{})
	ctx, failed := context.WithCancelCause(t.Context())
	produced := make(chan error, 1)
	go func() {
		err := steadily(t.Context(), c.Load, 1000, over)
		failed(err) // nobody need wait for progress then
		produced <- err
	}()
	for i := range n {
		moved(ctx, t, c, first, second)
		if err := restart(ctx, i); err != nil {
			t.Fatal(err)
		}
		back := time.Now()
		moved(ctx, t, c, first, second)
		t.Logf("restart %d: new commits %.1f s after it was back", i+1, time.Since(back).Seconds())
	}
	close(over)
	if err := <-produced; err != nil {
		t.Fatal(err)
	}
	c.Drained(2*time.Minute, c.Name, first, second)
	first.Stop(20 * time.Second)
	second.Stop(20 * time.Second)
	c.EveryRecord(c.Verify(e2e.Check{Pipeline: c.Name, Topic: c.Name, Table: "records"}))
}

// steadily produces some records twenty times a second until over is closed.
func steadily(ctx context.Context, load *e2e.Load, each int, over <-chan struct{}) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	return load.While(ctx, func(context.Context) (int, error) {
		select {
		case <-over:
			return 0, nil
		case <-tick.C:
			return each, nil
		}
	})
}

// moved waits until positions have moved from where they are now. ctx ends when the producer has failed: nothing would
// move then.
func moved(ctx context.Context, t *testing.T, c *e2e.Case, alive ...*e2e.Process) {
	t.Helper()
	before := int64(-1)
	c.Until(2*time.Minute, "progress", func(turn context.Context) error {
		if err := context.Cause(ctx); err != nil {
			t.Fatal(err)
		}
		_, sum, err := c.Positions(turn, c.Name)
		if err != nil {
			return err
		}
		if before < 0 {
			before = sum
		}
		if sum < before+5000 {
			ends, _ := c.Kafka.Ends(turn, c.Name)
			return fmt.Errorf("the positions add up to %d, and did to %d; the log ends at %v", sum, before, ends)
		}
		return nil
	}, alive...)
}
