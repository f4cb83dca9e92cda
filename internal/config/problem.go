package config

import (
	"fmt"
	"strings"

	"sinker/internal/nearest"
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

// mostShown bounds what a broken file prints. The first mistakes are the ones to correct first.
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

// didYouMean ends a message with the nearest candidate, or with all of them when none is near.
func didYouMean(name string, candidates []string) string {
	if near := nearest.Name(name, candidates); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; known are " + strings.Join(candidates, ", ")
}
