package internal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// counted matches a number and what it counts: "%d records", "%d offset rows", and numbers that were made text before.
var counted = regexp.MustCompile(`%d (?:[a-z]+ )?([a-z]+s)\b|%s (?:[a-z]+ )?(records|rows|letters|partitions|sinks|workers|offsets|orders|lines)\b`)

// notCounted are words that end like a plural and are none.
var notCounted = []string{"as", "begins", "belongs", "does", "ends", "exits", "goes", "has", "holds", "is", "its", "less", "lies", "loses", "ms", "partition's",
	"processes", "starts", "stops", "takes", "this", "was"}

// neverOne are texts whose number is never 1, and why.
var neverOne = map[string]string{
	"%d bytes for each":          "the size of a record's place in memory, a constant",
	"%d columns at most":         "Postgres' limit",
	"%d days ago":                "less than two days are hours",
	"name has %d bytes":          "more than 63",
	"has %d bytes, and Postgres": "more than 63",
	"has %d characters":          "more than a type of at least one character holds",
	"has %d dimensions":          "more than six",
	"nested more than %d deep":   "no noun",
	"worker %d has":              "no noun",
	"the plan of %d defaults":    "an error of ours",
	"ETA %s":                     "a line that is drawn again and again keeps its words",
	"longer than %d MiB":         "no noun",
	"(%s records/s)":             "a rate",
	"[%s, %s)":                   "no noun",
}

// TestCountsAgree looks for texts in which a number stands before a plural: with 1 they are wrong, and english.Plural is right.
func TestCountsAgree(t *testing.T) {
	texts := 0
	for _, dir := range []string{".", "../cmd"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "local") ||
				strings.HasPrefix(path, "record/recordtest") { // both are for tests

				return err
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return true
				}
				text, err := strconv.Unquote(lit.Value)
				if err != nil || !strings.Contains(text, "%d") {
					return true
				}
				texts++
				for _, m := range counted.FindAllStringSubmatch(text, -1) {
					if !slices.Contains(notCounted, m[1]+m[2]) && !isNeverOne(text) {
						t.Errorf("%s: %q says %q also of one: use printable.Count or english.Plural", fset.Position(lit.Pos()), text, m[0])
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if texts < 50 {
		t.Errorf("only %d texts with a number were found: has the source moved?", texts)
	}
}

func isNeverOne(text string) bool {
	for part := range neverOne {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
