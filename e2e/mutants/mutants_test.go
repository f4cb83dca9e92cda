package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sinker/internal/local/localtest"
)

// patience is how long a test may take to notice a bug.
const patience = 2 * time.Minute

// seeded is a bug, or several that together break what each alone would not, and the test that must notice.
type seeded struct {
	bugs  string // one, or several with spaces between
	suite string // the package whose tests are run
	run   string // which of them
	says  string // why they must fail: an expression for what they print
}

var seeds = []seeded{
	{"no-lock", "txn", "^TestRace$", `the move of the offset rows did not match all of them`},
	{"no-lock unchecked-move", "txn", "^TestRace$", `next_offset - consumed .* want 0`},
	{"uncounted-move", "txn", "^TestCompare$/^AMoveThatDoesNotHappen$", `got <nil>`},
	{"take-without-lock", "txn", "^TestTakeHoldsTheRow$", `took position 0, but the row says 10`},
	{"no-identity", "txn", "^TestCompare$/^OtherLog$", `want one miss, got <nil>`},
	{"no-fence", "txn", "^TestCompare$/^Fenced$", `want one miss, got commit`},
	{"no-fence unchecked-move", "txn", "^TestCompare$/^Fenced$", `want one miss, got <nil>`},
	{"fence-alone", "txn", "^TestCompare$/^FencedByTheSameNumber$", `want one miss, got commit`},
	{"already-before-fence", "txn", "^TestCompare$/^FencedAtOurTo$", `want one miss, got <nil>`},
	{"no-reread", "txn", "^TestCommitInDoubt$", `the move of the offset rows did not match all of them`},
	{"no-reread unchecked-move", "txn", "^TestCommitInDoubt$", `FROM orders.* want 200 200`},
	{"unknown-is-committed", "txn", "^TestCommitInDoubt$", `went back`},
	{"offsets-apart", "txn", "^TestCommitInDoubt$", `FROM orders.* want 200 200`},
	{"letters-apart", "txn", "^TestCommitInDoubt$", `FROM sinker.dead_letters .* want 200 200`},
	{"tables-apart", "txn", "^TestCommitInDoubt$", `FROM orders.* want 200 200`},
	{"no-rewind unchecked-move", "txn", "^TestCompare$/^WentBack$", `want one miss, got <nil>`},
	{"silent-kept", "txn", "^TestFrozenOwnerLetsGo$/^BeforeCommit$", `never came: the batch to be committed`},
	{"unknown-is-failed", "consume", "^TestFaults$/^FailedButApplied$", `neither where this worker's batch begins .* nor where it ends`},
	{"spent-is-written", "consume", "^TestStreamedCommitCuts$", `FROM orders: .* want 40000`},
	{"advance-first", "consume", "^TestFaults$/^FailedAndNotApplied$", `never came: retries to be counted`},
	{"position-in-memory", "consume", "^TestFaults$/^DatabaseWentBackWhileIdle$", `never came: positions at the end`},
	{"to-is-end-of-log", "consume", "^TestWorker$/^BytesBoundABatch$", `record orders/.* was written 0 times`},
	{"control-dropped", "consume", "^TestWorker$/^AbortedAndControlTail$", `never came: positions at the end`},
	{"aborted-too", "consume", "^TestWorker$/^AbortedAndControlTail$", `was written and never committed to Kafka`},
	{"no-bounds", "consume", "^TestTheLogChanges$/^RetentionPassedThePosition$", `never came: partition stopped`},
}

// TestMain lets more tests run at a time than there are processors: most of them wait.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}

// TestEveryBugApplies finds a bug whose text is not in the source any more, or that no test is run on. It needs no server
// and builds nothing.
func TestEveryBugApplies(t *testing.T) {
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bugs {
		if len(b.edits) == 0 {
			t.Errorf("%s changes nothing", b.name)
		}
		if _, err := apply(root, []string{b.name}); err != nil {
			t.Error(err)
		}
		if !slices.ContainsFunc(seeds, func(s seeded) bool { return slices.Contains(strings.Fields(s.bugs), b.name) }) {
			t.Errorf("no test is run on the bug %s", b.name)
		}
	}
	for _, s := range seeds {
		if _, err := apply(root, strings.Fields(s.bugs)); err != nil {
			t.Errorf("%s: %v", s.bugs, err)
		}
	}
}

// TestSeededBugs runs, for each bug, the test that must notice it.
func TestSeededBugs(t *testing.T) {
	db := postgres(t)
	for _, seed := range seeds {
		t.Run(strings.ReplaceAll(seed.bugs, " ", ","), func(t *testing.T) {
			t.Parallel()
			out, took, err := runTests(t, db, seed.suite, seed.run, strings.Fields(seed.bugs))
			var failed *exec.ExitError
			switch {
			case err == nil:
				t.Errorf("%s %s passes with the bug %s: it would not notice", seed.suite, seed.run, seed.bugs)
			case !errors.As(err, &failed):
				t.Fatal(err)
			case !strings.Contains(out, "--- FAIL") || !regexp.MustCompile(seed.says).MatchString(out):
				t.Errorf("%s %s fails with the bug %s, but does not say %q:\n%s", seed.suite, seed.run, seed.bugs, seed.says, out)
			default:
				t.Logf("noticed by %s %s in %.1f s: %s", seed.suite, seed.run, took.Seconds(),
					regexp.MustCompile(".*"+seed.says+".*").FindString(out))
			}
		})
	}
}

// TestNoBug runs the same tests in the same way with no bug: they must pass.
func TestNoBug(t *testing.T) {
	db := postgres(t)
	for _, suite := range []string{"txn", "consume"} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			var runs []string
			for _, seed := range seeds {
				// All subtests: expressions with a slash cannot be joined.
				if name, _, _ := strings.Cut(seed.run, "/"); seed.suite == suite && !slices.Contains(runs, name) {
					runs = append(runs, name)
				}
			}
			if out, _, err := runTests(t, db, suite, strings.Join(runs, "|"), nil); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestCommand: the command lists the bugs, prints an overlay, and refuses what it does not know.
func TestCommand(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out, errs strings.Builder
	if code := run(nil, &out, &errs); code != 0 || strings.Count(out.String(), "\n") != len(bugs) {
		t.Errorf("exit code %d, %d bugs:\n%s%s", code, len(bugs), out.String(), errs.String())
	}
	out.Reset()
	if code := run([]string{bugs[0].name}, &out, &errs); code != 0 {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if text, err := os.ReadFile(strings.TrimSpace(out.String())); err != nil || !strings.Contains(string(text), `"Replace"`) {
		t.Errorf("%v: %s", err, text)
	}
	if code := run([]string{"no-such-bug"}, &out, &errs); code != 64 || !strings.Contains(errs.String(), "there is no bug no-such-bug") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}

func postgres(t *testing.T) (url string) {
	t.Helper()
	if testing.Short() {
		t.Skip("some minutes; left out with -short")
	}
	return localtest.Database(t)
}

// building is held while the go command builds: it takes all processors by itself.
var building sync.Mutex

// build builds the tests of a package with bugs in them.
func build(t *testing.T, suite string, bugs []string) (path string, err error) {
	t.Helper()
	dir := t.TempDir()
	path = filepath.Join(dir, suite+".test")
	root, err := findRoot()
	if err != nil {
		return "", err
	}
	overlay, err := writeOverlay(root, dir, bugs)
	if err != nil {
		return "", err
	}
	building.Lock()
	defer building.Unlock()
	return path, localtest.Go("test", "-c", "-overlay", overlay, "-o", path, "sinker/internal/"+suite)
}

// runTests runs tests of a suite with bugs in it, and returns what they printed.
func runTests(t *testing.T, db, suite, tests string, bugs []string) (out string, took time.Duration, err error) {
	t.Helper()
	path, err := build(t, suite, bugs)
	if err != nil {
		return "", 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-test.run", tests, "-test.v")
	cmd.Dir = filepath.Join("..", "..", "internal", suite)
	cmd.Env = append(os.Environ(), "SINKER_TEST_DATABASE_URL="+db, "CI=true")
	start := time.Now()
	text, err := cmd.CombinedOutput()
	return string(text), time.Since(start), err
}
