package config

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with a configuration, and what to do about it. It never holds a secret.
type Problem struct {
	File         string
	Line, Column int // from 1; 0: no place, as with flags
	Message      string
	source       string // the line, as far as it may be shown
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Message
	}
	s := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	if p.source != "" {
		s += "\n    " + p.source + "\n    " + strings.Repeat(" ", p.Column-1) + "^"
	}
	return s
}

// Errors is everything wrong with a configuration, in the order of the file. Nothing was started.
type Errors struct{ Problems []Problem }

// mostShown bounds what a broken file prints; the first mistakes are the ones to mend first.
const mostShown = 50

func (e *Errors) Error() string {
	var lines []string
	for i, p := range e.Problems {
		if i == mostShown {
			lines = append(lines, fmt.Sprintf("%s: and %d more", p.File, len(e.Problems)-i))
			break
		}
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// Nearest returns the candidate that name is probably a misspelling of, or "".
func Nearest(name string, candidates []string) string {
	best, most := "", 1+len(name)/3
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < most || d == most && best == "" {
			best, most = c, d
		}
	}
	return best
}

// didYouMean ends a message with the nearest candidate, or with all of them when none is near.
func didYouMean(name string, candidates []string) string {
	if near := Nearest(name, candidates); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; known are " + strings.Join(candidates, ", ")
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, before+1)
		}
	}
	return row[len(b)]
}
