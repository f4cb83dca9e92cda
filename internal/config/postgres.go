package config

import (
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
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

// refusals are what the client says of a connection string that it can not read, and what we say: its own words may
// repeat a part of the string. Files that the string names are the first connection's business; they may be missing
// here and be there in production.
var refusals = []struct{ theirs, ours string }{
	{"failed to parse as URL", "can not be read as a URL: in a password, % is written %25, a space %20, and @ : / ? # by their codes too"},
	{"failed to parse as keyword/value", "can not be read as keyword=value pairs: a value with spaces goes in single quotes"},
	{"sslmode is invalid", "has a wrong sslmode: it is disable, allow, prefer, require, verify-ca or verify-full"},
	{"invalid port", "has a wrong port"},
	{"could not match", "has not as many ports as hosts"},
	{"invalid connect_timeout", "has a wrong connect_timeout: it is a number of seconds"},
	{"unknown target_session_attrs", "has a wrong target_session_attrs: leave it out, and only a server that accepts writes is taken"},
	{"unknown channel_binding", "has a wrong channel_binding: it is disable, prefer or require"},
}

// badURL says what is wrong with a connection string; what is in it may be secret and is not repeated.
func badURL(s string) string {
	const form = "a connection URL: postgres://user:password@host:5432/database"
	isURL := strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://")
	switch {
	case s == "":
		return "is empty: give " + form
	case !isURL && (strings.Contains(s, "://") || !strings.Contains(s, "=")):
		return "is not " + form
	}
	_, err := pgconn.ParseConfig(s)
	if err == nil {
		return ""
	}
	for _, r := range refusals {
		if strings.Contains(err.Error(), r.theirs) {
			return r.ours
		}
	}
	return ""
}
