//go:build mutants

package mutant

import (
	"os"
	"slices"
	"strings"
)

// Compiled says whether this build has the bugs.
const Compiled = true

var chosen = strings.Split(os.Getenv("SINKER_MUTANT"), ",")

// On says whether a bug is on.
func On(bug string) bool { return slices.Contains(chosen, bug) }

// Without returns the text, without a part of it when the bug is on. The part must be there, so that a bug can not be
// lost when the text changes.
func Without(bug, text, part string) string {
	if !strings.Contains(text, part) {
		panic("mutant " + bug + ": " + part + " is not in the text any more")
	}
	if !On(bug) {
		return text
	}
	return strings.ReplaceAll(text, part, "")
}
