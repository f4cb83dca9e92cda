package local

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestFindPostgres(t *testing.T) {
	t.Run("TheNamedOne", func(t *testing.T) {
		bin := t.TempDir()
		for _, name := range []string{"initdb", "postgres"} {
			if err := os.WriteFile(filepath.Join(bin, name), nil, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv(binVariable, bin)
		if got, err := FindPostgres(); got != bin || err != nil {
			t.Errorf("%s, %v", got, err)
		}
	})

	t.Run("NamedButNotThere", func(t *testing.T) {
		t.Setenv(binVariable, t.TempDir())
		if got, err := FindPostgres(); got != "" || err == nil || errors.Is(err, ErrNoPostgres) {
			t.Errorf("%s, %v", got, err)
		}
	})

	t.Run("None", func(t *testing.T) {
		t.Setenv(binVariable, "none")
		if _, err := FindPostgres(); !errors.Is(err, ErrNoPostgres) {
			t.Error(err)
		}
	})

	t.Run("OnPath", func(t *testing.T) {
		bin := t.TempDir()
		for _, name := range []string{"initdb", "postgres"} {
			if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		links := t.TempDir() // as Homebrew has it: links on PATH, the programs elsewhere
		if err := os.Symlink(filepath.Join(bin, "initdb"), filepath.Join(links, "initdb")); err != nil {
			t.Fatal(err)
		}
		t.Setenv(binVariable, "")
		t.Setenv("PATH", links)
		want, err := filepath.EvalSymlinks(bin)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := FindPostgres(); got != want || err != nil {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	})
}

func TestNewestFirst(t *testing.T) {
	got := newestFirst([]string{"/usr/lib/postgresql/9.6/bin", "/usr/lib/postgresql/18/bin", "/usr/lib/postgresql/10/bin", "/usr/lib/postgresql/9.10/bin"})
	want := []string{"/usr/lib/postgresql/18/bin", "/usr/lib/postgresql/10/bin", "/usr/lib/postgresql/9.10/bin", "/usr/lib/postgresql/9.6/bin"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
