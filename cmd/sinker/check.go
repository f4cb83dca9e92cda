package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"sinker/internal/config"
	"sinker/internal/consume"
	"sinker/internal/txn"

	"github.com/spf13/cobra"
)

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
			c := checker{pipeline: p, code: exitOK}
			c.say("configuration", nil, fmt.Sprintf("pipeline %s, %d sinks, %d workers", p.Name, len(p.Sinks), p.Workers))
			if !offline {
				c.live(cmd.Context())
			}
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			return c.finish(cmd.OutOrStdout(), asJSON)
		},
	}
	f.add(cmd)
	f.addCreate()
	cmd.Flags().BoolVar(&offline, "offline", false, "check the configuration only")
	cmd.Flags().BoolVar(&print, "print", false, "print the configuration as sinker understands it, with every default and without the secrets, and check nothing else")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// finding is one line of the report.
type finding struct {
	What   string `json:"what"`
	OK     bool   `json:"ok"`
	Warn   bool   `json:"warn,omitempty"` // works, but somebody should know
	Detail string `json:"detail"`
}

// sign is how the finding's line begins.
func (f finding) sign() string {
	switch {
	case !f.OK:
		return "FAIL"
	case f.Warn:
		return "WARN"
	}
	return "ok  "
}

type checker struct {
	pipeline *config.Pipeline
	findings []finding
	code     int // of the first thing that failed
}

func (c *checker) say(what string, err error, detail string) bool {
	if err != nil {
		detail = err.Error()
		if c.code == exitOK {
			c.code = codeOf(err)
		}
	}
	c.findings = append(c.findings, finding{What: what, OK: err == nil, Detail: detail})
	return err == nil
}

// warn notes what works, and what somebody should know about all the same. The exit code stays.
func (c *checker) warn(what, detail string) {
	c.findings = append(c.findings, finding{What: what, OK: true, Warn: true, Detail: detail})
}

// live asks both sides. A side that can not be reached ends its part, not the other's.
func (c *checker) live(ctx context.Context) {
	pl, err := newPlant(c.pipeline, slog.New(slog.DiscardHandler))
	if !c.say("kafka settings", err, "") {
		return
	}
	store := txn.New(pl.postgres)
	defer store.Close()
	c.postgres(ctx, pl, store)
	c.kafka(ctx, pl, store)
}

func (c *checker) postgres(ctx context.Context, pl *plant, store *txn.Store) {
	for _, w := range unencrypted(c.pipeline) {
		c.warn("postgres", w)
	}
	have, want, dirty, err := txn.SchemaVersion(ctx, pl.postgres.URL)
	if !c.say("postgres", err, config.RedactURL(pl.postgres.URL)) {
		return
	}
	switch {
	case dirty:
		err = withCode(exitConfig, fmt.Errorf("schema sinker is at version %d and a migration failed half way: see `sinker migrate version`", have))
	case have > want:
		err = withCode(exitConfig, fmt.Errorf("schema sinker is at version %d, this binary knows up to %d: run a newer sinker", have, want))
	}
	detail := fmt.Sprintf("version %d", have)
	if have < want && !dirty {
		detail += fmt.Sprintf(", this binary needs %d: `run` brings it there, unless --migrate=false; or `sinker migrate up`", want)
	}
	if err == nil && (have == want || c.pipeline.Postgres.MigrateURL.Reveal() == "") {
		err = store.CheckOwn(ctx, have < want)
	}
	if c.say("schema sinker", err, detail) && have == want {
		c.audit(ctx, store)
	}
	sinks, err := store.Check(ctx)
	if err != nil {
		c.say("tables", err, "")
		return
	}
	for _, s := range sinks {
		c.say("table "+s.Table, s.Err, strings.TrimSuffix(s.Mode+": "+strings.Join(s.Columns, ", "), ": "))
		for _, w := range s.Warnings {
			c.warn("table "+s.Table, w)
		}
	}
}

// audit warns where this role can load, and cannot do what an operator does.
func (c *checker) audit(ctx context.Context, store *txn.Store) {
	grant, err := store.MissingOnAudit(ctx)
	switch {
	case err != nil:
		c.say("schema sinker", err, "")
	case grant != "":
		c.warn("schema sinker", "loading works; `verify` reads sinker.audit and `offsets set` writes to it: "+grant)
	}
}

func (c *checker) kafka(ctx context.Context, pl *plant, store *txn.Store) {
	found, err := consume.CheckTopics(ctx, pl.kafka)
	if err != nil {
		c.say("kafka", kafkaProblem(c.pipeline.Kafka, err), "")
		return
	}
	c.say("kafka", nil, strings.Join(c.pipeline.Kafka.Brokers, ","))
	if err := consume.CheckGroup(ctx, pl.kafka); errors.Is(err, consume.ErrGroupDenied) {
		c.say("group "+pl.kafka.Group, withCode(exitConfig, err), "")
	} else {
		c.say("group "+pl.kafka.Group, kafkaProblem(c.pipeline.Kafka, err), "may be joined")
	}
	if err := missingTopics(found); err != nil {
		c.say("topics", withCode(exitConfig, err), "")
	}
	for _, r := range pl.kafka.Regexps {
		if !slices.ContainsFunc(found.Present, r.MatchString) {
			c.warn("topics /"+r.String()+"/", "there is no topic of such a name yet; `run` looks for new ones as it goes")
		}
	}
	topics := slices.DeleteFunc(found.Present, func(t string) bool { return !pl.kafka.Wants(t) })
	for _, t := range topics[:min(len(topics), mostSampled)] {
		c.sample(ctx, pl, store, t)
	}
	if n := len(topics) - mostSampled; n > 0 {
		c.warn("topics", fmt.Sprintf("%d more were not sampled", n))
	}
}

// mostSampled is of how many topics records are read: a regular expression may match thousands.
const mostSampled = 100

// sample reads a topic's last records and encodes them, so that a wrong path or type shows before the first load.
func (c *checker) sample(ctx context.Context, pl *plant, store *txn.Store, topic string) {
	records, err := consume.Sample(ctx, pl.kafka, topic, 100)
	if bad := (*consume.BadBatch)(nil); errors.As(err, &bad) {
		c.say("topic "+topic, withCode(exitConfig, fmt.Errorf("partition %d: %w. The command passes over its records for good: %s", bad.Partition, bad, bad.Skip())), "")
		return
	}
	if err != nil {
		c.say("topic "+topic, kafkaProblem(c.pipeline.Kafka, err), "")
		return
	}
	if len(records) == 0 {
		c.say("topic "+topic, nil, "has no records yet")
		return
	}
	good, bad, first := store.Try(topic, records)
	if bad > 0 {
		first = withCode(exitConfig, fmt.Errorf("%d of a sample of %d records cannot become rows; the first: %w", bad, good+bad, first))
	}
	if bad > 0 && good > 0 && c.pipeline.Errors.Do != "stop" {
		c.warn("topic "+topic, first.Error()+". They would become dead letters")
	} else {
		c.say("topic "+topic, first, fmt.Sprintf("a sample of %d records fits", good))
	}
	for _, f := range store.Fits(topic, records) {
		c.fit(topic, f)
	}
}

// finish prints the report, one finding per line.
func (c *checker) finish(w io.Writer, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(w).Encode(map[string]any{"ok": c.code == exitOK, "checks": c.findings}); err != nil {
			return err
		}
	} else {
		for _, f := range c.findings {
			_, err := fmt.Fprintf(w, "%s  %-22s %s\n", f.sign(), f.What, strings.ReplaceAll(f.Detail, "\n", "\n"+strings.Repeat(" ", 30)))
			if err != nil {
				return err
			}
		}
	}
	if c.code != exitOK {
		return withCode(c.code, errors.New("check found something to mend"))
	}
	return nil
}
