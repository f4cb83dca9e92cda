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

var kafkaSection = section{
	path: "kafka", place: "kafka", lead: "kafka.", later: []string{"schema_registry"},
	check: checked(checkKafka),
	keys: []key{
		{
			name: "brokers", value: of(brokers, func(k *Kafka) *[]string { return &k.Brokers }), required: true,
			flag:    &option{name: "brokers", usage: "Kafka brokers, host:port,…"},
			doc:     "Addresses of some of the brokers, IPv6 as `[::1]:9092`: a list, or one string with commas.",
			example: "brokers: [b1.example:9092, b2.example:9092]",
		},
		{
			name: "tls", value: sub(&tlsSection, func(k *Kafka, create bool) *TLS {
				if k.TLS == nil && create {
					k.TLS = &TLS{}
				}
				return k.TLS
			}, &tlsAlone), unsaid: "off",
			doc: "Encryption. `yes` trusts the system's certificate authorities. A mapping sets more.", example: "tls: yes",
		},
		{
			name: "sasl", value: sub(&saslSection, func(k *Kafka, create bool) *SASL {
				if k.SASL == nil && create {
					k.SASL = &SASL{}
				}
				return k.SASL
			}, nil), unsaid: "off",
			doc:     "Client authentication.",
			example: "sasl: { mechanism: SCRAM-SHA-512, username: app, password_file: /run/secrets/kafka }",
		},
		{
			name: "start", value: of(startAt, func(k *Kafka) *Start { return &k.Start }), initial: "earliest", hashed: true,
			doc: "Where reading begins in a topic that the pipeline has never read. After that the position in " +
				"Postgres counts. A partition that is added later is read from offset 0.",
			example: "start: latest",
		},
		{
			name: "instance", value: of(instanceID, func(k *Kafka) *string { return &k.Instance }),
			unsaid:  "made from the host's name",
			doc:     "Static membership: a prefix for the workers' ids. `off` makes dynamic members.",
			example: "instance: pod-7",
		},
		{
			name: "session_timeout", value: of(duration(time.Second, 30*time.Minute),
				func(k *Kafka) *time.Duration { return &k.SessionTimeout }), initial: "6s",
			doc: "How long a dead dynamic member keeps its partitions. A static member that restarts gets them " +
				"back at once. A short time is safe because of the fence. Brokers accept 6s to 30m by default " +
				"(`group.min.session.timeout.ms`).",
			example: "session_timeout: 30s",
		},
		{
			name: "max_batch", value: of(size(), func(k *Kafka) *int64 { return &k.MaxBatch }), initial: "256MiB",
			doc: "Maximum memory for one of Kafka's record batches: its bytes unpacked, and about 230 bytes per " +
				"record. A partition stops before a larger batch and names its offsets and size. `check` and " +
				"`verify` use the same limit. Memory grows with it ([guide](guide.md#memory)).",
			example: "max_batch: 512MiB",
		},
		{
			name: "balancer", value: of(oneOf(balancers...), func(k *Kafka) *string { return &k.Balancer }),
			initial: "cooperative-sticky",
			doc: "Who assigns the partitions, and how. `server` leaves it to the brokers (KIP-848): Kafka 4.3 or " +
				"later is advised. With `server` the brokers' `group.consumer.session.timeout.ms` (45 s) takes " +
				"the place of `session_timeout`: the partitions of a killed process wait that long, whether its " +
				"members are static or not. To change the balancer, restart one process after the other: " +
				"members offer every balancer, the configured one first.",
			example: "balancer: range",
		},
	},
}

var balancers = []string{"cooperative-sticky", "range", "roundrobin", "sticky", "server"}

func checkKafka(r *reader, _ *yaml.Node, k *Kafka, g given) {
	if k.SASL == nil || k.TLS != nil || k.SASL.AllowPlaintext || allLoopback(k.Brokers) {
		return
	}
	if m := k.SASL.Mechanism; m == "PLAIN" || m == "OAUTHBEARER" {
		secret := map[string]string{"PLAIN": "password", "OAUTHBEARER": "token"}[m]
		r.problem(g["sasl"], "%s without TLS would send the %s in the clear: add `tls: yes` to kafka "+
			"(or `insecure: yes` to sasl, if nobody else can listen)", m, secret)
	}
}

// brokers are a list, or one string with commas. Where they are decides nothing about what is written.
var brokers = kind[[]string]{
	shape: shape{
		kind: "brokers", takes: "host:port of at least one broker", schema: ref("names"), many: true, lines: showScalar,
	},
	read: func(r *reader, n *yaml.Node, what string, dst *[]string) {
		for _, e := range r.entries(n, what) {
			for b := range strings.SplitSeq(e.text, ",") {
				b = strings.TrimSpace(b)
				if problem := badBroker(b); problem != "" {
					r.problem(e.node, "%s: %s %s", what, r.quoted(e.node), problem)
					break
				}
				*dst = append(*dst, b)
			}
		}
	},
	show:  listNode,
	canon: setText,
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

var startAt = kind[Start]{
	shape: shape{
		kind: "start", takes: "earliest, latest or a time such as 2026-11-22T12:00:00Z",
		schema: object{{"type", "string"}}, lines: showScalar,
	},
	plain: true,
	parse: func(s string) (Start, error) {
		switch s {
		case "earliest":
			return Start{}, nil
		case "latest":
			return Start{Latest: true}, nil
		}
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return Start{}, errTakes
		}
		return Start{At: at}, nil
	},
	text: Start.String,
	canon: func(s Start) string {
		s.At = s.At.UTC()
		return s.String()
	},
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

// instanceName leaves room for the worker's number within Kafka's 249.
var instanceName = regexp.MustCompile(`^[a-zA-Z0-9._-]{0,240}$`)

var instanceID = matching("up to 240 letters, digits, dots, dashes and underscores, or off", instanceName.MatchString)

var tlsSection = section{
	path: "kafka.tls", place: "kafka.tls", lead: "kafka.tls.",
	check: checked(func(r *reader, n *yaml.Node, t *TLS, _ given) {
		isText := func(s string) bool { return strings.Contains(s, "-----BEGIN") }
		if slices.ContainsFunc([]string{t.CA, t.Cert, t.Key}, isText) {
			r.problem(n, "kafka.tls: ca, cert and key are paths of files, not their contents")
		}
		if (t.Cert == "") != (t.Key == "") {
			r.problem(n, "kafka.tls: cert and key belong together: give both or none")
		}
	}),
	keys: []key{
		{
			name: "ca", value: of(word("a file"), func(t *TLS) *string { return &t.CA }), unsaid: "the system's authorities",
			doc: "File with the certificates of the authorities that may have signed the brokers' certificates " +
				"(PEM).",
			example: "ca: /etc/sinker/ca.pem",
		},
		{
			name: "cert", value: of(word("a file"), func(t *TLS) *string { return &t.Cert }), unsaid: "none",
			doc:     "File with the client's certificate (PEM). It needs `key`.",
			example: "cert: /etc/sinker/client.pem\nkey: /etc/sinker/client-key.pem",
		},
		{
			name: "key", value: of(word("a file"), func(t *TLS) *string { return &t.Key }), unsaid: "none",
			doc:     "File with the private key of `cert` (PEM, not encrypted).",
			example: "cert: /etc/sinker/client.pem\nkey: /etc/sinker/client-key.pem",
		},
		{
			name: "server_name", value: of(word("a name"), func(t *TLS) *string { return &t.ServerName }),
			unsaid: "the broker's host",
			doc:    "Name that the brokers' certificates must be for.", example: "server_name: kafka.example",
		},
		{
			name: "insecure_skip_verify", value: of(yes(), func(t *TLS) *bool { return &t.Insecure }), initial: "no",
			doc:     "`yes` accepts any certificate: whoever is on the network path can read and change everything.",
			example: "insecure_skip_verify: yes",
		},
	},
}

// tlsAlone is `tls: yes` or `tls: no`.
var tlsAlone = shortForm[Kafka]{
	shape: yes().shape,
	read: func(r *reader, n *yaml.Node, what string, k *Kafka) {
		on, kind := false, yes()
		kind.readInto(r, n, what, &on)
		if on {
			k.TLS = &TLS{}
		}
	},
}

var mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}

var saslSection = section{
	path: "kafka.sasl", place: "kafka.sasl", lead: "kafka.sasl.",
	check: checked(checkSASL), onlyClean: true,
	keys: []key{
		{
			name: "mechanism", value: of(oneOf(mechanisms...), func(s *SASL) *string { return &s.Mechanism }), required: true,
			doc:     "How the client proves who it is.",
			example: "mechanism: SCRAM-SHA-256\nusername: app\npassword_file: /run/secrets/kafka",
		},
		{
			name: "username", value: of(word("a name"), func(s *SASL) *string { return &s.Username }), unsaid: "none",
			doc:     "User, for all mechanisms but OAUTHBEARER.",
			example: "mechanism: PLAIN\nusername: app\npassword_file: /run/secrets/kafka",
		},
		{
			name: "password", value: of(secret("a password"), func(s *SASL) *Secret { return &s.Password }), unsaid: "none",
			doc:     "Password, for all mechanisms but OAUTHBEARER. They need this key or `password_file`.",
			example: "mechanism: PLAIN\nusername: app\npassword: ${KAFKA_PASSWORD}",
		},
		{
			name: "password_file", value: of(word("a file"), func(s *SASL) *string { return &s.PasswordFile }), unsaid: "none",
			doc:     "File with the password. It is read again at every connection.",
			example: "mechanism: PLAIN\nusername: app\npassword_file: /run/secrets/kafka",
		},
		{
			name: "token", value: of(secret("a token"), func(s *SASL) *Secret { return &s.Token }), unsaid: "none",
			doc:     "Token, for OAUTHBEARER. It needs this key or `token_file`.",
			example: "mechanism: OAUTHBEARER\ntoken: ${KAFKA_TOKEN}",
		},
		{
			name: "token_file", value: of(word("a file"), func(s *SASL) *string { return &s.TokenFile }), unsaid: "none",
			doc: "File with the token. It is read again at every connection: whatever renews the token writes " +
				"this file.",
			example: "mechanism: OAUTHBEARER\ntoken_file: /run/secrets/token",
		},
		{
			name: "extensions", value: of(extensions, func(s *SASL) *map[string]string { return &s.Extensions }), unsaid: "none",
			doc:     "Extensions of OAUTHBEARER, by name.",
			example: "mechanism: OAUTHBEARER\ntoken_file: /run/secrets/token\nextensions: { logicalCluster: lkc-1 }",
		},
		{
			name: "insecure", value: of(yes(), func(s *SASL) *bool { return &s.AllowPlaintext }), initial: "no",
			doc: "`yes` allows PLAIN and OAUTHBEARER without `tls` to other hosts. They show the secret to " +
				"whoever listens.",
			example: "mechanism: PLAIN\nusername: app\npassword_file: /run/secrets/kafka\n" +
				"insecure: yes",
		},
	},
}

func checkSASL(r *reader, n *yaml.Node, s *SASL, g given) {
	mine, others := []string{"username", "password", "password_file"}, []string{"token", "token_file", "extensions"}
	if s.Mechanism == "OAUTHBEARER" {
		mine, others = others, mine
	}
	switch {
	case s.Mechanism == "":
		return // reported as missing
	case s.Mechanism == "OAUTHBEARER" && (s.Token == "") == (s.TokenFile == ""):
		r.problem(n, "OAUTHBEARER needs either token or token_file")
	case s.Mechanism != "OAUTHBEARER" && s.Username == "":
		r.problem(n, "%s needs username", s.Mechanism)
	case s.Mechanism != "OAUTHBEARER" && (s.Password == "") == (s.PasswordFile == ""):
		r.problem(n, "%s needs either password or password_file", s.Mechanism)
	}
	for _, o := range others {
		if k := g[o]; k != nil {
			r.problem(k, "kafka.sasl.%s has no effect with %s, which takes %s", o, s.Mechanism, strings.Join(mine, ", "))
		}
	}
}

// extensionKey is RFC 7628's.
var extensionKey = regexp.MustCompile(`^[A-Za-z]+$`)

var extensions = kind[map[string]string]{
	shape: shape{
		kind: "extensions", takes: "a mapping of names",
		schema: object{{"type", "object"}, {"additionalProperties", object{{"type", "string"}}}},
	},
	read: func(r *reader, n *yaml.Node, what string, dst *map[string]string) {
		if n.Kind != yaml.MappingNode {
			r.problem(n, "%s must be a mapping, not %s", what, kindOf(n))
			return
		}
		*dst = map[string]string{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], follow(n.Content[i+1])
			if _, twice := (*dst)[k.Value]; twice || !extensionKey.MatchString(k.Value) || k.Value == "auth" {
				r.problem(k, "%s: a name consists of letters, is not auth, and is given once", what)
				continue
			}
			if text, ok := r.scalar(v, fmt.Sprintf("%s.%s", what, k.Value)); ok {
				(*dst)[k.Value] = text
			}
		}
	},
	show: extensionsNode,
}
