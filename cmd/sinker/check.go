package main

import (
	"encoding/json"
	"fmt"
	"io"

	"sinker/internal/app"
	"sinker/internal/table"

	"github.com/spf13/cobra"
)

func init() { register(newCheckCommand) }

func newCheckCommand() *cobra.Command {
	var f pipelineFlags
	var offline, print, asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration, Kafka, Postgres, the tables and a sample of records",
		Long: `Checks everything that ` + "`run`" + ` needs, and says what to do about each thing that is missing.
It writes nothing and leaves no trace in the consumer group.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := excludes(cmd, "print", "offline", "json"); err != nil {
				return err
			}
			p, err := f.load()
			if err != nil {
				return err
			}
			if print {
				_, err := fmt.Fprint(cmd.OutOrStdout(), p.Redacted())
				return err
			}
			r := app.Check(cmd.Context(), p, build(), offline)
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if err := printCheck(cmd.OutOrStdout(), r, asJSON); err != nil {
				return err
			}
			return r.Err()
		},
	}
	f.add(cmd)
	f.addCreate()
	cmd.Flags().BoolVar(&offline, "offline", false, "check the configuration only")
	cmd.Flags().BoolVar(&print, "print", false,
		"print the configuration as sinker understands it, with every default and without the secrets, and check "+
			"nothing else")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// printCheck prints the report, a row per finding.
func printCheck(w io.Writer, r *app.CheckReport, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	t := table.New(w)
	for _, f := range r.Checks {
		sign := "ok"
		switch {
		case !f.OK:
			sign = "FAIL"
		case f.Warn:
			sign = "WARN"
		}
		t.Row(sign, f.What, f.Detail)
	}
	return t.Flush()
}
