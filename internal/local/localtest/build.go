package localtest

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Go runs the go command, for a test of something that is built from the module's source.
func Go(args ...string) error {
	if err := LookAtSource(); err != nil {
		return err
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// LookAtSource looks at every file that the sinker program is built from. `go test` keeps a result until a file
// changes that the test has looked at: without this a test of a program that it builds would be "(cached)" and ok
// when the program no longer is.
func LookAtSource() error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(root) == root {
			return fmt.Errorf("no go.mod above the working directory")
		}
		root = filepath.Dir(root)
	}
	for _, dir := range []string{"go.mod", "go.sum", "Dockerfile", "docker-compose.yml", "cmd", "internal", "migrations"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			_, err = os.Stat(path)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
