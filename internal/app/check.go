package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sinker/internal/config"
	"sinker/internal/consume"
	"sinker/internal/printable"
	"sinker/internal/record"
	"sinker/internal/txn"
)

// Finding is one line of the check's report.
type Finding struct {
	What   string `json:"what"`
	OK     bool   `json:"ok"`
	Warn   bool   `json:"warn,omitempty"` // works, but somebody should know
	Detail string `json:"detail"`
}

// CheckReport is what Check found. It is complete, however many findings failed.
type CheckReport struct {
	Checks []Finding `json:"checks"`
	OK     bool      `json:"ok"`

	kind Kind // of the first thing that failed
}

// Err is nil when nothing failed. Its kind is that of the first thing that did.
func (r *CheckReport) Err() error {
	if r.OK {
		return nil
	}
	return As(r.kind, errors.New("check failed: see the FAIL lines above"))
}

// Check checks everything that a run needs, and says what to do about each thing that is missing. It writes nothing and
// leaves no trace in the consumer group. With offline only the configuration is looked at.
func Check(ctx context.Context, p *config.Pipeline, build Build, offline bool) *CheckReport {
	c := checker{CheckReport: CheckReport{OK: true}}
	c.say("configuration", nil, fmt.Sprintf("pipeline %s, %s, %s", p.Name,
		printable.Count(len(p.Sinks), "sink"), printable.Count(p.Workers, "worker")))
	if offline {
		return &c.CheckReport
	}
	var err error
	if c.app, err = New(p, build, nil); !c.say("kafka settings", err, "") {
		return &c.CheckReport
	}
	c.store = txn.New(c.app.postgres)
	defer c.store.Close()
	c.postgres(ctx)
	c.kafka(ctx)
	return &c.CheckReport
}

type checker struct {
	CheckReport
	app   *App
	store *txn.Store
	at    []record.PartitionStatus // the positions; none where there are none, or they could not be read
}

func (c *checker) say(what string, err error, detail string) bool {
	if err != nil {
		detail = err.Error()
		if c.OK {
			c.OK, c.kind = false, KindOf(err)
		}
	}
	c.Checks = append(c.Checks, Finding{What: what, OK: err == nil, Detail: detail})
	return err == nil
}

// warn notes what works, and what somebody should know about all the same.
func (c *checker) warn(what, detail string) {
	c.Checks = append(c.Checks, Finding{What: what, OK: true, Warn: true, Detail: detail})
}

// postgres asks Postgres. When it cannot be reached, Kafka is asked all the same.
func (c *checker) postgres(ctx context.Context) {
	for _, w := range c.app.Unencrypted() {
		c.warn("postgres", w)
	}
	url := c.app.postgres.URL
	have, want, dirty, err := txn.SchemaVersion(ctx, url)
	if !c.say("postgres", err, config.RedactURL(url)) {
		return
	}
	switch {
	case dirty:
		err = fmt.Errorf("schema sinker is at version %d and a migration failed half way: see `sinker migrate version`", have)
	case have > want:
		err = fmt.Errorf("schema sinker is at version %d, this binary knows up to %d: run a newer sinker", have, want)
	}
	err = As(Configuration, err)
	detail := fmt.Sprintf("version %d", have)
	if have < want && !dirty {
		detail += fmt.Sprintf(", this binary needs %d: `run` brings it there, unless --migrate=false; or `sinker "+
			"migrate up`", want)
	}
	if err == nil && (have == want || c.app.pipeline.Postgres.MigrateURL.Reveal() == "") {
		err = c.store.CheckOwn(ctx, have < want)
	}
	if c.say("schema sinker", err, detail) && have == want {
		c.audit(ctx)
		if o, err := txn.Glance(ctx, url, c.app.pipeline.Name); err == nil {
			c.at = o.Partitions
		}
	}
	sinks, err := c.store.Check(ctx)
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
func (c *checker) audit(ctx context.Context) {
	grant, err := c.store.MissingOnAudit(ctx)
	switch {
	case err != nil:
		c.say("schema sinker", err, "")
	case grant != "":
		c.warn("schema sinker", "loading works; `verify` reads sinker.audit and `offsets set` writes to it: "+grant)
	}
}

func (c *checker) kafka(ctx context.Context) {
	cfg, k := c.app.kafka, c.app.pipeline.Kafka
	found, err := consume.CheckTopics(ctx, cfg)
	if err != nil {
		c.say("kafka", c.app.kafkaProblem(err), "")
		return
	}
	c.say("kafka", nil, strings.Join(k.Brokers, ","))
	if err := consume.CheckGroup(ctx, cfg); errors.Is(err, consume.ErrGroupDenied) {
		c.say("group "+cfg.Group, As(Configuration, err), "")
	} else {
		c.say("group "+cfg.Group, c.app.kafkaProblem(err), "may be joined")
	}
	if err := missingTopics(found); err != nil {
		c.say("topics", As(Configuration, err), "")
	}
	for _, r := range cfg.Regexps {
		if !slices.ContainsFunc(found.Present, r.MatchString) {
			c.warn("topics /"+r.String()+"/", "no topic matches yet; `run` looks for new ones as it goes")
		}
	}
	topics := slices.DeleteFunc(found.Present, func(t string) bool { return !cfg.Wants(t) })
	for _, t := range topics[:min(len(topics), mostSampled)] {
		c.sample(ctx, t)
	}
	if n := len(topics) - mostSampled; n > 0 {
		c.warn("topics", fmt.Sprintf("%d more were not sampled", n))
	}
}

// mostSampled is of how many topics records are read: a regular expression may match thousands.
const mostSampled = 100

// records reads a topic's last records, and those that are read next.
func (c *checker) records(ctx context.Context, topic string) (records []*record.Record, next int, err error) {
	const most = 100
	if records, err = consume.Sample(ctx, c.app.kafka, topic, most); err != nil {
		return nil, 0, err
	}
	at := map[int32]int64{}
	for _, p := range c.at {
		if p.Topic == topic {
			at[p.Partition] = p.NextOffset
		}
	}
	if len(at) == 0 {
		return records, 0, nil
	}
	first, err := consume.SampleAt(ctx, c.app.kafka, topic, at, most)
	for _, r := range first {
		next++
		same := func(s *record.Record) bool { return s.Partition == r.Partition && s.Offset == r.Offset }
		if !slices.ContainsFunc(records, same) {
			records = append(records, r)
		}
	}
	return records, next, err
}

// sample encodes some of a topic's records, so that a wrong path or type shows before they are loaded.
func (c *checker) sample(ctx context.Context, topic string) {
	records, next, err := c.records(ctx, topic)
	if bad := (*consume.BadBatch)(nil); errors.As(err, &bad) {
		c.say("topic "+topic, As(Configuration, fmt.Errorf("partition %d: %w. This command skips its records for good: %s",
			bad.Partition, bad, bad.Skip())), "")
		return
	}
	if err != nil {
		c.say("topic "+topic, c.app.kafkaProblem(err), "")
		return
	}
	if len(records) == 0 {
		c.say("topic "+topic, nil, "has no records yet")
		return
	}
	good, bad, first := c.store.Try(topic, records)
	sampled := "a sample of " + printable.Count(len(records), "record")
	if next > 0 {
		sampled += fmt.Sprintf(", %d of them next to be read,", next)
	}
	if bad > 0 {
		first = As(Configuration, fmt.Errorf("%d of %s cannot become rows; the first: %w", bad, sampled, first))
	}
	if bad > 0 && good > 0 && c.app.pipeline.Errors.Do != "stop" {
		c.warn("topic "+topic, first.Error()+". They would become dead letters")
	} else {
		c.say("topic "+topic, first, sampled+" fits")
	}
	for _, f := range c.store.Fits(topic, records) {
		c.fit(topic, f)
	}
}
