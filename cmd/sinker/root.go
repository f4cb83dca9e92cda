package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set when a release is built: -ldflags "-X main.version=1.2.3".
var version = "dev"

// extraCommands are those that a build tag leaves out (nodemo).
var extraCommands []func() *cobra.Command

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "sinker",
		Short: "Moves Kafka topics into Postgres tables exactly once",
		Long: `sinker moves Kafka topics into Postgres tables exactly once: it writes the rows and the
offsets in one Postgres transaction, so whatever dies, nothing is lost and nothing is
written twice.

See it work, with nothing installed:   sinker demo
Load a topic:                          sinker run --brokers localhost:9092 --topic orders --create
Run a pipeline:                        sinker run -c sinker.yaml`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newRunCommand(), newCheckCommand(), newStatusCommand(), newOffsetsCommand(), newVerifyCommand(), newMigrateCommand(),
		newProduceCommand(), newReadyCommand(), newVersionCommand())
	for _, extra := range extraCommands {
		root.AddCommand(extra())
	}
	markUsage(root)
	return root
}

// markUsage makes wrong arguments exit with the usage code.
func markUsage(cmd *cobra.Command) {
	check := cmd.Args
	if check == nil {
		check = cobra.NoArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return argumentError(cmd, args)
		}
		return noEmpty(cmd)
	}
	for _, c := range cmd.Commands() {
		markUsage(c)
	}
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "sinker "+versionText())
			return err
		},
	}
}

func versionText() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	text := version + " " + info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			text += " " + s.Value[:12]
		}
	}
	return text
}
