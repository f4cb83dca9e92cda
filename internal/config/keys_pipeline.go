package config

import (
	"cmp"
	"net"
	"regexp"
	"strconv"
	"time"

	"sinker/internal/transform"

	"go.yaml.in/yaml/v4"
)

// root is the whole file. Its owner is a *Pipeline.
var root = section{
	path: "", place: "the configuration", later: []string{"tests"},
	check: checked(checkPipeline),
	keys: []key{
		{
			name: "name", value: of(nameText, func(p *Pipeline) *string { return &p.Name }),
			initial: "sinker",
			flag:    &option{name: "name", usage: "pipeline: the consumer group, and the owner of its offsets (default sinker)"},
			doc: "The pipeline: the consumer group, and the owner of its rows in `sinker.offsets`. Two pipelines " +
				"on one database, or on one Kafka, need two names. A second database's pipeline of the same " +
				"name is kept out of the group, with an error in its log. A pipeline with a new name starts " +
				"from the beginning.",
			example: "name: orders-to-pg",
		},
		{
			name: "kafka", value: sub(&kafkaSection, within(func(p *Pipeline) *Kafka { return &p.Kafka }), nil), required: true,
			doc: "How to reach Kafka.", example: "kafka: { brokers: localhost:9092 }",
		},
		{
			name: "postgres", required: true,
			value:   sub(&postgresSection, within(func(p *Pipeline) *Postgres { return &p.Postgres }), &urlAlone),
			doc:     "How to reach Postgres: the connection URL alone, or a mapping.",
			example: "postgres: ${DATABASE_URL}",
		},
		{
			name: "batch", value: sub(&batchSection, within(func(p *Pipeline) *Batch { return &p.Batch }), nil),
			doc: "How large a transaction may be.", example: "batch: { rows: 50000 }",
		},
		{
			name: "workers", value: of(number(1, 64), func(p *Pipeline) *int { return &p.Workers }), initial: "2",
			doc:     "Group members in this process, each with one Postgres connection.",
			example: "workers: 4",
		},
		{
			name: "http", value: of(httpAddress, func(p *Pipeline) *string { return &p.HTTP }), initial: "127.0.0.1:8080",
			doc: "Address of health, metrics and the status page. Whoever reaches it sees topics, positions and " +
				"errors. The flag `--http` and the variable `SINKER_HTTP` take precedence. `run --until-end` " +
				"serves it only with `--http`.",
			example: "http: off",
		},
		{
			name: "errors", value: sub(&errorsSection, within(func(p *Pipeline) *ErrorPolicy { return &p.Errors }), nil),
			doc: "What becomes of a record that cannot become a row.", example: "errors: { do: stop }",
		},
		{
			name: "sinks", value: sinksValue, required: true,
			doc: "A list of sinks. Each writes one table.", example: "sinks: [ { topic: orders, table: sales.orders } ]",
		},
	},
}

var pipelineName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,200}$`)

var nameText = matching("up to 200 letters, digits, dots, dashes and underscores", pipelineName.MatchString)

var httpAddress = matching(httpTakes, func(s string) bool { return BadHTTP(s) == "" })

const httpTakes = "host:port, such as 127.0.0.1:8080 or :8080 (every address), or off"

// BadHTTP says what is wrong with an address for health, metrics and the status page.
func BadHTTP(s string) string {
	_, port, err := net.SplitHostPort(s)
	if p, badPort := strconv.Atoi(port); s != "off" && (err != nil || badPort != nil || p < 0 || p > 65535) {
		return "must be " + httpTakes
	}
	return ""
}

// checkPipeline fills in the defaults that depend on the sinks: the smallest of what their modes usually take.
func checkPipeline(_ *reader, _ *yaml.Node, p *Pipeline, _ given) {
	rows, size := transform.Rule{}.UsualBatch()
	for i := range p.Sinks {
		if r, s := p.Sinks[i].Rule.UsualBatch(); i == 0 || r < rows {
			rows, size = r, s
		}
	}
	p.Batch.Rows, p.Batch.Bytes = cmp.Or(p.Batch.Rows, rows), cmp.Or(p.Batch.Bytes, size)
}

var batchSection = section{
	path: "batch", place: "batch", lead: "batch.",
	keys: []key{
		{
			name: "rows", value: of(number(1, 10_000_000), func(b *Batch) *int { return &b.Rows }),
			unsaid:  "`100000`; `500000` where every sink aggregates, because larger batches merge more",
			doc:     "Maximum number of records per transaction.",
			example: "rows: 50000",
		},
		{
			name: "bytes", value: of(size(), func(b *Batch) *int64 { return &b.Bytes }),
			unsaid: "`32MiB`; `128MiB` where every sink aggregates",
			doc: "Maximum bytes of keys and values per transaction. A larger record is written in a transaction " +
				"of its own. Memory grows with it ([guide](guide.md#memory)).",
			example: "bytes: 64MiB",
		},
		{
			name: "every", value: of(duration(0, time.Hour), func(b *Batch) *time.Duration { return &b.Every }), initial: "15ms",
			doc: "Minimum time between two transactions of a worker. A record that arrives after a longer pause " +
				"is written at once. So is a batch that is large for that time: 64 records, or 16 KiB, per " +
				"millisecond. `0s` writes whatever is there at once. A longer time means fewer and larger " +
				"transactions ([what they cost](guide.md#what-a-transaction-costs)).",
			example: "every: 1s",
		},
	},
}

var errorsSection = section{
	path: "errors", place: "errors", lead: "errors.",
	check: checked(func(r *reader, _ *yaml.Node, e *ErrorPolicy, g given) {
		if e.Do == "stop" && g["stop_after"] != nil {
			r.problem(g["stop_after"],
				"errors.stop_after needs do: dead_letter; do: stop already stops at the first record that cannot become a row")
		}
	}),
	keys: []key{
		{
			name: "on", value: of(oneOf("record"), func(e *ErrorPolicy) *string { return &e.On }),
			initial: "record", hashed: true,
			doc: "Unit that the policy applies to; only `record`.", example: "on: record",
		},
		{
			name: "do", value: of(oneOf("dead_letter", "stop"), func(e *ErrorPolicy) *string { return &e.Do }),
			initial: "dead_letter", hashed: true,
			doc: "What becomes of a record that cannot become a row. `dead_letter` makes it a row of " +
				"`sinker.dead_letters`; `stop` stops its partition.",
			example: "do: stop",
		},
		{
			name: "stop_after", value: of(share(), func(e *ErrorPolicy) *float64 { return &e.StopAfter }),
			unsaid: "never", hashed: true,
			doc: "With `do: dead_letter`: stops a partition when more than this share of its last ten thousand " +
				"records, roughly, became dead letters.",
			example: "stop_after: 1%",
		},
	},
}

var postgresSection = section{
	path: "postgres", place: "postgres", lead: "postgres.",
	keys: []key{
		{
			name: "url", value: of(connectionURL(), func(p *Postgres) *Secret { return &p.URL }), required: true,
			flag: &option{name: "to", env: "DATABASE_URL",
				usage: "Postgres connection URL; '${NAME}' in it is a variable (default: what DATABASE_URL holds)"},
			doc: "`postgres://user:password@host:5432/database`, or keywords (`host=… user=…`), with Postgres' " +
				"own parameters: `sslmode`, `sslrootcert`, `passfile`, `target_session_attrs` and others. Only " +
				"`sslmode=verify-full` proves which server it is. `run` and `check` warn about a connection to " +
				"another machine without encryption. sinker writes with an empty `search_path`, so that no " +
				"function of another schema is called by mistake. Triggers whose functions rely on it need " +
				"`search_path=public` here.",
			example: "url: postgres://sinker@db1,db2/shop?sslmode=verify-full",
		},
		{
			name: "migrate_url", value: of(connectionURL(), func(p *Postgres) *Secret { return &p.MigrateURL }), unsaid: "`url`",
			doc:     "Connection for migrations: a direct one, where `url` leads to a transaction pooler.",
			example: "url: postgres://pooler:6432/shop\nmigrate_url: postgres://db:5432/shop",
		},
		{
			name: "synchronous_commit", value: of(oneOf("on", "off", "local", "remote_write", "remote_apply"),
				func(p *Postgres) *string { return &p.SynchronousCommit }),
			unsaid: "the server's",
			doc: "Postgres' setting of that name, for sinker's transactions. Every value is safe " +
				"([guide](guide.md#failover-restores-synchronous_commit)).",
			example: "url: ${DATABASE_URL}\nsynchronous_commit: off",
		},
		{
			name: "statement_timeout", value: of(duration(time.Second, time.Hour),
				func(p *Postgres) *time.Duration { return &p.StatementTimeout }), initial: "9s",
			doc: "Maximum time for a statement, and so for a frozen sinker to hold its offset rows. A batch that " +
				"takes longer is made smaller.",
			example: "url: ${DATABASE_URL}\nstatement_timeout: 30s",
		},
	},
}

// urlAlone is `postgres: URL`.
var urlAlone = shortForm[Pipeline]{
	shape: connectionURL().shape,
	read: func(r *reader, n *yaml.Node, what string, p *Pipeline) {
		k := connectionURL()
		k.readInto(r, n, what, &p.Postgres.URL)
	},
}
