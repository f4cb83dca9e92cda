package txn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"sinker/internal/record"
	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
)

// Config is what a store needs to know. Every worker has a store of its own, and so a connection of its own.
type Config struct {
	URL      string
	Pipeline string
	Owner    string // who holds the partitions, for people to read: host, process, worker
	Hash     string // of the configuration, kept beside offsets and dead letters
	Sinks    []Sink

	// SynchronousCommit is Postgres' setting of that name; empty leaves the server's. "off" is safe: the rows and the
	// offsets that a crash of the server loses, it loses together, and sinker reads them again.
	SynchronousCommit string
	// StatementTimeout bounds every statement, and so how long a frozen owner can hold an offset row; with LockTimeout,
	// which the next owner waits before it ends a backend frozen inside COPY, it should stay below 15 s. Default 9 s.
	StatementTimeout time.Duration
	// LockTimeout bounds the wait for a row or table lock. Default 5 s.
	LockTimeout time.Duration
	// LedgerKeep is for how long the rows of sinker.batches are kept. Default 7 days.
	LedgerKeep time.Duration
	// StopOnBad stops a partition at its first record that cannot become a row, instead of writing a dead letter.
	StopOnBad bool
	// StopAfter stops a partition when more than this share of its last records became dead letters; 0 never does.
	StopAfter float64

	// OnlyReads is of a command that changes nothing: a standby will do where no server accepts writes.
	OnlyReads bool
	// Lineage is shared by the stores of a process; nil: an old primary is not noticed.
	Lineage *Lineage
	// Fields is shared by the stores of a process, so that what it says about fields is said once; nil: the store has
	// its own.
	Fields *Fields

	Log *slog.Logger

	large bool // every batch is written as a large one: for tests
}

// Sink is the rule from topics to one table.
type Sink struct {
	Topics []string
	Regexp *regexp.Regexp // instead of Topics
	Schema string
	Table  string
	// Tables are further tables of the sink, for changes that name one.
	Tables []NamedTable
	Create bool
	Rule   transform.Rule

	// WaitFor are SQLSTATEs of refusals that may pass (a parent row that another topic brings): the partition waits for
	// WaitAtMost, counted from the first refusal of its batch, before the record is a dead letter or stops it.
	WaitFor    []string
	WaitAtMost time.Duration
}

// NamedTable is a table by the name that changes call it.
type NamedTable struct{ Name, Schema, Table string }

// Wants says whether the sink takes records of the topic.
func (s *Sink) Wants(topic string) bool {
	if s.Regexp != nil {
		return s.Regexp.MatchString(topic)
	}
	return slices.Contains(s.Topics, topic)
}

// Name is the table as Postgres would print it.
func (s *Sink) Name() string { return qualified(s.Schema, s.Table) }

// qualified quotes a table's name for use in SQL. It is the only way a name gets into a statement.
func qualified(schema, table string) string { return pgx.Identifier{schema, table}.Sanitize() }

// Store writes one worker's batches. It is not safe for concurrent use.
type Store struct {
	cfg  Config
	conn *pgx.Conn
	*router
	floods map[TopicPartition]*flood

	suppressed map[string]*suppressions // by table
	waits      map[TopicPartition]wait

	// inDoubt is the result of the last attempt whose COMMIT was sent and not answered; it becomes the result of the
	// next attempt if the compare then says Already for the whole batch.
	inDoubt *Result
	// careful counts the batches for which every write still runs under a savepoint, because a value that only
	// Postgres refuses was seen lately.
	careful int
	stuck   stuck

	taken  map[TopicPartition]bool // the partitions that this store has, or had
	open   []openRange             // by range of the batch, as its compare found them
	places places

	planner planner
	pruned  time.Time // the ledger, last
	buf     batchState
	pipe    pipe
}

// New makes a store. It does not connect: the first use does.
func New(cfg Config) *Store {
	if cfg.StatementTimeout == 0 {
		cfg.StatementTimeout = 9 * time.Second
	}
	if cfg.LockTimeout == 0 {
		cfg.LockTimeout = 5 * time.Second
	}
	if cfg.LedgerKeep == 0 {
		cfg.LedgerKeep = 7 * 24 * time.Hour
	}
	if cfg.Fields == nil {
		cfg.Fields = &Fields{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{cfg: cfg, router: newRouter(cfg.Sinks), floods: map[TopicPartition]*flood{},
		suppressed: map[string]*suppressions{}, waits: map[TopicPartition]wait{}, taken: map[TopicPartition]bool{},
		places: places{}}
	return s
}

// Prepare connects, and looks at (or makes) the target tables, so that a wrong table or a missing privilege is known
// before the first record is read. A table that `create: yes` without columns will make from the first records is left
// for the first batch.
func (s *Store) Prepare(ctx context.Context) error {
	conn, err := s.session(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := needSchema(ctx, conn); err != nil {
		return wrap(record.StepPrepare, "", err)
	}
	for _, t := range s.targets {
		if err := t.prepare(ctx, s, conn, nil); err != nil && !errors.Is(err, errNeedSample) {
			return wrap(record.StepPrepare, t.sink.Name(), err)
		}
		for _, w := range t.warnings {
			s.cfg.Log.Warn(w)
		}
		late, err := t.late(ctx, s, conn, t.plan != nil)
		if err != nil {
			return wrap(record.StepPrepare, t.sink.Name(), err)
		}
		if late != "" {
			s.cfg.Log.Warn(late)
		}
	}
	return nil
}

// needSchema says what to do when the migrations have not run.
func needSchema(ctx context.Context, conn *pgx.Conn) error {
	var there bool
	err := conn.QueryRow(ctx, `SELECT to_regclass('sinker.offsets') IS NOT NULL`, pgx.QueryExecModeExec).Scan(&there)
	if err != nil {
		return err
	}
	if !there {
		return &Error{Class: Schema, Step: record.StepPrepare, Err: fmt.Errorf("schema sinker has no offset table in " +
			"this database"), Hint: "run `sinker migrate up`"}
	}
	return nil
}

// bounded gives a step its own deadline, a little above the server's statement_timeout, for a server or a network that
// stops answering.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.cfg.StatementTimeout+5*time.Second)
}
