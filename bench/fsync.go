package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// fsyncTime is the time of what Postgres does at a commit, done by hand: write 8 kB over existing
// bytes of a file, fdatasync. It uses a file of its own in dir, which should be on the disk of Postgres' data.
func fsyncTime(dir string) (percentiles, error) {
	path := filepath.Join(dir, "fsync-test")
	f, err := os.Create(path)
	if err != nil {
		return percentiles{}, fmt.Errorf("cannot measure fsync: %w", err)
	}
	defer os.Remove(path)
	defer f.Close()
	page := make([]byte, 8192)
	if _, err := f.Write(make([]byte, 16<<20)); err != nil {
		return percentiles{}, fmt.Errorf("cannot measure fsync: %w", err)
	}
	if err := f.Sync(); err != nil {
		return percentiles{}, fmt.Errorf("cannot measure fsync: %w", err)
	}
	took := make([]time.Duration, 0, 500)
	for i := range cap(took) {
		start := time.Now()
		if _, err := f.WriteAt(page, int64(i%2048)*8192); err != nil {
			return percentiles{}, fmt.Errorf("cannot measure fsync: %w", err)
		}
		if err := datasync(f); err != nil {
			return percentiles{}, fmt.Errorf("cannot measure fsync: %w", err)
		}
		took = append(took, time.Since(start))
	}
	return newPercentiles(took), nil
}

// percentile is the p-th percentile of sorted values, 0 of none.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(float64(len(sorted)) * p / 100)
	return sorted[min(i, len(sorted)-1)]
}
