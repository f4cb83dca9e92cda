package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sinker/internal/local/localtest"
)

// TestACommandIsOneFile: every command is registered by the one file that makes it, and no other file names its maker.
func TestACommandIsOneFile(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	registered := map[string]string{} // maker → file
	named := map[string][]string{}    // maker → files
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		makers := map[string]bool{}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				if strings.HasPrefix(n.Name, "new") && strings.HasSuffix(n.Name, "Command") {
					makers[n.Name] = true
				}
			case *ast.CallExpr:
				if fun, ok := n.Fun.(*ast.Ident); ok && fun.Name == "register" {
					registered[n.Args[0].(*ast.Ident).Name] = file
				}
			}
			return true
		})
		for m := range makers {
			named[m] = append(named[m], file)
		}
	}
	if commands := newRootCommand().Commands(); len(registered) != len(commands) {
		t.Errorf("%d makers are registered, and there are %d commands", len(registered), len(commands))
	}
	for maker, file := range registered {
		if n := named[maker]; len(n) != 1 || n[0] != file {
			t.Errorf("%s is named in %v: a command is one file", maker, n)
		}
	}
}

// TestANewCommandIsOneFile adds a command to the program by one file that is nowhere else known.
func TestANewCommandIsOneFile(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program; left out with -short")
	}
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(dir, "hello.go")
	text := `package main

import "github.com/spf13/cobra"

func init() { register(newHelloCommand) }

func newHelloCommand() *cobra.Command {
	return &cobra.Command{Use: "hello", Short: "Say hello", Run: func(cmd *cobra.Command, _ []string) { cmd.OutOrStdout().Write([]byte("hello")) }}
}
`
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(here, "hello.go"): source}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{source: text, filepath.Join(dir, "overlay.json"): string(overlay)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "sinker")
	if err := localtest.Go("build", "-overlay", filepath.Join(dir, "overlay.json"), "-tags", "nodemo", "-o", program, "sinker/cmd/sinker"); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "hello").CombinedOutput(); err != nil || string(out) != "hello" {
		t.Errorf("sinker hello: %v, %q", err, out)
	}
	if out, err := exec.Command(program, "--help").CombinedOutput(); err != nil || !strings.Contains(string(out), "Say hello") {
		t.Errorf("sinker --help does not list it: %v\n%s", err, out)
	}
}
