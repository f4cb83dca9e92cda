package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"sinker/internal/app"
	"sinker/internal/printable"
	"sinker/internal/table"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

func init() { register(newStatusCommand) }

func newStatusCommand() *cobra.Command {
	var f pipelineFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show positions, totals and lag; works while sinker is down",
		Long: `Shows where the pipeline stands, from Postgres alone, whether sinker is running or not. When
Kafka answers within three seconds, the ends of the logs and the lag are shown too.`,
		Example: `  sinker status -c sinker.yaml
  DATABASE_URL=… sinker status --name orders-to-pg`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := f.loadDatabase()
			if err != nil {
				return err
			}
			r, err := app.Status(cmd.Context(), p, build())
			if err != nil {
				return err
			}
			sayBehind(cmd, r.Standby)
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			}
			return printStatus(cmd.OutOrStdout(), r)
		},
	}
	f.addDatabase(cmd)
	f.addBrokers()
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func printStatus(w io.Writer, r *app.StatusReport) error {
	if r.Nothing != "" {
		_, err := fmt.Fprintln(w, r.Nothing)
		return err
	}
	tab := table.New(w, "TOPIC", "PARTITION", "POSITION", "END", "LAG", "CONSUMED", "WRITTEN", "FILTERED", "DEAD",
		"LAST RECORD", "MOVED", "OWNER", "STATE")
	for _, p := range r.Partitions {
		last := "-"
		if p.RecordAge != nil {
			last = ago(*p.RecordAge)
		}
		tab.Row(p.Topic, p.Partition, p.NextOffset, known(p.EndOffset), known(p.Lag), p.Consumed, p.Written, p.Filtered,
			p.Dead, last, ago(p.MoveAge), p.Owner, p.State)
	}
	if t := r.Totals; len(r.Partitions) > 1 {
		tab.Row("all", "", "", "", known(t.Lag), t.Consumed, t.Written, t.Filtered, t.Dead, "", "", "", "")
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	return printStatusNotes(w, r)
}

// printStatusNotes says under the table what needs somebody to look.
func printStatusNotes(w io.Writer, r *app.StatusReport) error {
	var b strings.Builder
	for _, p := range r.Partitions {
		if p.Reason == "" {
			continue
		}
		fmt.Fprintf(&b, "\n%s/%d is %s at %d: %s\n", p.Topic, p.Partition, p.State, p.NextOffset, p.Reason)
		if p.Command != "" {
			fmt.Fprintf(&b, "    %s\n", p.Command)
		}
	}
	if n := r.Totals.Letters; n != nil && *n > 0 {
		fmt.Fprintf(&b, "\n%s: %s\n", printable.Count(*n, "dead letter"), r.LettersQuery)
	}
	if n := r.Totals.Suppressed; n > 0 {
		fmt.Fprintf(&b, "\n%s suppressed by triggers or rules of the tables. "+
			"Where a topic has one table, the records count as FILTERED.\n", printable.Count(n, "row"))
	}
	if r.KafkaError != "" {
		fmt.Fprintf(&b, "\nEND and LAG are unknown where they show ?: %s\n", r.KafkaError)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func known(n *int64) string {
	if n == nil {
		return "?"
	}
	return fmt.Sprint(*n)
}

// ago is an age as people say it: "5 seconds ago".
func ago(seconds float64) string {
	now := time.Now()
	return humanize.RelTime(now.Add(-time.Duration(seconds*float64(time.Second))), now, "ago", "")
}
