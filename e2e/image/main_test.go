// Package image tests what is shipped: the image that the Dockerfile makes, and docker-compose.yml.
package image

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"sinker/e2e"
)

var bed e2e.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

const (
	root = "../.." // of the project
	tag  = "sinker:e2e"
)

var build = sync.OnceValue(func() error {
	abs, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	out, err := exec.Command("docker", "build", "-t", tag, abs).CombinedOutput()
	if err != nil {
		return fmt.Errorf("docker build: %w\n%s", err, out)
	}
	return nil
})

// needDocker ends the test where there is no docker command.
func needDocker(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("docker", args...).CombinedOutput(); err != nil {
		e2e.Unavailable(t, fmt.Errorf("`docker %s`: %w: %s", args[0], err, out))
	}
}

// needImage builds the image. That takes minutes the first time, for Go's compiler has not seen the libraries then.
func needImage(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("building the image takes minutes: left out with -short")
	}
	needDocker(t, "version")
	if out, err := exec.Command("docker", "image", "inspect", "golang:1.26").CombinedOutput(); err != nil {
		if out2, err := exec.Command("docker", "pull", "-q", "golang:1.26").CombinedOutput(); err != nil {
			e2e.Unavailable(t, fmt.Errorf("the Dockerfile needs golang:1.26: %s%s", out, out2))
		}
	}
	if err := build(); err != nil {
		t.Fatal(err)
	}
}
