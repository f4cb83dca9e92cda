package config

import (
	"time"

	"go.yaml.in/yaml/v4"
)

// postgres reads a mapping, or the URL alone.
func (r *reader) postgres(n *yaml.Node, p *Postgres) {
	if n.Kind == yaml.ScalarNode {
		r.databaseURL(&p.URL, "postgres")(n)
		return
	}
	given := r.fields(n, "postgres",
		field{"url", r.databaseURL(&p.URL, "postgres.url")},
		field{"migrate_url", r.databaseURL(&p.MigrateURL, "postgres.migrate_url")},
		field{"synchronous_commit", r.oneOf(&p.SynchronousCommit, "postgres.synchronous_commit", "on", "off", "local", "remote_write", "remote_apply")},
		field{"statement_timeout", r.duration(&p.StatementTimeout, "postgres.statement_timeout", time.Second, time.Hour)})
	if n.Kind == yaml.MappingNode && given["url"] == nil {
		r.problem(n, "postgres.url is missing")
	}
}

func (r *reader) databaseURL(dst *Secret, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		if problem := badURL(s); problem != "" {
			r.problem(n, "%s %s", what, problem)
			return
		}
		*dst = Secret(s)
	}
}
