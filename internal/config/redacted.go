package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sinker/internal/transform"

	"go.yaml.in/yaml/v4"
)

// Redacted returns the effective configuration as YAML: every default filled in, every variable replaced, every secret
// shown as ***. It is a sinker.yaml that makes the same pipeline, but for the secrets.
func (p *Pipeline) Redacted() string {
	m := &mapping{}
	m.text("name", p.Name)
	m.add("kafka", p.Kafka.node())
	m.add("postgres", p.Postgres.node())
	m.add("batch", (&mapping{}).plain("rows", strconv.Itoa(p.Batch.Rows)).plain("bytes", sizeText(p.Batch.Bytes)).plain("every", durationText(p.Batch.Every)).node())
	m.plain("workers", strconv.Itoa(p.Workers))
	m.text("http", p.HTTP)
	errors := (&mapping{}).plain("on", "record").plain("do", p.Errors.Do)
	if p.Errors.StopAfter > 0 {
		errors.plain("stop_after", strconv.FormatFloat(p.Errors.StopAfter*100, 'g', 12, 64)+"%")
	}
	m.add("errors", errors.node())
	sinks := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range p.Sinks {
		sinks.Content = append(sinks.Content, p.Sinks[i].node())
	}
	m.add("sinks", sinks)
	text, err := yaml.Marshal(m.node())
	if err != nil {
		return fmt.Sprintf("# can not be shown: %v\n", err) // the tree is well-formed
	}
	return string(text)
}

func (k *Kafka) node() *yaml.Node {
	m := &mapping{}
	m.list("brokers", k.Brokers)
	if t := k.TLS; t != nil {
		m.add("tls", (&mapping{}).text("ca", t.CA).text("cert", t.Cert).text("key", t.Key).text("server_name", t.ServerName).flag("insecure_skip_verify", t.Insecure).node())
	}
	if s := k.SASL; s != nil {
		sasl := (&mapping{}).text("mechanism", s.Mechanism).text("username", s.Username).text("password", s.Password.String()).text("password_file", s.PasswordFile).
			text("token", s.Token.String()).text("token_file", s.TokenFile)
		if len(s.Extensions) > 0 {
			extensions := &mapping{}
			for _, name := range slices.Sorted(maps.Keys(s.Extensions)) {
				extensions.text(name, s.Extensions[name])
			}
			sasl.add("extensions", extensions.node())
		}
		m.add("sasl", sasl.flag("insecure", s.AllowPlaintext).node())
	}
	m.plain("start", k.Start.String())
	m.text("instance", k.Instance)
	if k.SessionTimeout > 0 {
		m.plain("session_timeout", durationText(k.SessionTimeout))
	}
	return m.plain("max_batch", sizeText(k.MaxBatch)).text("balancer", k.Balancer).node()
}

// String is how kafka.start is written.
func (s Start) String() string {
	switch {
	case !s.At.IsZero():
		return s.At.Format("2006-01-02T15:04:05.999999999Z07:00")
	case s.Latest:
		return "latest"
	}
	return "earliest"
}

func (p *Postgres) node() *yaml.Node {
	m := (&mapping{}).text("url", RedactURL(p.URL.Reveal())).text("migrate_url", RedactURL(p.MigrateURL.Reveal())).text("synchronous_commit", p.SynchronousCommit)
	if p.StatementTimeout > 0 {
		m.plain("statement_timeout", durationText(p.StatementTimeout))
	}
	return m.node()
}

func (s *Sink) node() *yaml.Node {
	m := &mapping{}
	if s.Regex {
		m.text("topic", "/"+strings.Join(s.Topics, "")+"/")
	} else {
		m.list("topics", s.Topics)
	}
	m.text("format", s.Format).text("table", joinName(s.Schema, s.Table)).flag("create", s.Create)
	if len(s.Rule.Folds) > 0 {
		s.foldNodes(m)
	} else {
		s.rowNodes(m)
	}
	if s.Rule.IgnoreTombstones {
		m.plain("delete", "ignore")
	}
	if e := s.Errors; e != nil {
		m.add("errors", (&mapping{}).list("wait_for", e.WaitFor).plain("at_most", durationText(e.AtMost)).node())
	}
	if s.Rule.MaxDepth > 0 {
		m.plain("max_depth", strconv.Itoa(s.Rule.MaxDepth))
	}
	return m.node()
}

func (s *Sink) rowNodes(m *mapping) {
	m.list("key", s.Rule.Key)
	if s.Rule.Tombstones {
		m.plain("delete", "tombstone")
	}
	if len(s.Rule.Columns) > 0 {
		columns := &mapping{}
		for _, c := range s.Rule.Columns {
			columns.column(c)
		}
		m.add("columns", columns.node())
	}
	m.list("meta", s.Rule.Meta)
}

// column adds a column as the file has it.
func (m *mapping) column(c transform.Column) {
	if c.Path == "" && c.Type == "" {
		m.addKey(c.Name, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"})
		return
	}
	m.addKey(c.Name, textNode(escape(columnText(c))))
}

// mapping builds a YAML mapping in order. Empty values are left out.
type mapping struct{ content []*yaml.Node }

func (m *mapping) node() *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Content: m.content}
	if len(m.content) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

func (m *mapping) add(key string, v *yaml.Node) *mapping {
	m.content = append(m.content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, v)
	return m
}

// addKey is add for a key of the user's, which may look like another type.
func (m *mapping) addKey(key string, v *yaml.Node) *mapping {
	m.content = append(m.content, textNode(key), v)
	return m
}

// plain adds what is no string.
func (m *mapping) plain(key, v string) *mapping {
	return m.add(key, &yaml.Node{Kind: yaml.ScalarNode, Value: v})
}

func (m *mapping) text(key, v string) *mapping {
	if v == "" {
		return m
	}
	return m.add(key, textNode(escape(v)))
}

func (m *mapping) flag(key string, on bool) *mapping {
	if !on {
		return m
	}
	return m.plain(key, "yes")
}

func (m *mapping) list(key string, values []string) *mapping {
	if len(values) == 0 {
		return m
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, v := range values {
		n.Content = append(n.Content, textNode(escape(v)))
	}
	return m.add(key, n)
}

// textNode is a string, in quotes where it would otherwise be read as something else.
func textNode(v string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v} }

// escape keeps a dollar sign from beginning a variable.
func escape(v string) string { return strings.ReplaceAll(v, "$", "$$") }
