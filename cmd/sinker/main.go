// Command sinker moves Kafka topics into Postgres tables exactly once.
//
// A file per command holds its flags, its output and its exit code. What a command does is in internal/app and below.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // the image is built from scratch and has no time zones of its own

	"sinker/internal/app"
	"sinker/internal/output"
	"sinker/internal/printable"
)

func main() {
	limitMemory()
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program; it returns the exit code. The first SIGTERM or SIGINT ends ctx, and the command finishes what
// it has begun. The second one ends the process at once, which is safe: Postgres rolls back an open transaction.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer stopOnSignal(stop)()
	drain := output.New(stderr)
	defer drain.Close()
	root := newRootCommand()
	root.SetArgs(args)
	// What is printed may hold words of a record or of a table; none of them acts on the terminal.
	root.SetOut(printable.NewWriter(stdout))
	root.SetErr(printable.NewWriter(drain))
	return report(interrupted(ctx, root.ExecuteContext(ctx)), root.ErrOrStderr())
}

// stopOnSignal calls stop at the first SIGTERM or SIGINT and ends the process at the second. The function that it
// returns ends that.
func stopOnSignal(stop func()) (end func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		for n := 0; ; n++ {
			if _, ok := <-signals; !ok {
				return
			}
			if n > 0 {
				os.Exit(exitFailed)
			}
			stop()
		}
	}()
	return func() {
		signal.Stop(signals) // after which nothing is sent
		close(signals)
	}
}

// interrupted is the error of a command that was told to stop before it was done. Whatever failed then failed because
// of that, and neither Kafka nor Postgres is to blame.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != context.Canceled || app.KindOf(err) != app.Unavailable &&
		!errors.Is(err, context.Canceled) {
		return err
	}
	return app.As(app.Failed, errors.New("told to stop before it was done"))
}
