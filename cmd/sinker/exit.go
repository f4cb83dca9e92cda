package main

import (
	"fmt"
	"io"

	"sinker/internal/app"
)

// The exit codes, as documented in docs/guide.md.
const (
	exitOK          = 0
	exitFailed      = 1  // at run time
	exitDifference  = 2  // verify found a difference
	exitUsage       = 64 // wrong command line
	exitUnavailable = 69 // Kafka or Postgres cannot be reached
	exitConfig      = 78 // wrong configuration, or a database or topics that do not fit it
)

var exitCodes = map[app.Kind]int{
	app.Failed:        exitFailed,
	app.Difference:    exitDifference,
	app.Usage:         exitUsage,
	app.Unavailable:   exitUnavailable,
	app.Configuration: exitConfig,
}

// usage is an error of the command line.
func usage(format string, args ...any) error { return app.As(app.Usage, fmt.Errorf(format, args...)) }

// report prints an error, once, and returns the exit code.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	if msg := err.Error(); msg != "" {
		fmt.Fprintf(stderr, "sinker: %s\n", msg)
	}
	return exitCodes[app.KindOf(err)]
}
