// Package config turns sinker.yaml, or the flags that stand for one, into a checked pipeline. It is strict: an
// unknown key, a key given twice, a wrong type or an unset variable is an error with file, line, column and the
// fix, and all of them are reported at once. It reads files and variables and nothing else; whether Kafka,
// Postgres and the tables are as configured is found out by `sinker check`.
//
// Each key is declared once (declare.go, keys_*.go).
package config

import (
	"fmt"
	"regexp"
	"time"

	"sinker/internal/transform"
)

// Pipeline is a whole configuration, checked, with every default filled in.
type Pipeline struct {
	// Name is the consumer group, and the owner of the pipeline's rows in sinker.offsets. Default "sinker".
	Name     string
	Kafka    Kafka
	Postgres Postgres
	Batch    Batch
	// Workers is how many group members this process is. Default 2.
	Workers int
	Sinks   []Sink
	Errors  ErrorPolicy
	// HTTP is the address of health, metrics and the status page, or "off". Default 127.0.0.1:8080.
	HTTP string
}

// Kafka is how to reach Kafka and be a member of its group.
type Kafka struct {
	Brokers []string
	TLS     *TLS // nil: plaintext
	SASL    *SASL
	Start   Start
	// Instance is the static membership's id: empty, one made from the host's name; "off", a dynamic member.
	Instance       string
	SessionTimeout time.Duration // default 6 s
	MaxBatch       int64         // memory that one batch of records may take, unpacked; default 256 MiB
	Balancer       string        // cooperative-sticky (default), range, roundrobin, sticky, server
}

// TLS is how the connection to Kafka is encrypted. Files are read again at every dial.
type TLS struct {
	CA, Cert, Key, ServerName string
	Insecure                  bool // insecure_skip_verify
}

// SASL is how sinker authenticates with Kafka. A file is read again at every authentication.
type SASL struct {
	Mechanism      string // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER
	Username       string
	Password       Secret
	PasswordFile   string
	Token          Secret
	TokenFile      string
	Extensions     map[string]string
	AllowPlaintext bool // insecure: PLAIN or OAUTHBEARER without TLS to another host
}

// Format prints the mechanism and the user, and no secret: behind a pointer, fmt does not call Secret's own Format
// for a verb that does not fit a pointer.
func (s SASL) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "{%s %s}", s.Mechanism, s.Username) }

// Start is where reading begins in a topic that the pipeline has never read.
type Start struct {
	Latest bool
	At     time.Time // zero: earliest, or latest
}

// Postgres is how to reach the database.
type Postgres struct {
	URL               Secret
	MigrateURL        Secret // for migrations, past a transaction pooler; empty: URL
	SynchronousCommit string
	StatementTimeout  time.Duration // default 9 s
}

// Batch bounds a transaction.
type Batch struct {
	Rows  int           // default 100,000; 500,000 where every sink aggregates
	Bytes int64         // default 32 MiB; 128 MiB where every sink aggregates
	Every time.Duration // default 15 ms
}

// Sink is the rule from topics to one table.
type Sink struct {
	Topics []string
	Regex  bool // Topics[0] is a regular expression
	Schema string
	Table  string
	Create bool
	Rule   transform.Rule
	Errors *SinkErrors // nil: nothing is waited for
	// At is where the file has it, such as sinker.yaml:12:5, for errors that show later; empty with flags.
	At string

	expr   *regexp.Regexp
	folded transform.Rule // of group, add, max and min, while they are read
}

// Regexp is the compiled expression of a sink with Regex.
func (s *Sink) Regexp() *regexp.Regexp { return s.expr }

// ErrorPolicy says what becomes of a record that cannot become a row.
type ErrorPolicy struct {
	On        string  // what the policy applies to: record
	Do        string  // dead_letter (default) or stop
	StopAfter float64 // share of dead letters above which a partition stops; 0: never
}

// SinkErrors says which errors of Postgres a sink waits out before its policy applies.
type SinkErrors struct {
	WaitFor []string      // SQLSTATEs
	AtMost  time.Duration // since the partition's batch was refused first
}
