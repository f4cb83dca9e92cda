package internal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// order is the direction of imports: a package imports packages of the lines below its own, and no others of sinker's.
// Those of one line know nothing of one another: what a column makes of a format's values is pgbin's, for example.
var order = [][]string{
	{"cmd"},
	{"app", "demo"},
	{"ops", "verify", "config"},
	{"consume"},
	{"txn"},
	{"transform"},
	{"format", "expr", "pgbin"},
	{"value"},
	{"record", "failpoint", "local", "nearest", "orderdata", "output", "printable", "probe", "swar", "table"},
}

// barred says what else each package must not import, and why.
var barred = map[string][]rule{
	"transform": {
		{"github.com/jackc/", "transform does no I/O: Postgres' wire format is bytes here"},
		{"net/http", "transform does no I/O"}, {"os", "transform does no I/O"},
		{"log", "transform does not log"}, {"math/rand", "same record, same row"},
		{"github.com/twmb/", "transform knows records, not who fetched them"},
	},
	"txn": {{"github.com/twmb/", "txn knows records, not who fetched them"}},
	"cmd": {{"github.com/twmb/", "commands do not talk to Kafka"}},
	"config": {
		{"sinker/internal/consume", "config is read by app, which fills the parts' own Configs"}, {"sinker/internal/txn", "see above"},
	},
	"record": {
		{"github.com/jackc/", "record knows no client of Postgres"}, {"github.com/twmb/", "record knows no client of Kafka"},
		{"net/http", "record does no I/O"}, {"os", "record does no I/O"}, {"log", "record does not log"},
	},
	"consume": {{"github.com/jackc/", "SQL belongs to txn"}, {"sinker/internal/txn", "consume states what it needs of a database"}},
	"value":   {{"github.com/", "values know nobody"}, {"encoding/json", "a value is of any format"}},
	"format": {
		{"github.com/jackc/", "a format knows no Postgres"}, {"github.com/twmb/franz-go/pkg/kgo", "a format is given bytes"},
		{"os", "a format does no I/O but for Fetch, through a registry that it is given"}, {"log", "a format does not log"},
		{"math/rand", "same record, same row"},
	},
	"pgbin": {
		{"github.com/", "pgbin knows no client"}, {"encoding/json", "an appender reads no JSON"},
		{"net/http", "pgbin does no I/O"}, {"os", "pgbin does no I/O"}, {"log", "pgbin does not log"},
		{"math/rand", "same value, same bytes"}, {"time", "pgbin reads no clock"},
	},
}

// commandsKnow are the packages of sinker's that a command may import. What it needs of the others, app returns.
var commandsKnow = []string{"app", "config", "demo", "orderdata", "output", "printable", "table"}

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

// TestConsumeWithoutPostgres looks at everything that consume is made of: the loop knows a database by consume.Store alone.
// Likewise for txn and a client of Kafka.
func TestConsumeWithoutPostgres(t *testing.T) {
	for pkg, without := range map[string][]string{
		"consume":   {"github.com/jackc/", "sinker/internal/txn", "sinker/internal/transform", "database/sql"},
		"ops":       {"github.com/jackc/", "sinker/internal/txn"},
		"txn":       {"github.com/twmb/", "sinker/internal/consume"},
		"transform": {"github.com/twmb/", "github.com/jackc/", "sinker/internal/txn"},
		"record":    {"github.com/", "sinker/internal/txn"},
	} {
		out, err := exec.Command("go", "list", "-deps", "sinker/internal/"+pkg).CombinedOutput()
		if err != nil {
			t.Fatalf("go list: %v\n%s", err, out)
		}
		deps := strings.Fields(string(out))
		if !slices.Contains(deps, "sinker/internal/record") {
			t.Fatalf("go list does not name internal/record for %s: %s", pkg, out)
		}
		for _, d := range deps {
			for _, no := range without {
				if strings.HasPrefix(d, no) {
					t.Errorf("%s is made of %s, too", pkg, d)
				}
			}
		}
	}
}

// place is a package's line in order, -1 for none.
func place(pkg string) int {
	return slices.IndexFunc(order, func(line []string) bool { return slices.Contains(line, pkg) })
}

func TestImportsRunOneWay(t *testing.T) {
	seen := map[string]bool{}
	eachFile(t, parser.ImportsOnly, func(pkg, path string, f *ast.File) {
		seen[pkg] = true
		if place(pkg) < 0 {
			t.Errorf("%s: package %s has no place in order", path, pkg)
		}
		for _, imp := range f.Imports {
			name := strings.Trim(imp.Path.Value, `"`)
			if ours, ok := strings.CutPrefix(name, "sinker/internal/"); ok {
				to, _, _ := strings.Cut(ours, "/")
				checkImport(t, pkg, path, to)
			}
			for _, r := range barred[pkg] {
				if name == r.prefix || strings.HasPrefix(name, r.prefix+"/") || strings.HasSuffix(r.prefix, "/") && strings.HasPrefix(name, r.prefix) {
					t.Errorf("%s imports %s: %s", path, name, r.reason)
				}
			}
		}
	})
	for pkg := range barred {
		if !seen[pkg] && pkg != "record" {
			t.Errorf("there is no package %s: has it moved, and its rules not?", pkg)
		}
	}
}

// checkImport holds one import of ours against order.
func checkImport(t *testing.T, from, path, to string) {
	t.Helper()
	switch {
	case from == to:
	case to == "local" && from != "demo":
		t.Errorf("%s imports local: test servers do not belong into the service", path)
	case from == "cmd" && !slices.Contains(commandsKnow, to):
		t.Errorf("%s imports %s: a command knows %v", path, to, commandsKnow)
	case place(from) >= place(to):
		t.Errorf("%s imports %s: imports run cmd → app → ops → consume → txn → transform → format → record", path, to)
	}
}

// eachFile calls f for every Go file of the program that is no test.
func eachFile(t *testing.T, mode parser.Mode, f func(pkg, path string, file *ast.File)) {
	t.Helper()
	for _, root := range []string{".", filepath.Join("..", "cmd")} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || path == "doc.go" {
				return err
			}
			pkg := strings.Split(filepath.ToSlash(path), "/")[0]
			if pkg == ".." {
				pkg = "cmd"
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, mode)
			if err == nil {
				f(pkg, path, file)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// statement is what a string of SQL looks like: it begins with a verb of SQL's in capitals, or is a whole SELECT. Advice that
// names a statement within a sentence is none.
var statement = regexp.MustCompile(`^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|GRANT|REVOKE|TRUNCATE|COPY|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|SET|LOCK|WITH)\b|\bSELECT\b[^.]*\bFROM\b`)

// TestSQLIsInOnePlace: outside of txn, the demonstration and the test servers nothing connects to Postgres or holds SQL.
// config reads connection strings by the driver's parser.
func TestSQLIsInOnePlace(t *testing.T) {
	home := []string{"txn", "demo", "local"}
	seen := map[string]bool{}
	eachFile(t, 0, func(pkg, path string, f *ast.File) {
		home := slices.Contains(home, pkg)
		for _, imp := range f.Imports {
			name := strings.Trim(imp.Path.Value, `"`)
			driver := strings.HasPrefix(name, "github.com/jackc/pgx") || name == "database/sql"
			if driver && !home && !(pkg == "config" && name == "github.com/jackc/pgx/v5/pgconn") {
				t.Errorf("%s imports %s: SQL belongs to txn", path, name)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil || !statement.MatchString(text) {
				return true
			}
			seen[pkg] = true
			if !home {
				t.Errorf("%s holds SQL, which belongs to txn: %q", path, text)
			}
			return true
		})
	})
	if !seen["txn"] || !seen["demo"] {
		t.Error("no SQL was found in txn or demo: the expression finds none")
	}
}
