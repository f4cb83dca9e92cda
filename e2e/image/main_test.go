// Package image tests what is shipped: the image that the Dockerfile makes, and docker-compose.yml.
package image

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"sinker/e2e"
	"sinker/internal/local/localtest"
)

var bed e2e.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

const (
	root = "../.." // of the project
	tag  = "sinker:e2e"
)

// build makes the image as docker-compose.yml says.
var build = sync.OnceValue(func() error {
	if err := localtest.LookAtSource(); err != nil {
		return err
	}
	c := exec.Command("docker", "compose", "build", "-q", "sinker")
	c.Dir, c.Env = root, append(os.Environ(), "SINKER_IMAGE="+tag)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("docker compose build: %w\n%s", err, out)
	}
	return nil
})

// needImage builds the image. That takes minutes the first time: Go compiles the libraries, too. Where there is no
// docker compose, or no golang image to be had, it ends the test.
func needImage(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("building the image takes minutes: left out with -short")
	}
	for _, args := range [][]string{{"version"}, {"compose", "version"}} {
		if out, err := exec.Command("docker", args...).CombinedOutput(); err != nil {
			e2e.Unavailable(t, fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, out))
		}
	}
	if out, err := exec.Command("docker", "image", "inspect", "golang:1.26").CombinedOutput(); err != nil {
		if more, err := exec.Command("docker", "pull", "-q", "golang:1.26").CombinedOutput(); err != nil {
			e2e.Unavailable(t, fmt.Errorf("the Dockerfile needs golang:1.26: %s%s", out, more))
		}
	}
	if err := build(); err != nil {
		t.Fatal(err)
	}
}
