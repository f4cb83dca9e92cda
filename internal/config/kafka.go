package config

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

var balancers = []string{"cooperative-sticky", "range", "roundrobin", "sticky", "server"}

// maxBatch is the default of kafka.max_batch: a batch of 128 MiB of records of some 240 bytes.
const maxBatch = 256 << 20

func (r *reader) kafka(n *yaml.Node, k *Kafka) {
	given := r.fields(n, "kafka",
		field{"brokers", r.brokers(&k.Brokers)},
		field{"tls", func(n *yaml.Node) { r.tls(n, k) }},
		field{"sasl", func(n *yaml.Node) { r.sasl(n, k) }},
		field{"start", r.start(&k.Start)},
		field{"instance", r.instance(&k.Instance)},
		field{"session_timeout", r.duration(&k.SessionTimeout, "kafka.session_timeout", time.Second, 30*time.Minute)},
		field{"max_batch", r.bytes(&k.MaxBatch, "kafka.max_batch")},
		field{"balancer", r.oneOf(&k.Balancer, "kafka.balancer", balancers...)},
	)
	if n.Kind == yaml.MappingNode && given["brokers"] == nil {
		r.problem(n, "kafka.brokers is missing")
	}
	if k.SASL == nil || k.TLS != nil || k.SASL.AllowPlaintext || allLoopback(k.Brokers) {
		return
	}
	if m := k.SASL.Mechanism; m == "PLAIN" || m == "OAUTHBEARER" {
		secret := map[string]string{"PLAIN": "password", "OAUTHBEARER": "token"}[m]
		r.problem(given["sasl"], "%s without TLS would send the %s in the clear: add `tls: yes` to kafka (or `insecure: yes` to sasl, if nobody else can listen)", m, secret)
	}
}

// brokers reads a list, or one string with commas.
func (r *reader) brokers(dst *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, e := range r.entries(n, "kafka.brokers") {
			for b := range strings.SplitSeq(e.text, ",") {
				b = strings.TrimSpace(b)
				if problem := badBroker(b); problem != "" {
					r.problem(e.node, "kafka.brokers: %s %s", r.quoted(e.node), problem)
					break
				}
				*dst = append(*dst, b)
			}
		}
	}
}

// badBroker says what is wrong with host:port.
func badBroker(b string) string {
	if strings.ContainsAny(b, "/@ ") {
		return "is not host:port; a broker's address has no scheme, user or path"
	}
	host, port, err := net.SplitHostPort(b)
	if err != nil || host == "" {
		return "is not host:port, such as kafka.example:9092 or [::1]:9092"
	}
	if p, err := strconv.Atoi(port); err != nil || p < 1 || p > 65535 {
		return "has no port from 1 to 65535"
	}
	return ""
}

func allLoopback(brokers []string) bool {
	return !slices.ContainsFunc(brokers, func(b string) bool {
		host, _, _ := net.SplitHostPort(b)
		addr, err := netip.ParseAddr(host)
		return host != "localhost" && (err != nil || !addr.IsLoopback())
	})
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
				r.problem(n, "kafka.start must be earliest, latest or a time such as 2026-11-22T12:00:00Z, not %s", r.quoted(n))
				return
			}
			dst.At = at
		}
	}
}

// instanceName leaves room for the worker's number within Kafka's 249.
var instanceName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,240}$`)

func (r *reader) instance(dst *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "kafka.instance")
		if ok && s != "" && !instanceName.MatchString(s) {
			r.problem(n, "kafka.instance must be up to 240 letters, digits, dots, dashes and underscores, or off, not %s", r.quoted(n))
			return
		}
		*dst = s
	}
}

// tls reads yes, no, or a mapping; an empty one is yes.
func (r *reader) tls(n *yaml.Node, k *Kafka) {
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
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
	for _, path := range []string{t.CA, t.Cert, t.Key} {
		if strings.Contains(path, "-----BEGIN") {
			r.problem(n, "kafka.tls: ca, cert and key are paths of files, not what is in them")
			break
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		r.problem(n, "kafka.tls: cert and key belong together")
	}
}

var mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}

func (r *reader) sasl(n *yaml.Node, k *Kafka) {
	s := &SASL{}
	k.SASL = s
	before := len(r.problems)
	given := r.fields(n, "kafka.sasl",
		field{"mechanism", r.oneOf(&s.Mechanism, "kafka.sasl.mechanism", mechanisms...)},
		field{"username", r.text(&s.Username, "kafka.sasl.username")}, field{"password", r.secret(&s.Password, "kafka.sasl.password")},
		field{"password_file", r.text(&s.PasswordFile, "kafka.sasl.password_file")},
		field{"token", r.secret(&s.Token, "kafka.sasl.token")}, field{"token_file", r.text(&s.TokenFile, "kafka.sasl.token_file")},
		field{"extensions", func(n *yaml.Node) { r.extensions(n, s) }},
		field{"insecure", r.boolean(&s.AllowPlaintext, "kafka.sasl.insecure")})
	if len(r.problems) > before {
		return // what seems to be missing may be what was misspelled
	}
	mine, others := []string{"username", "password", "password_file"}, []string{"token", "token_file", "extensions"}
	if s.Mechanism == "OAUTHBEARER" {
		mine, others = others, mine
	}
	switch {
	case s.Mechanism == "":
		r.problem(n, "kafka.sasl.mechanism is missing: %s", either(mechanisms))
		return
	case s.Mechanism == "OAUTHBEARER" && (s.Token == "") == (s.TokenFile == ""):
		r.problem(n, "OAUTHBEARER needs either token or token_file")
	case s.Mechanism != "OAUTHBEARER" && s.Username == "":
		r.problem(n, "%s needs username", s.Mechanism)
	case s.Mechanism != "OAUTHBEARER" && (s.Password == "") == (s.PasswordFile == ""):
		r.problem(n, "%s needs either password or password_file", s.Mechanism)
	}
	for _, o := range others {
		if k := given[o]; k != nil {
			r.problem(k, "kafka.sasl.%s has no meaning with %s, which takes %s", o, s.Mechanism, strings.Join(mine, ", "))
		}
	}
}

// extensionKey is RFC 7628's.
var extensionKey = regexp.MustCompile(`^[A-Za-z]+$`)

func (r *reader) extensions(n *yaml.Node, s *SASL) {
	if n.Kind != yaml.MappingNode {
		r.problem(n, "kafka.sasl.extensions must be a mapping, not %s", kindOf(n))
		return
	}
	s.Extensions = map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], follow(n.Content[i+1])
		if _, twice := s.Extensions[k.Value]; twice || !extensionKey.MatchString(k.Value) || k.Value == "auth" {
			r.problem(k, "kafka.sasl.extensions: a name is made of letters, is not auth, and is there once")
			continue
		}
		if text, ok := r.scalar(v, fmt.Sprintf("kafka.sasl.extensions.%s", k.Value)); ok {
			s.Extensions[k.Value] = text
		}
	}
}
