package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// bug is one that can be put into the source.
type bug struct {
	name, about string
	edits       []edit
}

// edit replaces a text of a file by another. The old text must be in the file exactly once, so that a bug cannot be
// lost when the source changes.
type edit struct{ file, old, new string }

// findRoot is the folder of go.mod, here or above.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("no go.mod here or above: run this in sinker's source")
		}
		dir = filepath.Dir(dir)
	}
}

// apply returns the changed files of the source with the bugs in them, by path below root.
func apply(root string, names []string) (map[string]string, error) {
	changed := map[string]string{}
	for _, name := range names {
		i := slices.IndexFunc(bugs, func(b bug) bool { return b.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no bug %s; `go run ./e2e/mutants` lists them", name)
		}
		for _, e := range bugs[i].edits {
			text, ok := changed[e.file]
			if !ok {
				b, err := os.ReadFile(filepath.Join(root, e.file))
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				text = string(b)
			}
			if n := strings.Count(text, e.old); n != 1 {
				return nil, fmt.Errorf("%s: this is %d times in %s, and must be there once:\n%s", name, n, e.file, e.old)
			}
			changed[e.file] = strings.Replace(text, e.old, e.new, 1)
		}
	}
	return changed, nil
}

// writeOverlay writes the changed files and the overlay, which the go command's -overlay takes, into dir.
func writeOverlay(root, dir string, names []string) (path string, err error) {
	changed, err := apply(root, names)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for file, text := range changed {
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = to
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}
