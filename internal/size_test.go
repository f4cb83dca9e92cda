package internal

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// What fits on a screen. Tests may be longer: a table of cases is read line by line.
const (
	longestFunction = 60  // lines
	longestFile     = 400 // lines
	widestLine      = 120 // characters; a tab counts as one
)

// roots are the folders whose Go files are held to that.
var roots = []string{"bench", "cmd", "e2e", "torture", "migrations", "internal"}

func TestEverythingFitsOnAScreen(t *testing.T) {
	files := 0
	for _, root := range roots {
		err := filepath.WalkDir(filepath.Join("..", root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files++
			return measureFile(t, path)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 100 {
		t.Errorf("only %d files were found", files)
	}
}

// measureFile reports what is too long or too wide in a file.
func measureFile(t *testing.T, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	n := 0
	for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan(); {
		n++
		if w := utf8.RuneCountInString(lines.Text()); w > widestLine {
			t.Errorf("%s:%d is %d characters wide, more than %d", path, n, w, widestLine)
		}
	}
	if n > longestFile {
		t.Errorf("%s has %d lines, more than %d", path, n, longestFile)
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, 0)
	if err != nil {
		return err
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; n > longestFunction {
			t.Errorf("%s:%d: %s has %d lines, more than %d", path, set.Position(f.Pos()).Line, f.Name.Name, n, longestFunction)
		}
	}
	return nil
}
