// Command mutants puts bugs into sinker's protocol on purpose, to show that the tests would notice them. A bug is a
// replacement of text in the source; it is compiled by the go command's -overlay, and the source stays as it is.
//
//	go run ./e2e/mutants                      lists the bugs
//	go run ./e2e/mutants offsets-apart        prints the path of an overlay with this bug
//	go test -overlay "$(go run ./e2e/mutants offsets-apart)" ./internal/txn
//	go build -overlay "$(go run ./e2e/mutants no-fence unchecked-move)" -o broken ./cmd/sinker
//
// The overlay stays in the temporary folder. The test of this package runs, for each bug, the ordinary tests that must
// notice it.
package main

import (
	"fmt"
	"io"
	"os"

	"sinker/internal/table"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole program. It returns 64 for a bug that it does not know.
func run(names []string, stdout, stderr io.Writer) int {
	if len(names) == 0 {
		t := table.New(stdout)
		for _, b := range bugs {
			t.Row(b.name, b.about)
		}
		t.Flush()
		return 0
	}
	path, err := makeOverlay(names)
	if err != nil {
		fmt.Fprintln(stderr, "mutants:", err)
		return 64
	}
	fmt.Fprintln(stdout, path)
	return 0
}

func makeOverlay(names []string) (string, error) {
	root, err := findRoot()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "sinker-mutant-")
	if err != nil {
		return "", err
	}
	return writeOverlay(root, dir, names)
}
