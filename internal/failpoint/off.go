//go:build !failpoints

package failpoint

// On says whether this build has failpoints.
const On = false

// Hit does nothing.
func Hit(string) error { return nil }
