//go:build !nodemo

package main

import (
	"errors"
	"os"

	"sinker/internal/app"
	"sinker/internal/config"
	"sinker/internal/demo"

	"github.com/spf13/cobra"
)

func init() { register(newDemoCommand) }

func newDemoCommand() *cobra.Command {
	var o demo.Options
	var json bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See exactly-once for yourself: no Kafka, Postgres or Docker needed",
		Long: `Starts a Kafka in this process and a temporary Postgres, produces orders, loads them with the
real ` + "`sinker run`" + `, kills that with SIGKILL in the middle of its transactions, and proves by SQL
that every order is there once.

Nothing is left behind, however it ends. Exit code 1: the proof failed.`,
		Example: `  sinker demo
  sinker demo --in events.jsonl --kills 5
  sinker demo --keep`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := demoFlags(cmd, &o); err != nil {
				return err
			}
			o.Out = cmd.OutOrStdout()
			if json {
				o.Out, o.Result = cmd.ErrOrStderr(), cmd.OutOrStdout()
			}
			return demoCode(demo.Run(cmd.Context(), o))
		},
	}
	fs := cmd.Flags()
	fs.Int64Var(&o.Rows, "rows", 1_000_000, "number of orders")
	fs.StringVar(&o.In, "in", "", "load the lines of this file of JSON objects instead of orders")
	fs.IntVar(&o.Kills, "kills", 3, "how often to kill the loader inside a transaction")
	fs.IntVar(&o.Workers, "workers", 2, "workers of the loader")
	fs.StringVar(&o.Postgres, "postgres", "",
		"URL of a server to use instead of a temporary one; a database is created on it, and dropped at the end")
	fs.BoolVar(&o.Keep, "keep", false, "keep everything running at the end, until Ctrl-C, to look around")
	fs.BoolVar(&json, "json", false, "print one JSON object on the last line of standard output, and the rest on "+
		"standard error")
	fs.Uint64Var(&o.Seed, "seed", 0, "random seed for kill times (default: random)")
	return cmd
}

// demoFlags refuses flags that would have no effect, and reads the connection URL.
func demoFlags(cmd *cobra.Command, o *demo.Options) error {
	if err := excludes(cmd, "in", "rows"); err != nil {
		return err
	}
	if o.Kills == 0 && cmd.Flags().Changed("seed") {
		return usage("--seed has no effect with --kills 0: it chooses the times of the kills")
	}
	if o.Postgres == "" {
		return nil
	}
	url, err := config.DatabaseURL(o.Postgres, os.LookupEnv)
	if err != nil {
		return usage("--postgres %w", err)
	}
	o.Postgres = url.Reveal()
	return nil
}

// demoCode gives an error of the demonstration its exit code.
func demoCode(err error) error {
	var option *demo.OptionError
	var unavailable *demo.UnavailableError
	switch {
	case errors.As(err, &option):
		return app.As(app.Usage, err)
	case errors.As(err, &unavailable):
		return app.As(app.Unavailable, err)
	}
	return app.As(app.Failed, err)
}
