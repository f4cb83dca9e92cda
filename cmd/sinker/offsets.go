package main

import (
	"encoding/json"
	"fmt"
	"os"

	"sinker/internal/app"
	"sinker/internal/table"

	"github.com/spf13/cobra"
)

func init() { register(newOffsetsCommand) }

func newOffsetsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "offsets",
		Short: "List the positions, and decide about a partition that stopped",
		Long: `Lists and changes the positions in sinker.offsets. Changes work whether sinker is running or
not: a running worker is fenced, writes nothing from where it was, and takes the partition
again. Each change is recorded in sinker.audit.

adopt and reset are for a topic whose log is another one than the position belongs to: the topic
was deleted and made again, or is on another cluster now.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newOffsetsListCommand(),
		newOffsetsChangeCommand("set", "Move a position to an offset"),
		newOffsetsChangeCommand("adopt", "Keep the position, and go on with the topic's current log"),
		newOffsetsChangeCommand("reset", "Start the topic's current log from its beginning"))
	return cmd
}

func newOffsetsListCommand() *cobra.Command {
	var f pipelineFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the positions of the pipeline",
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := f.loadDatabase()
			if err != nil {
				return err
			}
			at, err := app.Positions(cmd.Context(), p)
			if err != nil {
				return err
			}
			sayBehind(cmd, at.Standby)
			switch {
			case asJSON:
				return json.NewEncoder(cmd.OutOrStdout()).Encode(at.Rows)
			case at.Nothing != "":
				_, err := fmt.Fprintln(cmd.OutOrStdout(), at.Nothing)
				return err
			}
			t := table.New(cmd.OutOrStdout(), "TOPIC", "PARTITION", "POSITION", "OWNER", "STATE", "REASON", "COMMAND")
			for _, r := range at.Rows {
				t.Row(r.Topic, r.Partition, r.NextOffset, r.Owner, r.State, r.Reason, r.Command)
			}
			return t.Flush()
		},
	}
	f.addDatabase(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

// changeFlags are an operator's words. The topic is --topic here, so the pipeline comes from a file.
type changeFlags struct {
	file   string
	change app.Change
}

func newOffsetsChangeCommand(action, short string) *cobra.Command {
	f := changeFlags{change: app.Change{Action: action, By: clientName()}}
	cmd := &cobra.Command{
		Use:   action,
		Short: short,
		RunE:  func(cmd *cobra.Command, _ []string) error { return changeOffset(cmd, &f) },
	}
	fs := cmd.Flags()
	fs.StringVarP(&f.file, "config", "c", "sinker.yaml", "configuration file")
	fs.StringVar(&f.change.Topic, "topic", "", "topic")
	fs.Int32Var(&f.change.Partition, "partition", -1, "partition")
	fs.StringVar(&f.change.Note, "note", "", "why, for the audit")
	if action == "set" {
		fs.Int64Var(&f.change.Offset, "offset", -1, "offset to read next")
		fs.BoolVar(&f.change.SkipRecords, "skip-records", false,
			"confirm: the records below the new position are never written")
		fs.BoolVar(&f.change.WriteAgain, "write-again", false,
			"confirm: the records above the new position are written a second time")
		fs.BoolVar(&f.change.BeyondEnd, "beyond-end", false,
			"confirm: Kafka's log may end below the new position; Kafka is not asked")
	}
	for _, name := range []string{"partition", "offset"} {
		if flag := fs.Lookup(name); flag != nil {
			flag.DefValue = "0" // so that the help does not show the -1, which stands for a flag that is missing
		}
	}
	return cmd
}

func changeOffset(cmd *cobra.Command, f *changeFlags) error {
	c := &f.change
	if err := excludes(cmd, "skip-records", "write-again"); err != nil {
		return err
	}
	for name, n := range map[string]int64{"partition": int64(c.Partition), "offset": c.Offset} {
		if n < 0 && cmd.Flags().Changed(name) {
			return usage("--%s must not be below 0", name)
		}
	}
	if c.Topic == "" || c.Partition < 0 || c.Action == "set" && c.Offset < 0 {
		return usage("offsets %s needs --topic and --partition%s", c.Action,
			map[bool]string{true: " and --offset"}[c.Action == "set"])
	}
	p, err := loadFile(cmd.Context(), f.file)
	if err != nil {
		return err
	}
	done, err := app.ChangeOffset(cmd.Context(), p, build(), *c)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s/%d: position %d → %d, fence %d\n", c.Topic, c.Partition, done.From, done.To, done.Fence)
	if done.Owner != "" {
		fmt.Fprintf(w, "%s was the owner and is fenced; it takes the partition again within seconds\n", done.Owner)
	}
	return nil
}

// sayBehind says that what a command prints was read from a standby.
func sayBehind(cmd *cobra.Command, standby bool) {
	if standby {
		fmt.Fprintln(cmd.ErrOrStderr(), "sinker: "+app.Behind)
	}
}

// clientName is who asks, for the audit.
func clientName() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("%s@%s", os.Getenv("USER"), host)
}
