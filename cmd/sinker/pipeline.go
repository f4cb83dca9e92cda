package main

import (
	"os"

	"sinker/internal/config"
	"sinker/internal/consume"
	"sinker/internal/txn"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// pipelineFlags are how a command is told of a pipeline: a file, or flags that make one.
type pipelineFlags struct {
	file  string
	flags config.Flags
}

// add declares the flags on a command.
func (f *pipelineFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVarP(&f.file, "config", "c", "", "configuration file (default sinker.yaml, when neither --topic nor --to is given)")
	fs.StringSliceVar(&f.flags.Brokers, "brokers", nil, "Kafka brokers, host:port,…")
	fs.StringSliceVar(&f.flags.Topics, "topic", nil, "topic to load, or a /regular expression/")
	fs.StringVar(&f.flags.To, "to", "", "Postgres connection URL")
	fs.StringVar(&f.flags.Table, "table", "", "target table (default: the topic's name)")
	fs.StringSliceVar(&f.flags.Key, "key", nil, "key columns: upsert instead of append")
	fs.BoolVar(&f.flags.Create, "create", false, "make the table when it is missing")
	fs.StringVar(&f.flags.Name, "name", "", "pipeline: the consumer group, and the owner of its offsets (default sinker)")
}

// load returns the checked pipeline.
func (f *pipelineFlags) load() (*config.Pipeline, error) {
	byFlags := len(f.flags.Topics) > 0 || f.flags.To != "" || len(f.flags.Brokers) > 0
	if byFlags && f.file != "" {
		return nil, usage("give either --config or --brokers, --topic and --to, not both")
	}
	if byFlags {
		return config.FromFlags(f.flags)
	}
	if f.file == "" {
		f.file = "sinker.yaml"
		if _, err := os.Stat(f.file); err != nil {
			return nil, usage("there is no sinker.yaml here: give --config FILE, or --brokers, --topic and --to")
		}
	}
	return config.Load(f.file, os.LookupEnv)
}

// lineage is the process's memory of the primary it has met.
var lineage txn.Lineage

// storeConfig is the Postgres side of a pipeline.
func storeConfig(p *config.Pipeline, owner string) txn.Config {
	c := txn.Config{
		URL: p.Postgres.URL.Reveal(), Pipeline: p.Name, Owner: owner, Hash: p.Hash(),
		SynchronousCommit: p.Postgres.SynchronousCommit, StatementTimeout: p.Postgres.StatementTimeout,
		StopOnBad: p.Errors.Do == "stop", StopAfter: p.Errors.StopAfter, Lineage: &lineage,
	}
	for _, s := range p.Sinks {
		sink := txn.Sink{Topics: s.Topics, Schema: s.Schema, Table: s.Table, Create: s.Create, Rule: s.Rule}
		if s.Regex {
			sink.Topics, sink.Regexp = nil, s.Regexp()
		}
		c.Sinks = append(c.Sinks, sink)
	}
	return c
}

// consumeConfig is the Kafka side of a pipeline.
func consumeConfig(p *config.Pipeline, opts []kgo.Opt) consume.Config {
	c := consume.Config{
		Group: p.Name, Kafka: opts, Start: consume.Start{Latest: p.Kafka.Start.Latest, At: p.Kafka.Start.At},
		SessionTimeout: p.Kafka.SessionTimeout, Balancer: p.Kafka.Balancer,
		Rows: p.Batch.Rows, Bytes: p.Batch.Bytes, Every: p.Batch.Every,
	}
	seen := map[string]bool{}
	for _, s := range p.Sinks {
		if s.Regex {
			c.Regexps = append(c.Regexps, s.Regexp())
			continue
		}
		for _, t := range s.Topics {
			if !seen[t] {
				c.Topics = append(c.Topics, t)
			}
			seen[t] = true
		}
	}
	return c
}
