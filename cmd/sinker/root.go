package main

import "github.com/spf13/cobra"

// commands make the commands. Each file of a command registers its own, so that a new command is one new file, and a
// build tag that leaves the file out leaves the command out (nodemo).
var commands []func() *cobra.Command

func register(newCommand func() *cobra.Command) { commands = append(commands, newCommand) }

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "sinker",
		Short: "Moves Kafka topics into Postgres tables exactly once",
		Long: `sinker moves Kafka topics into Postgres tables exactly once. It writes the rows and the
offsets in one Postgres transaction: whatever dies, nothing is lost and nothing is written
twice.

See it work, with nothing installed:   sinker demo
Load a topic:                          sinker run --brokers localhost:9092 --topic orders --create
Run a pipeline:                        sinker run -c sinker.yaml`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(flagError)
	for _, newCommand := range commands {
		root.AddCommand(newCommand())
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
