package main

import (
	"errors"
	"fmt"
	"io"

	"sinker/internal/config"
	"sinker/internal/txn"
)

// The exit codes, as documented in docs/guide.md.
const (
	exitOK          = 0
	exitFailed      = 1  // at run time
	exitDifference  = 2  // verify found a difference
	exitUsage       = 64 // wrong command line
	exitUnavailable = 69 // Kafka or Postgres can not be reached
	exitConfig      = 78 // wrong configuration, or a database that does not fit it
)

// exitError is an error that knows its exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// withCode gives an error its exit code.
func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code, err}
}

// usage is an error of the command line.
func usage(format string, args ...any) error { return withCode(exitUsage, fmt.Errorf(format, args...)) }

// report prints an error, once, and returns the exit code.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	if msg := err.Error(); msg != "" {
		fmt.Fprintf(stderr, "sinker: %s\n", msg)
	}
	return codeOf(err)
}

func codeOf(err error) int {
	var coded *exitError
	if errors.As(err, &coded) {
		return coded.code
	}
	var bad *config.Errors
	if errors.As(err, &bad) {
		return exitConfig
	}
	var te *txn.Error
	if errors.As(err, &te) {
		switch te.Class {
		case txn.Schema, txn.Auth:
			return exitConfig
		case txn.Retry, txn.Resource, txn.Timeout:
			return exitUnavailable
		}
	}
	return exitFailed
}
