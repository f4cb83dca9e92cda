package local

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrNoPostgres says that no Postgres server is on this machine, or none can be had at all. Nothing was started.
var ErrNoPostgres = errors.New("no Postgres server found: install one (apt-get install postgresql, brew install " +
	"postgresql) or put its initdb on PATH")

// binVariable names the folder of a server's programs; its value none means: there is none, fetch one.
const binVariable = "SINKER_POSTGRES_BIN"

// FindPostgres returns the folder of a server's programs that is on this machine: the one $SINKER_POSTGRES_BIN names,
// else the one on PATH, else where pg_config says, else the newest in the usual places. It returns ErrNoPostgres if
// there is none.
func FindPostgres() (string, error) {
	switch bin := os.Getenv(binVariable); {
	case bin == "none":
		return "", ErrNoPostgres
	case bin != "" && !hasServer(bin):
		return "", fmt.Errorf("%s is %s, where no initdb and postgres are", binVariable, bin)
	case bin != "":
		return bin, nil
	}
	for _, bin := range candidates() {
		if hasServer(bin) {
			return bin, nil
		}
	}
	return "", ErrNoPostgres
}

// places are where packages put Postgres' programs.
var places = []string{
	"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", // Debian, Red Hat
	"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin", // Homebrew
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// FindProgram returns the path of one of Postgres' programs, such as psql: the one on PATH, else the newest in the
// usual places. It returns an empty string if there is none.
func FindProgram(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	for _, pattern := range places {
		found, _ := filepath.Glob(filepath.Join(pattern, name))
		if len(found) > 0 {
			return newestFirst(found)[0]
		}
	}
	return ""
}

// candidates lists the folders where a server may be, the most wanted first.
func candidates() (bins []string) {
	if p, err := exec.LookPath("initdb"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			bins = append(bins, filepath.Dir(p))
		}
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		bins = append(bins, strings.TrimSpace(string(out)))
	}
	for _, pattern := range places {
		found, _ := filepath.Glob(pattern)
		bins = append(bins, newestFirst(found)...)
	}
	return bins
}

var number = regexp.MustCompile(`\d+`)

// newestFirst sorts folders that differ in a version number.
func newestFirst(dirs []string) []string {
	version := func(dir string) (v []int) {
		for _, s := range number.FindAllString(dir, -1) {
			n, _ := strconv.Atoi(s)
			v = append(v, n)
		}
		return v
	}
	slices.SortStableFunc(dirs, func(a, b string) int {
		return cmp.Or(slices.Compare(version(b), version(a)), strings.Compare(a, b))
	})
	return dirs
}

func hasServer(bin string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return false
		}
	}
	return true
}
