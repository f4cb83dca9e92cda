package app

import (
	"sinker/internal/config"
	"sinker/internal/consume"
	"sinker/internal/txn"

	"github.com/twmb/franz-go/pkg/kgo"
)

// lineage is the process's memory of the primary it has met.
var lineage txn.Lineage

// fields is the process's memory of what was said about records' fields.
var fields txn.Fields

// storeConfig is the Postgres side of a pipeline.
func storeConfig(p *config.Pipeline) txn.Config {
	c := txn.Config{
		URL: p.Postgres.URL.Reveal(), Pipeline: p.Name, Hash: p.Hash(),
		SynchronousCommit: p.Postgres.SynchronousCommit, StatementTimeout: p.Postgres.StatementTimeout,
		StopOnBad: p.Errors.Do == "stop", StopAfter: p.Errors.StopAfter, Lineage: &lineage, Fields: &fields,
	}
	for _, s := range p.Sinks {
		sink := txn.Sink{Topics: s.Topics, Schema: s.Schema, Table: s.Table, Create: s.Create, Rule: s.Rule}
		if s.Errors != nil {
			sink.WaitFor, sink.WaitAtMost = s.Errors.WaitFor, s.Errors.AtMost
		}
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
		SessionTimeout: p.Kafka.SessionTimeout, MaxBatch: p.Kafka.MaxBatch, Balancer: p.Kafka.Balancer,
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

// kafkaDial is how the configuration says Kafka is reached.
func kafkaDial(k config.Kafka, build Build) consume.Dial {
	d := consume.Dial{Brokers: k.Brokers, Version: build.Version}
	if t := k.TLS; t != nil {
		d.TLS = &consume.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName, Insecure: t.Insecure}
	}
	if s := k.SASL; s != nil {
		d.SASL = &consume.SASL{
			Mechanism: s.Mechanism, Username: s.Username, Password: s.Password.Reveal(), PasswordFile: s.PasswordFile,
			Token: s.Token.Reveal(), TokenFile: s.TokenFile, Extensions: s.Extensions,
		}
	}
	return d
}

// DirectURL is the connection that migrations take: the server's own address where a transaction pooler stands between.
func DirectURL(p *config.Pipeline) string {
	if url := p.Postgres.MigrateURL.Reveal(); url != "" {
		return url
	}
	return p.Postgres.URL.Reveal()
}
