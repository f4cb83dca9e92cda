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

// rules says what each package must not import, and why. Imports run one way: cmd → ops → consume → txn → transform.
var rules = map[string][]rule{
	"transform": {
		{"sinker/internal/", "transform is pure: it knows records and bytes, nothing else of sinker"},
		{"github.com/jackc/", "transform does no I/O: Postgres' wire format is bytes here"},
		{"net/http", "transform does no I/O"}, {"os", "transform does no I/O"}, {"log", "transform does not log"}, {"math/rand", "same record, same row"},
	},
	"txn": {
		{"sinker/internal/consume", "txn knows nothing of who polls"}, {"sinker/internal/ops", "data flows one way"}, {"sinker/internal/config", "txn has a Config of its own; cmd fills it"},
		{"github.com/twmb/franz-go/pkg/kadm", "txn does not talk to Kafka"},
	},
	"consume": {
		{"sinker/internal/ops", "data flows one way"}, {"sinker/internal/config", "consume has a Config of its own; cmd fills it"},
		{"github.com/jackc/", "SQL belongs to txn"},
	},
	"ops":    {{"sinker/internal/config", "ops is told what to show"}, {"github.com/jackc/", "SQL belongs to txn"}},
	"config": {{"sinker/internal/consume", "config is read by cmd, which fills the parts' own Configs"}, {"sinker/internal/txn", "see above"}, {"sinker/internal/ops", "see above"}},
}

type rule struct{ prefix, reason string }

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
			for _, r := range rules[pkg] {
				if name == r.prefix || strings.HasPrefix(name, r.prefix+"/") || strings.HasSuffix(r.prefix, "/") && strings.HasPrefix(name, r.prefix) {
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
