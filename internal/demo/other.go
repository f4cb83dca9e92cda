//go:build !unix

package demo

import (
	"errors"
	"os"
	"os/exec"
)

func ownGroup(*exec.Cmd) {}

var errNoFreezing = errors.New("processes cannot be frozen on this system, so the moment of a kill cannot be " +
	"known: use --kills 0")

func freeze(*os.Process) error { return errNoFreezing }
func thaw(*os.Process) error   { return nil }
