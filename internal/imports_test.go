package internal

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// order is the way that imports run: a package imports packages of later lines only, never of its own line or of an
// earlier one. Packages that are not named here (printable, failpoint …) import none that is.
var order = [][]string{
	{"app", "demo"},
	{"ops", "verify", "config"},
	{"consume"},
	{"txn"},
	{"transform"},
	{"format", "expr", "pgbin"},
	{"value"},
	{"record", "nearest", "swar"},
}

// lineOf is a package's place in the order; -1: it has none.
func lineOf(pkg string) int {
	return slices.IndexFunc(order, func(line []string) bool { return slices.Contains(line, pkg) })
}

// rules says what else each package must not import, and why. ours stands for every package of sinker's that the order
// does not allow.
var rules = map[string][]rule{
	"record": {
		{ours, "record is words that others share"}, {"github.com/jackc/", "record knows no client of Postgres"},
		{"net/http", "record does no I/O"}, {"os", "record does no I/O"}, {"log", "record does not log"},
	},
	"nearest": {{ours, "nearest knows names only"}},
	"value": {
		{ours, "values know nobody"}, {"github.com/", "values know nobody"}, {"encoding/json", "a value is of any format"},
	},
	"format": {
		{ours, "a format gives values; what a column makes of them is pgbin's"},
		{"github.com/jackc/", "a format knows no Postgres"}, {"github.com/twmb/franz-go/pkg/kgo", "a format is given bytes"},
		{"os", "a format does no I/O but for Fetch, through a registry that it is given"}, {"log", "a format does not log"},
		{"math/rand", "same record, same row"},
	},
	"pgbin": {
		{ours, "an appender takes values, whatever format they come from"}, {"github.com/", "pgbin knows no client"},
		{"encoding/json", "an appender reads no JSON"}, {"net/http", "pgbin does no I/O"}, {"os", "pgbin does no I/O"},
		{"log", "pgbin does not log"}, {"math/rand", "same value, same bytes"}, {"time", "pgbin reads no clock"},
	},
	"transform": {
		{ours, "transform is pure: it knows records and bytes, nothing else of sinker"},
		{"github.com/jackc/", "transform does no I/O: Postgres' wire format is bytes here"},
		{"net/http", "transform does no I/O"}, {"os", "transform does no I/O"}, {"log", "transform does not log"}, {"math/rand", "same record, same row"},
	},
	"txn": {
		{"sinker/internal/config", "txn has a Config of its own; cmd fills it"},
		{"github.com/twmb/franz-go/pkg/kadm", "txn does not talk to Kafka"},
	},
	"consume": {
		{"sinker/internal/config", "consume has a Config of its own; cmd fills it"},
		{"github.com/jackc/", "SQL belongs to txn"},
	},
	"ops":    {{"sinker/internal/config", "ops is told what to show"}, {"github.com/jackc/", "SQL belongs to txn"}},
	"config": {{"sinker/internal/consume", "config is read by cmd, which fills the parts' own Configs"}, {"sinker/internal/txn", "see above"}, {"sinker/internal/ops", "see above"}},
}

type rule struct{ prefix, reason string }

const ours = "sinker/internal/"

// forbids says whether the rule forbids pkg to import name.
func (r rule) forbids(pkg, name string) bool {
	other, _, _ := strings.Cut(strings.TrimPrefix(name, ours), "/")
	if r.prefix == ours && (other == pkg || lineOf(other) > lineOf(pkg)) {
		return false
	}
	return name == r.prefix || strings.HasPrefix(name, strings.TrimSuffix(r.prefix, "/")+"/")
}

// TestServiceWithoutDemo looks at what the image's program is made of.
func TestServiceWithoutDemo(t *testing.T) {
	out, err := exec.Command("go", "list", "-tags", "nodemo", "-deps", "sinker/cmd/sinker").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	packages := strings.Fields(string(out))
	if !slices.Contains(packages, "sinker/internal/consume") {
		t.Fatalf("go list does not name internal/consume: %s", out)
	}
	for _, p := range packages {
		for _, no := range []string{"sinker/internal/local", "sinker/internal/demo", "github.com/twmb/franz-go/pkg/kfake", "github.com/fergusstrange/"} {
			if strings.HasPrefix(p, no) {
				t.Errorf("with the tag nodemo the program still holds %s", p)
			}
		}
	}
}

// againstOrder says why pkg must not import name, by the order alone.
func againstOrder(pkg, name string) string {
	other, isOurs := strings.CutPrefix(name, ours)
	if !isOurs {
		return ""
	}
	other, _, _ = strings.Cut(other, "/")
	mine, its := lineOf(pkg), lineOf(other)
	switch {
	case other == pkg || its < 0 || mine >= 0 && its > mine:
		return ""
	case mine < 0:
		return pkg + " has no place in the order in which imports run, and may import nothing that has one"
	}
	return "imports run cmd → app → ops → consume → txn → transform → format → record, and this one runs against it"
}

func TestImportsRunOneWay(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		pkg := strings.Split(filepath.ToSlash(path), "/")[0]
		seen[pkg] = true
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			name := strings.Trim(imp.Path.Value, `"`)
			if strings.HasPrefix(name, "sinker/internal/local") && pkg != "local" && pkg != "demo" {
				t.Errorf("%s imports %s: test servers do not belong into the service", path, name)
			}
			if name == "sinker/internal/demo" {
				t.Errorf("%s imports %s: only cmd does, and the tag nodemo leaves it out", path, name)
			}
			if why := againstOrder(pkg, name); why != "" {
				t.Errorf("%s imports %s: %s", path, name, why)
			}
			for _, r := range rules[pkg] {
				if r.forbids(pkg, name) {
					t.Errorf("%s imports %s: %s", path, name, r.reason)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range rules {
		if !seen[pkg] {
			t.Errorf("there is no package %s: has it moved, and its rules not?", pkg)
		}
	}
}
