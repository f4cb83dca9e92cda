// Package nearest finds the name that a person probably meant.
package nearest

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// Name returns the candidate that name is probably a misspelling of, or "" when none is close: at most one edit,
// and one more per three characters. Case does not count. Of two that are equally close the first is taken.
func Name(name string, candidates []string) string {
	best, most := "", 1+len([]rune(name))/3
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(c)); d <= most {
			best, most = c, d-1
		}
	}
	return best
}
