package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"sinker/internal/app"

	"github.com/spf13/cobra"
)

func init() { register(newMigrateCommand) }

func newMigrateCommand() *cobra.Command {
	var printSQL bool
	var from uint
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make schema sinker, or bring it up to date",
		Long: `Makes schema sinker, or brings it up to date. run does the same when it starts, unless it is
given --migrate=false. Several processes may do it at once, and each may be killed: the next one
goes on. Behind a transaction pooler, set postgres.migrate_url to the server's own address.`,
		Example: `  sinker migrate up -c sinker.yaml
  sinker migrate --print-sql | psql -v ON_ERROR_STOP=1 service=shop`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(cmd, "print-sql", "from"); err != nil {
				return err
			}
			if !printSQL {
				return cmd.Help()
			}
			sql, err := app.MigrationSQL(from)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), sql)
			return err
		},
	}
	cmd.Flags().BoolVar(&printSQL, "print-sql", false, "print the SQL that makes the schema, for a DBA to run with psql")
	cmd.Flags().UintVar(&from, "from", 0,
		"with --print-sql: the version the database has, as sinker migrate version prints it")
	cmd.AddCommand(newMigrateUpCommand(), newMigrateDownCommand(), newMigrateVersionCommand())
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
			from, to, err := app.Migrate(cmd.Context(), url, logs.logger(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			if from == to {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "schema sinker is already at version %d\n", to)
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

func newMigrateDownCommand() *cobra.Command {
	var f databaseFlags
	var logs logFlags
	var to uint
	var yes bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Take schema sinker back to an older version, and lose what that version does not have",
		Long: `Takes schema sinker back to an older version, for an older sinker. Without --yes it says what
would be lost and changes nothing. All steps are one transaction. Stop sinker on every host
first: this version would bring the schema up again.

The database comes from the configuration or from DATABASE_URL, because --to is the version.`,
		Example: `  sinker migrate down --to 3 -c sinker.yaml
  sinker migrate down --to 3 -c sinker.yaml --yes`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("to") {
				return usage("migrate down needs --to with the version to go back to; `sinker migrate version` prints the " +
					"current one")
			}
			url, err := f.url()
			if err != nil {
				return err
			}
			return migrateDown(cmd, url, to, yes, logs.logger(cmd.ErrOrStderr()))
		},
	}
	f.addFile(cmd)
	logs.add(cmd)
	cmd.Flags().UintVar(&to, "to", 0, "version to go back to; 0 removes schema sinker")
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm: what the command lists without this flag is lost")
	return cmd
}

// migrateDown says what going back loses, and goes back if that was agreed to.
func migrateDown(cmd *cobra.Command, url string, to uint, yes bool, log *slog.Logger) error {
	d, err := app.PlanDowngrade(cmd.Context(), url, to)
	switch {
	case err != nil:
		return err
	case d.From == d.To:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "schema sinker is already at version %d\n", to)
		return err
	case d.From < d.To:
		return usage("schema sinker is at version %d, below %d: `sinker migrate up`", d.From, d.To)
	}
	if !yes {
		return usage("going back from version %d to %d loses:\n  %s\nNothing was changed. If that is what you want, add "+
			"--yes", d.From, d.To, strings.Join(d.Lost, "\n  "))
	}
	if err := d.Run(cmd.Context(), url, log); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "schema sinker: version %d → %d. Lost:\n  %s\n", d.From, d.To,
		strings.Join(d.Lost, "\n  "))
	return err
}

func newMigrateVersionCommand() *cobra.Command {
	var f databaseFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of schema sinker, and the one that this binary needs",
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, err := f.url()
			if err != nil {
				return err
			}
			s, err := app.SchemaVersion(cmd.Context(), url)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "schema sinker is at version %d; this binary needs %d%s\n",
				s.Version, s.Wanted, versionAdvice(s))
			return err
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// versionAdvice is what to do about a version that is not the wanted one.
func versionAdvice(s app.Schema) string {
	switch {
	case s.Dirty:
		return "; a migration is under way or was cut off: `sinker migrate up` waits for it, or goes on"
	case s.Version < s.Wanted:
		return ": `sinker migrate up`"
	case s.Version > s.Wanted:
		return ": run a newer sinker"
	}
	return ""
}
