package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// mostBytes is the largest file that is read: a configuration is a page or two.
const mostBytes = 1 << 20

// Load reads a file; lookup is os.LookupEnv. Everything that is wrong is in the error, an *Errors.
func Load(path string, lookup func(string) (string, bool)) (*Pipeline, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, &Errors{[]Problem{{File: path, Message: fmt.Sprintf("cannot read it: %v", errors.Unwrap(err))}}}
	}
	return Parse(path, src, lookup)
}

// Parse reads a configuration; name is the file's, for messages.
func Parse(name string, src []byte, lookup func(string) (string, bool)) (*Pipeline, error) {
	r := &reader{file: name, lines: strings.Split(string(src), "\n"), lookup: lookup}
	p := defaults()
	if root := r.document(src); root != nil {
		r.pipeline(root, p)
	}
	if len(r.problems) > 0 {
		return nil, &Errors{r.problems}
	}
	return p, nil
}

// document returns the root of the one document in src.
func (r *reader) document(src []byte) *yaml.Node {
	if len(src) > mostBytes {
		r.problem(nil, "is larger than 1 MiB")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			r.problem(nil, "is empty; six lines are a pipeline: see sinker.example.yaml")
			return nil
		}
		r.syntax(err)
		return nil
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			r.syntax(err)
		} else {
			r.problem(&more, "a second document begins here; a file holds one pipeline")
		}
		return nil
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		r.problem(nil, "is empty; six lines are a pipeline: see sinker.example.yaml")
		return nil
	}
	return doc.Content[0]
}

var yamlPlace = regexp.MustCompile(`line (\d+)(?:,? column (\d+))?`)

// syntax reports the YAML parser's error at its place.
func (r *reader) syntax(err error) {
	n := &yaml.Node{}
	if m := yamlPlace.FindStringSubmatch(err.Error()); m != nil {
		n.Line, _ = strconv.Atoi(m[1])
		n.Column, _ = strconv.Atoi(m[2])
		n.Column = max(n.Column, 1)
	}
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if n.Line > 0 && n.Line <= len(r.lines) && strings.HasPrefix(strings.TrimLeft(r.lines[n.Line-1], " "), "\t") {
		msg += " (a tab: YAML is indented with spaces)"
	}
	if n.Line > 0 && n.Line <= len(r.lines) && strings.Contains(r.lines[n.Line-1], "${") {
		msg += ` (a ${…} within { } must stand in quotes: "${VAR}")`
	}
	r.problem(n, "not YAML: %s", msg)
}

// pipeline reads the whole.
func (r *reader) pipeline(n *yaml.Node, p *Pipeline) {
	given := r.fields(n, "the configuration",
		field{"name", r.name(&p.Name)},
		field{"kafka", func(n *yaml.Node) { r.kafka(n, &p.Kafka) }},
		field{"postgres", func(n *yaml.Node) { r.postgres(n, &p.Postgres) }},
		field{"batch", func(n *yaml.Node) { r.batch(n, &p.Batch) }},
		field{"workers", r.number(&p.Workers, "workers", 1, 64)},
		field{"sinks", func(n *yaml.Node) { r.sinks(n, p) }},
		field{"errors", func(n *yaml.Node) { r.errorPolicy(n, &p.Errors) }},
		field{"http", r.text(&p.HTTP, "http")},
	)
	for _, need := range []string{"kafka", "postgres", "sinks"} {
		if n.Kind == yaml.MappingNode && given[need] == nil {
			r.problem(n, "%s is missing", need)
		}
	}
}

var pipelineName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,200}$`)

func (r *reader) name(dst *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "name")
		if ok && !pipelineName.MatchString(s) {
			r.problem(n, "name must be up to 200 letters, digits, dots, dashes and underscores, not %q", s)
			return
		}
		*dst = s
	}
}

func (r *reader) kafka(n *yaml.Node, k *Kafka) {
	given := r.fields(n, "kafka",
		field{"brokers", r.brokers(&k.Brokers)},
		field{"tls", func(n *yaml.Node) { r.tls(n, k) }},
		field{"sasl", func(n *yaml.Node) { r.sasl(n, k) }},
		field{"start", r.start(&k.Start)},
		field{"instance", r.text(&k.Instance, "kafka.instance")},
		field{"session_timeout", r.duration(&k.SessionTimeout, "kafka.session_timeout", time.Second)},
		field{"balancer", r.oneOf(&k.Balancer, "kafka.balancer", "cooperative-sticky", "range", "roundrobin", "sticky", "server")},
	)
	if n.Kind == yaml.MappingNode && given["brokers"] == nil {
		r.problem(n, "kafka.brokers is missing")
	}
	if k.SASL != nil && k.SASL.Mechanism == "PLAIN" && k.TLS == nil && !k.SASL.AllowPlaintextPlain && !allLoopback(k.Brokers) {
		r.problem(given["sasl"], "PLAIN would send the password in the clear: add `tls: {}` (or `insecure: yes` to sasl, if the network is your own)")
	}
}

// brokers reads a list, or one string with commas.
func (r *reader) brokers(dst *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var list []string
		r.list(&list, "kafka.brokers")(n)
		for _, s := range list {
			for b := range strings.SplitSeq(s, ",") {
				b = strings.TrimSpace(b)
				if problem := badBroker(b); problem != "" {
					r.problem(n, "kafka.brokers: %q %s", b, problem)
					continue
				}
				*dst = append(*dst, b)
			}
		}
	}
}

func badBroker(b string) string {
	host, port, ok := cutLast(b, ":")
	if !ok || host == "" {
		return "is not host:port"
	}
	if p, err := strconv.Atoi(port); err != nil || p < 1 || p > 65535 {
		return "has no port from 1 to 65535"
	}
	if strings.Contains(host, "/") {
		return "is a URL; only host:port is wanted"
	}
	return ""
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func allLoopback(brokers []string) bool {
	for _, b := range brokers {
		host, _, _ := cutLast(b, ":")
		if host != "localhost" && host != "[::1]" && !strings.HasPrefix(host, "127.") {
			return false
		}
	}
	return true
}

func (r *reader) start(dst *Start) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "kafka.start")
		if !ok {
			return
		}
		switch s {
		case "earliest":
		case "latest":
			dst.Latest = true
		default:
			at, err := time.Parse(time.RFC3339, s)
			if err != nil {
				r.problem(n, "kafka.start must be earliest, latest or a time such as 2026-11-22T12:00:00Z, not %q", s)
				return
			}
			dst.At = at
		}
	}
}

func (r *reader) tls(n *yaml.Node, k *Kafka) {
	if n.Kind == yaml.ScalarNode {
		var on bool
		r.boolean(&on, "kafka.tls")(n)
		if on {
			k.TLS = &TLS{}
		}
		return
	}
	t := &TLS{}
	k.TLS = t
	r.fields(n, "kafka.tls",
		field{"ca", r.text(&t.CA, "kafka.tls.ca")}, field{"cert", r.text(&t.Cert, "kafka.tls.cert")}, field{"key", r.text(&t.Key, "kafka.tls.key")},
		field{"server_name", r.text(&t.ServerName, "kafka.tls.server_name")}, field{"insecure_skip_verify", r.boolean(&t.Insecure, "kafka.tls.insecure_skip_verify")})
	if (t.Cert == "") != (t.Key == "") {
		r.problem(n, "kafka.tls: cert and key belong together")
	}
}

func (r *reader) sasl(n *yaml.Node, k *Kafka) {
	s := &SASL{}
	k.SASL = s
	var extensions *yaml.Node
	r.fields(n, "kafka.sasl",
		field{"mechanism", r.oneOf(&s.Mechanism, "kafka.sasl.mechanism", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")},
		field{"username", r.text(&s.Username, "kafka.sasl.username")}, field{"password", r.secret(&s.Password, "kafka.sasl.password")},
		field{"password_file", r.text(&s.PasswordFile, "kafka.sasl.password_file")},
		field{"token", r.secret(&s.Token, "kafka.sasl.token")}, field{"token_file", r.text(&s.TokenFile, "kafka.sasl.token_file")},
		field{"extensions", func(n *yaml.Node) { extensions = n }},
		field{"insecure", r.boolean(&s.AllowPlaintextPlain, "kafka.sasl.insecure")})
	if extensions != nil {
		s.Extensions = r.stringMap(extensions, "kafka.sasl.extensions")
	}
	switch {
	case s.Mechanism == "":
		r.problem(n, "kafka.sasl.mechanism is missing or wrong: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
	case s.Mechanism == "OAUTHBEARER" && (s.Token == "") == (s.TokenFile == ""):
		r.problem(n, "OAUTHBEARER needs either token or token_file")
	case s.Mechanism != "OAUTHBEARER" && (s.Username == "" || (s.Password == "") == (s.PasswordFile == "")):
		r.problem(n, "%s needs username, and either password or password_file", s.Mechanism)
	}
}

func (r *reader) stringMap(n *yaml.Node, what string) map[string]string {
	out := map[string]string{}
	if n.Kind != yaml.MappingNode {
		r.problem(n, "%s must be a mapping, not %s", what, kindOf(n))
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if s, ok := r.scalar(n.Content[i+1], what); ok {
			out[n.Content[i].Value] = s
		}
	}
	return out
}

func (r *reader) postgres(n *yaml.Node, p *Postgres) {
	if n.Kind == yaml.ScalarNode {
		r.databaseURL(&p.URL, "postgres")(n)
		return
	}
	given := r.fields(n, "postgres",
		field{"url", r.databaseURL(&p.URL, "postgres.url")},
		field{"migrate_url", r.databaseURL(&p.MigrateURL, "postgres.migrate_url")},
		field{"synchronous_commit", r.oneOf(&p.SynchronousCommit, "postgres.synchronous_commit", "on", "off", "local", "remote_write", "remote_apply")},
		field{"statement_timeout", r.duration(&p.StatementTimeout, "postgres.statement_timeout", time.Second)})
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
			// The place, but not the line: it may hold a password.
			r.problems = append(r.problems, Problem{File: r.file, Line: n.Line, Column: n.Column, Message: what + " " + problem})
			return
		}
		*dst = Secret(s)
	}
}

// badURL looks at the form only; what is in it may be secret and is not repeated.
func badURL(s string) string {
	if s == "" {
		return "is empty: give a connection URL, postgres://user:password@host:5432/database"
	}
	if strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://") || strings.Contains(s, "=") {
		return ""
	}
	return "is not a connection URL: postgres://user:password@host:5432/database"
}

func (r *reader) batch(n *yaml.Node, b *Batch) {
	r.fields(n, "batch",
		field{"rows", r.number(&b.Rows, "batch.rows", 1, 10_000_000)},
		field{"bytes", r.bytes(&b.Bytes, "batch.bytes")},
		field{"every", r.duration(&b.Every, "batch.every", 0)})
}

func (r *reader) errorPolicy(n *yaml.Node, e *ErrorPolicy) {
	var on string
	r.fields(n, "errors",
		field{"on", r.oneOf(&on, "errors.on", "record")},
		field{"do", r.oneOf(&e.Do, "errors.do", "dead_letter", "stop")},
		field{"stop_after", r.share(&e.StopAfter, "errors.stop_after")})
}

// share reads a percentage or a fraction.
func (r *reader) share(dst *float64, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		digits, percent := strings.CutSuffix(s, "%")
		v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if percent {
			v /= 100
		}
		if err != nil || !(v >= 0 && v <= 1) {
			r.problem(n, "%s must be a share such as 1%% or 0.01, not %q", what, s)
			return
		}
		*dst = v
	}
}
