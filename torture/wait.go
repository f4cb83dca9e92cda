package main

import (
	"context"
	"errors"
	"time"
)

// wait waits for d, or until ctx ends; it says whether d has passed.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// until tries again and again until there is no error; when ctx ends it returns the last one.
func until(ctx context.Context, every time.Duration, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		if !wait(ctx, every) {
			return errors.Join(err, ctx.Err())
		}
	}
}

// within is until with a time limit.
func within(ctx context.Context, limit time.Duration, try func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return until(ctx, 200*time.Millisecond, func() error { return try(ctx) })
}
