// Package mutants shows that the tests would notice a broken protocol: it puts bugs into it (internal/mutant), one after
// the other, and runs the ordinary tests of txn and consume on each. They must fail, and say why. It needs no Docker.
package mutants

import (
	"bytes"
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
	"sinker/internal/mutant"
)

// patience is how long a test may take to notice a bug.
const patience = 2 * time.Minute

// seeded is a bug, or several that together break what each alone would not, and the test that must notice.
type seeded struct {
	bugs  string
	suite string // the package whose tests are run
	run   string // which of them
	says  string // why they must fail: an expression for what they print
}

var table = []seeded{
	{mutant.NoLock, "txn", "^TestRace$", `the move of the offset rows did not match all of them`},
	{both(mutant.NoLock, mutant.UncheckedMove), "txn", "^TestRace$", `next_offset - consumed .* want 0`},
	{mutant.UncountedMove, "txn", "^TestCompare$/^AMoveThatDoesNotHappen$", `got <nil>`},
	{mutant.TakeWithoutLock, "txn", "^TestTakeHoldsTheRow$", `took position 0, but the row says 10`},
	{mutant.NoIdentity, "txn", "^TestCompare$/^OtherLog$", `want one miss, got <nil>`},
	{mutant.NoFence, "txn", "^TestCompare$/^Fenced$", `want one miss, got commit`},
	{both(mutant.NoFence, mutant.UncheckedMove), "txn", "^TestCompare$/^Fenced$", `want one miss, got <nil>`},
	{mutant.FenceAlone, "txn", "^TestCompare$/^FencedByTheSameNumber$", `want one miss, got commit`},
	{mutant.AlreadyFirst, "txn", "^TestCompare$/^FencedAtOurTo$", `want one miss, got <nil>`},
	{mutant.NoReread, "txn", "^TestCommitInDoubt$", `the move of the offset rows did not match all of them`},
	{both(mutant.NoReread, mutant.UncheckedMove), "txn", "^TestCommitInDoubt$", `FROM orders.* want 200 200`},
	{mutant.UnknownIsCommitted, "txn", "^TestCommitInDoubt$", `went back`},
	{mutant.OffsetsApart, "txn", "^TestCommitInDoubt$", `FROM orders.* want 200 200`},
	{mutant.LettersApart, "txn", "^TestCommitInDoubt$", `FROM sinker.dead_letters .* want 200 200`},
	{mutant.TablesApart, "txn", "^TestCommitInDoubt$", `FROM orders.* want 200 200`},
	{both(mutant.NoRewind, mutant.UncheckedMove), "txn", "^TestCompare$/^WentBack$", `want one miss, got <nil>`},
	{mutant.SilentKept, "txn", "^TestFrozenOwnerLetsGo$/^BeforeCommit$", `never came: the batch to be committed`},
	{mutant.UnknownIsFailed, "consume", "^TestFaults$/^FailedButApplied$", `neither where this worker's batch begins .* nor where it ends`},
	{mutant.SpentIsWritten, "consume", "^TestStreamedCommitCuts$", `FROM orders: .* want 40000`},
	{mutant.AdvanceFirst, "consume", "^TestFaults$/^FailedAndNotApplied$", `never came: retries to be counted`},
	{mutant.PositionInMemory, "consume", "^TestFaults$/^DatabaseWentBackWhileIdle$", `never came: positions at the end`},
	{mutant.ToIsEndOfLog, "consume", "^TestWorker$/^BytesBoundABatch$", `record orders/.* was written 0 times`},
	{mutant.ControlDropped, "consume", "^TestWorker$/^AbortedAndControlTail$", `never came: positions at the end`},
	{mutant.AbortedToo, "consume", "^TestWorker$/^AbortedAndControlTail$", `was written and never committed to Kafka`},
	{mutant.NoBounds, "consume", "^TestTheLogChanges$/^RetentionPassedThePosition$", `never came: partition stopped`},
}

func both(bugs ...string) string { return strings.Join(bugs, ",") }

// TestMain lets more tests run at a time than there are processors: most of them wait.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "8")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// TestSeededBugs runs, for each bug, the test that must notice it.
func TestSeededBugs(t *testing.T) {
	s := newSuites(t)
	for _, bug := range table {
		t.Run(bug.bugs, func(t *testing.T) {
			t.Parallel()
			out, took, err := s.run(t, bug.suite, bug.run, bug.bugs)
			var failed *exec.ExitError
			switch {
			case err == nil:
				t.Errorf("%s %s passes with the bug %s: it would not notice", bug.suite, bug.run, bug.bugs)
			case !errors.As(err, &failed):
				t.Fatal(err)
			case !strings.Contains(out, "--- FAIL") || !regexp.MustCompile(bug.says).MatchString(out):
				t.Errorf("%s %s fails with the bug %s, but does not say %q:\n%s", bug.suite, bug.run, bug.bugs, bug.says, out)
			default:
				t.Logf("noticed by %s %s in %.1f s: %s", bug.suite, bug.run, took.Seconds(), regexp.MustCompile(".*"+bug.says+".*").FindString(out))
			}
		})
	}
}

// TestNoBug runs the same tests of the same build with no bug on: they must pass.
func TestNoBug(t *testing.T) {
	s := newSuites(t)
	for suite := range s.paths {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			var runs []string
			for _, bug := range table {
				// All subtests: expressions with a slash can not be joined.
				if name, _, _ := strings.Cut(bug.run, "/"); bug.suite == suite && !slices.Contains(runs, name) {
					runs = append(runs, name)
				}
			}
			if out, _, err := s.run(t, suite, strings.Join(runs, "|"), ""); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestEveryBugIsSeeded finds bugs that no test is run on.
func TestEveryBugIsSeeded(t *testing.T) {
	for _, name := range mutant.All {
		if !slices.ContainsFunc(table, func(s seeded) bool { return slices.Contains(strings.Split(s.bugs, ","), name) }) {
			t.Errorf("no test is run on the bug %s", name)
		}
	}
}

// TestReleaseHoldsNoBug looks for them in the ordinary program, and, so that this proves something, in one that has them.
func TestReleaseHoldsNoBug(t *testing.T) {
	if mutant.Compiled || mutant.On(mutant.NoLock) {
		t.Error("this build has the bugs, without the build tag")
	}
	for tags, want := range map[string]bool{"": false, "mutants": true} {
		path := filepath.Join(t.TempDir(), "sinker")
		if err := localtest.Go("build", "-tags", tags, "-o", path, "sinker/cmd/sinker"); err != nil {
			t.Fatal(err)
		}
		program, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, trace := range []string{"SINKER_MUTANT", "sinker/internal/mutant."} {
			if bytes.Contains(program, []byte(trace)) != want {
				t.Errorf("built with tags %q: holds %q: %v, want %v", tags, trace, !want, want)
			}
		}
	}
}

// suites are the tests of the packages, built with the bugs in them, and a Postgres for all.
type suites struct {
	paths    map[string]string
	postgres string
}

// dir is where they are.
var dir string

var built = sync.OnceValues(func() (paths map[string]string, err error) {
	dir, err = os.MkdirTemp("", "sinker-mutants-")
	paths = map[string]string{}
	for _, bug := range table {
		if paths[bug.suite] == "" && err == nil {
			paths[bug.suite] = filepath.Join(dir, bug.suite+".test")
			err = localtest.Go("test", "-c", "-tags", "mutants", "-o", paths[bug.suite], "sinker/internal/"+bug.suite)
		}
	}
	return paths, err
})

func newSuites(t *testing.T) suites {
	t.Helper()
	if testing.Short() {
		t.Skip("two minutes; left out with -short")
	}
	paths, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return suites{paths: paths, postgres: localtest.Database(t)}
}

// run runs tests of a suite with bugs on, and returns what they printed.
func (s suites) run(t *testing.T, suite, run, bugs string) (out string, took time.Duration, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.paths[suite], "-test.run", run, "-test.v")
	cmd.Dir = filepath.Join("..", "..", "internal", suite)
	cmd.Env = append(os.Environ(), "SINKER_MUTANT="+bugs, "SINKER_TEST_DATABASE_URL="+s.postgres, "CI=true")
	start := time.Now()
	text, err := cmd.CombinedOutput()
	return string(text), time.Since(start), err
}
