package main

import (
	"encoding/json"
	"fmt"

	"sinker/internal/txn"

	"github.com/spf13/cobra"
)

func newMigrateCommand() *cobra.Command {
	var printSQL bool
	var from uint
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make schema sinker, or bring it up to date",
		Long: `Makes schema sinker, or brings it up to date; run does the same when it starts, unless it is
given --migrate=false. Several may do it at once, and each may be killed: the next one goes on.
It needs the server's own address where a transaction pooler stands between
(postgres.migrate_url).`,
		Example: `  sinker migrate up -c sinker.yaml
  sinker migrate --print-sql | psql -v ON_ERROR_STOP=1 service=shop`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(cmd, "print-sql", "from"); err != nil {
				return err
			}
			if !printSQL {
				return cmd.Help()
			}
			sql, err := txn.MigrationSQL(from)
			if err != nil {
				return withCode(exitUsage, err)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), sql)
			return err
		},
	}
	cmd.Flags().BoolVar(&printSQL, "print-sql", false, "print the SQL that makes the schema, for a DBA to run with psql")
	cmd.Flags().UintVar(&from, "from", 0, "with --print-sql: the version the database has (see `migrate version`)")
	cmd.AddCommand(newMigrateUpCommand(), newMigrateVersionCommand())
	return cmd
}

func newMigrateUpCommand() *cobra.Command {
	var f databaseFlags
	var logs logFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring schema sinker to this version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, err := f.url()
			if err != nil {
				return err
			}
			from, to, err := txn.Migrate(cmd.Context(), url, logs.logger(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			if from == to {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "schema sinker is at version %d already\n", to)
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "schema sinker: version %d → %d\n", from, to)
			return err
		},
	}
	f.add(cmd)
	logs.add(cmd)
	return cmd
}

func newMigrateVersionCommand() *cobra.Command {
	var f databaseFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say which version schema sinker has, and which one this binary wants",
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, err := f.url()
			if err != nil {
				return err
			}
			have, want, dirty, err := txn.SchemaVersion(cmd.Context(), url)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"version": have, "wanted": want, "dirty": dirty})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "schema sinker is at version %d; this binary wants %d%s\n", have, want, versionAdvice(have, want, dirty))
			return err
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// versionAdvice is what to do about a version that is not the wanted one.
func versionAdvice(have, want uint, dirty bool) string {
	switch {
	case dirty:
		return "; a migration is under way or was cut off: `sinker migrate up` waits for it, or goes on"
	case have < want:
		return ": `sinker migrate up`"
	case have > want:
		return ": run a newer sinker"
	}
	return ""
}
