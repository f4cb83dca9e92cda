package txn

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sinker/internal/transform"
)

// ofOneMode are what only a mode's own files may look at: everybody else asks the mode.
var ofOneMode = map[string]bool{
	"Folds": true, "ModeAppend": true, "ModeUpsert": true, "ModeAggregate": true,
	"appends": true, "upsert": true, "aggregate": true,
}

// TestModesAreAsked: no file but the modes' own decides by the mode. A further mode would have to
// be found there otherwise.
func TestModesAreAsked(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	own := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		if strings.HasPrefix(file, "mode") || strings.HasPrefix(file, "upsert_") {
			own++
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if ofOneMode[n.Sel.Name] {
					t.Errorf("%s looks at .%s: ask the mode instead (mode.go)", file, n.Sel.Name)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Mode" {
					t.Errorf("%s asks for the rule's mode: ask the mode instead (mode.go)", file)
				}
			case *ast.StarExpr:
				if id, ok := n.X.(*ast.Ident); ok && ofOneMode[id.Name] {
					t.Errorf("%s names *%s: ask the mode instead (mode.go)", file, id.Name)
				}
			}
			return true
		})
	}
	if own < 4 {
		t.Errorf("%d files of modes: have they other names now, and this test not?", own)
	}
}

// TestEveryModeIsThere: each mode that a rule can have is one, says what it is, and names the way
// it needs its table.
func TestEveryModeIsThere(t *testing.T) {
	for _, name := range transform.Modes() {
		makeMode, ok := modes[name]
		if !ok {
			t.Errorf("txn has no mode %s", name)
			continue
		}
		for _, tombstones := range []bool{false, true} {
			m := makeMode(&transform.Rule{Tombstones: tombstones}).traits()
			if m.name != name || len(m.privileges) == 0 {
				t.Errorf("mode %s says %+v", name, m)
			}
			if m.folds && m.uncounted == "" {
				t.Errorf("mode %s folds records, and verify would count its rows", name)
			}
		}
	}
	if len(modes) != len(transform.Modes()) {
		t.Errorf("txn has modes %v, transform %v", len(modes), transform.Modes())
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, e := range entries {
		have[e.Name()] = true
	}
	for name := range modes {
		if !have["mode_"+name+".go"] {
			t.Errorf("mode %s has no file mode_%s.go", name, name)
		}
	}
}
