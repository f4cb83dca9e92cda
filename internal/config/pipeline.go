// Package config turns sinker.yaml, or the flags that stand for one, into a checked pipeline. It is strict: an unknown
// key, a key given twice, a wrong type or an unset variable is an error with file, line, column and the fix, and all of
// them are reported at once. It reads files and variables and nothing else; whether Kafka, Postgres and the tables are
// as configured is `sinker check`'s business.
package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
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
	// Instance is the static membership's id: empty, one that this host gives; "off", a dynamic member.
	Instance       string
	SessionTimeout time.Duration // 0: the default of consume
	MaxBatch       int64         // memory that one batch of records may take, unpacked; default 256 MiB
	Balancer       string        // cooperative-sticky (default), range, roundrobin, sticky, server
}

// TLS is how the connection to Kafka is encrypted. Files are read anew at every dial.
type TLS struct {
	CA, Cert, Key, ServerName string
	Insecure                  bool // insecure_skip_verify
}

// SASL is how sinker proves to Kafka who it is. A file is read anew at every authentication.
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

// Format prints who, and not with what: behind a pointer, fmt passes Secret's own Format over for a verb that fits no
// pointer.
func (s SASL) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "{%s %s}", s.Mechanism, s.Username) }

// Start says where a topic begins that the pipeline has never read.
type Start struct {
	Latest bool
	At     time.Time // zero: earliest, or latest
}

// Postgres is how to reach the database.
type Postgres struct {
	URL               Secret
	MigrateURL        Secret // for migrations, past a transaction pooler; empty: URL
	SynchronousCommit string
	StatementTimeout  time.Duration // 0: the default of txn
}

// Batch bounds a transaction.
type Batch struct {
	Rows  int           // default 100,000; 500,000 where every sink aggregates
	Bytes int64         // default 32 MiB; 128 MiB where every sink aggregates
	Every time.Duration // default 15 ms
}

// complete puts the defaults in. Sinks that aggregate keep groups and no records, and the more records come to a group the
// less Postgres has to do: so their batches may be larger.
func (b *Batch) complete(sinks []Sink) {
	rows, size := 100_000, int64(32<<20)
	if !slices.ContainsFunc(sinks, func(s Sink) bool { return len(s.Rule.Folds) == 0 }) {
		rows, size = 500_000, 128<<20
	}
	b.Rows, b.Bytes = cmp.Or(b.Rows, rows), cmp.Or(b.Bytes, size)
}

// Sink is the rule from topics to one table.
type Sink struct {
	Topics []string
	Regex  bool // Topics[0] is a regular expression
	Format string
	Schema string
	Table  string
	Create bool
	Rule   transform.Rule
	Errors *SinkErrors `json:",omitempty"` // nil: nothing is waited for
	// At is where the file has it, sinker.yaml:12:5, for errors that show later; empty with flags.
	At string `json:"-"`

	expr   *regexp.Regexp
	folded transform.Rule // of group, add, max and min, while they are read
}

// Regexp is the compiled expression of a sink with Regex.
func (s *Sink) Regexp() *regexp.Regexp { return s.expr }

// ErrorPolicy says what becomes of a record that can not become a row.
type ErrorPolicy struct {
	Do        string  // dead_letter (default) or stop
	StopAfter float64 // share of dead letters above which a partition stops; 0: never
}

// SinkErrors says which refusals of Postgres' a sink waits out before its policy applies.
type SinkErrors struct {
	WaitFor []string      // SQLSTATEs
	AtMost  time.Duration // since the partition's batch was refused first
}

func defaults() *Pipeline {
	return &Pipeline{
		Name:    "sinker",
		Workers: 2,
		Batch:   Batch{Every: 15 * time.Millisecond},
		HTTP:    "127.0.0.1:8080",
		Errors:  ErrorPolicy{Do: "dead_letter"},
	}
}
