//go:build !unix

package local

import (
	"errors"
	"os/exec"
	"syscall"
)

// A temporary server is guarded by a shell and ended by signals, so it is to be had on Unix only.

type credential struct{ uid, gid int }

func unprivileged() (*credential, error) {
	return nil, errors.New("a temporary Postgres can be started on Linux, macOS and other Unix systems only: name a " +
		"running server instead (--postgres URL, or SINKER_TEST_DATABASE_URL for tests)")
}

func (*credential) apply(*exec.Cmd)  {}
func place(*credential) string       { return "" }
func ownGroup(*exec.Cmd)             {}
func kill(int, syscall.Signal) error { return errors.ErrUnsupported }

var stopSignals = map[string]syscall.Signal{}
