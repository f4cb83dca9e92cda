package main

import (
	"fmt"
	"runtime/debug"

	"sinker/internal/app"

	"github.com/spf13/cobra"
)

func init() { register(newVersionCommand) }

// version is set when a release is built: -ldflags "-X main.version=1.2.3".
var version = "dev"

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "sinker "+build().Text)
			return err
		},
	}
}

// build is this program's version, with Go's and the commit's.
func build() app.Build {
	b := app.Build{Version: version, Text: version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Text += " " + info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			b.Text += " " + s.Value[:12]
		}
	}
	return b
}
