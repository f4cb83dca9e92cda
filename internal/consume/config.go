package consume

import (
	"log/slog"
	"regexp"
	"time"

	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Config is what a worker needs to know.
type Config struct {
	Group string // the consumer group: the pipeline's name
	// Database stands for the database that the stores write to: members that write to another one are kept out of the
	// group, except under KIP-848. Empty: not known.
	Database string

	Topics  []string         // the topics to read
	Regexps []*regexp.Regexp // topics to read beside them, by name
	Start   Start            // where a topic met for the first time starts

	Kafka []kgo.Opt // brokers, TLS, SASL, logging: for both clients of a worker
	// Hooks makes the hooks of the client with which a worker fetches; it may be nil. It is asked once a worker.
	Hooks func(worker int) []kgo.Hook

	// InstanceID is the static membership's id: a restarted worker that shows it again gets its partitions back at
	// once. Empty: a dynamic member, whose partitions wait for the session timeout when it dies.
	InstanceID        string
	SessionTimeout    time.Duration // default 6 s: the fence makes a short one safe
	HeartbeatInterval time.Duration // default 1 s, or a quarter of a shorter session
	RebalanceTimeout  time.Duration // default 60 s
	Balancer          string        // "cooperative-sticky" (default), "range", "roundrobin", "sticky", "server" (KIP-848)

	Rows  int           // maximum of records in a transaction; default 100,000
	Bytes int64         // maximum of bytes of keys and values; default 32 MiB
	Every time.Duration // at least so long between two transactions, unless much is there; 0: whatever is ready

	// FetchMemory is about what a broker's answer may become in memory, decompressed and with what a record costs; it
	// bounds what is asked for. Twice that a broker is fetched and not yet written at most. Default 8 MiB; many partitions
	// may take it up to twice that.
	FetchMemory int64
	// MaxBatch is how much memory one batch of records of Kafka's may take, unpacked and with what its records cost.
	// Default 256 MiB. A partition stops before a larger one.
	MaxBatch int64

	// Wait is for how long a bounded run waits for what is in its way, before it ends without having reached its ends:
	// Postgres or Kafka that is away, a table or a privilege that is missing, another member that does not go on.
	// Default 2 min.
	Wait time.Duration

	tailEvery time.Duration // between two looks at the logs' ends; default 10 s
	parkFor   time.Duration // a waiting partition is taken again after; default 10 s
	openAfter time.Duration // a transaction in Kafka is worth a word; default 1 min

	Log *slog.Logger
	// Observe is told of every committed batch, on the worker's goroutine. It must not block.
	Observe func(Report)
}

// Report is what a committed batch was.
type Report struct {
	Worker  int
	At      time.Time // of the commit
	Took    time.Duration
	Records int
	Bytes   int64
	Ranges  []RangeReport
	Result  record.Result
	Retries int // attempts before this one
}

// RangeReport is one partition's part of a committed batch.
type RangeReport struct {
	record.TopicPartition
	From, To  int64
	Records   int
	Bytes     int64
	Timestamp time.Time // of the last record; zero when there is none
}

// Start says where a topic begins that the pipeline has never read.
type Start struct {
	Latest bool
	At     time.Time // the first record at or after this time; zero: earliest, or latest
}

func (c *Config) defaults() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.SessionTimeout, 6*time.Second)
	def(&c.HeartbeatInterval, min(time.Second, c.SessionTimeout/4))
	def(&c.RebalanceTimeout, time.Minute)
	def(&c.Wait, 2*time.Minute)
	def(&c.tailEvery, 10*time.Second)
	def(&c.parkFor, 10*time.Second)
	def(&c.openAfter, time.Minute)
	if c.Rows == 0 {
		c.Rows = 100_000
	}
	if c.Bytes == 0 {
		c.Bytes = 32 << 20
	}
	if c.FetchMemory == 0 {
		c.FetchMemory = 8 << 20
	}
	if c.MaxBatch == 0 {
		c.MaxBatch = 256 << 20
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Observe == nil {
		c.Observe = func(Report) {}
	}
}

// Wants says whether a topic is read.
func (c *Config) Wants(topic string) bool {
	for _, t := range c.Topics {
		if t == topic {
			return true
		}
	}
	for _, r := range c.Regexps {
		if r.MatchString(topic) {
			return true
		}
	}
	return false
}
