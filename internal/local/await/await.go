// Package await lets tests wait for a condition instead of sleeping.
package await

import (
	"testing"
	"time"
)

// Until waits for a condition, 30 s at most; then the test fails, with what it waited for.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	Within(t, 30*time.Second, what, ok)
}

// Within is Until with another patience.
func Within(t testing.TB, most time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("never came: %s", what)
		}
	}
}
