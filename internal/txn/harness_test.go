package txn

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"sinker/internal/local/localtest"
	"sinker/internal/record"
	"sinker/migrations"

	"github.com/jackc/pgx/v5"
)

// database is one test's database, migrated.
type database struct {
	t    testing.TB
	url  string
	conn *pgx.Conn
}

func newDatabase(t testing.TB) *database {
	t.Helper()
	return openMigrated(t, localtest.Database(t))
}

// openMigrated opens a database that is empty, and runs the migrations.
func openMigrated(t testing.TB, url string) *database {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	db := &database{t: t, url: url, conn: conn}
	entries, err := migrations.FS.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".up.sql") {
			sql, err := migrations.FS.ReadFile(e.Name())
			if err != nil {
				t.Fatal(err)
			}
			db.exec(string(sql))
		}
	}
	return db
}

func (db *database) exec(sql string, args ...any) {
	db.t.Helper()
	if _, err := db.conn.Exec(context.Background(), sql, args...); err != nil {
		db.t.Fatalf("%s: %v", sql, err)
	}
}

// one returns the one value a query yields, as text.
func (db *database) one(sql string, args ...any) string {
	db.t.Helper()
	var v any
	if err := db.conn.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		db.t.Fatalf("%s: %v", sql, err)
	}
	return fmt.Sprint(v)
}

func (db *database) want(sql, want string) {
	db.t.Helper()
	if got := db.one(sql); got != want {
		db.t.Errorf("%s = %s, want %s", sql, got, want)
	}
}

// store opens a store on the database; change may alter its configuration.
func (db *database) store(owner string, sinks ...Sink) *Store {
	return db.storeWith(Config{Owner: owner, Sinks: sinks})
}

// large makes the tests take the way of large batches with few rows too: go test ./internal/txn -large
var large = flag.Bool("large", false, "write every batch as a large one")

func (db *database) storeWith(cfg Config) *Store {
	db.t.Helper()
	if cfg.URL == "" {
		cfg.URL = db.url
	}
	cfg.Pipeline, cfg.large = "p", cfg.large || *large && !strings.HasPrefix(db.t.Name(), "TestSmall")
	s := New(cfg)
	db.t.Cleanup(s.Close)
	return s
}

var (
	ordersLog = LogID{ClusterID: "c1", TopicID: [16]byte{1}}
	orders0   = TopicPartition{Topic: "orders", Partition: 0}
)

func claim(tp TopicPartition, seed int64) Claim {
	return Claim{TopicPartition: tp, Log: ordersLog, Seed: seed}
}

// take takes partitions that must be there to be taken.
func (db *database) take(s *Store, claims ...Claim) []Position {
	db.t.Helper()
	taken, err := s.Take(context.Background(), claims)
	if err != nil {
		db.t.Fatal(err)
	}
	if len(taken.Misses) > 0 {
		db.t.Fatalf("misses: %+v", taken.Misses)
	}
	return taken.Positions
}

// rangeOf makes a range of records with the given values, starting at the position.
func rangeOf(p Position, values ...string) Range {
	r := Range{TopicPartition: p.TopicPartition, Log: p.Log, Fence: p.Fence, From: p.NextOffset, To: p.NextOffset, LeaderEpoch: 3}
	var records []*record.Record
	for i, v := range values {
		at := time.Date(2026, 11, 22, 12, 0, i, 0, time.UTC)
		records = append(records, &record.Record{TopicPartition: p.TopicPartition, Offset: p.NextOffset + int64(i), LeaderEpoch: 3,
			Timestamp: at.UnixMilli(), Value: []byte(v)})
	}
	if len(records) > 0 {
		r.Add(record.NewList(r.From, r.From+int64(len(records)), records...))
	}
	return r
}

// held are the records of a range of one batch, for tests to change.
func held(r Range) []*record.Record { return batchOf(r).(*record.List).Records() }

// batchOf is the one batch of a range.
func batchOf(r Range) record.Batch { return r.Batches[0] }

// give writes what a range has.
func give(ctx context.Context, tx *Tx, rng int, r *Range) {
	for _, b := range r.Batches {
		_ = tx.Write(ctx, rng, b) // Commit says what it means
	}
}

// goOn lets a batch go on: of the ranges that may it takes the records away and puts those that follow in their place, with
// To, LeaderEpoch, Timestamp and Streamed. It returns false where there are none.
type goOn func(b Batch, may func(rng int) bool) bool

// commitBatch does what a worker does with a batch: begin, write, go on while more has something, commit.
func commitBatch(ctx context.Context, s *Store, b Batch, more goOn) (Result, error) {
	tx, err := s.Begin(ctx, b)
	if err != nil {
		return Result{}, err
	}
	defer tx.Rollback()
	for i := range b {
		give(ctx, tx, i, &b[i])
	}
	for more != nil {
		may := tx.GoOn(ctx)
		if may == nil || !more(b, may) {
			break
		}
		for i := range b {
			if may(i) {
				give(ctx, tx, i, &b[i])
			}
		}
	}
	return tx.Commit(ctx)
}

// withUser changes the user of a connection URL.
func withUser(t *testing.T, s, user string) string {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(user)
	return u.String()
}

// ledgerTiles checks that the ledger's ranges tile [start_offset, next_offset) and sum up to the totals.
func (db *database) ledgerTiles() {
	db.t.Helper()
	db.want(`SELECT count(*) FROM (
		SELECT from_offset, coalesce(lag(to_offset) OVER w, (SELECT start_offset FROM sinker.offsets o WHERE (o.topic, o.partition) = (b.topic, b.partition))) AS want
		FROM sinker.ledger b WINDOW w AS (PARTITION BY topic, partition ORDER BY from_offset)) t WHERE from_offset <> want`, "0")
	db.want(`SELECT count(*) FROM sinker.offsets o LEFT JOIN (
		SELECT topic, partition, max(to_offset) AS upto, sum(records) AS records, sum(written) AS written, sum(dead) AS dead FROM sinker.ledger GROUP BY 1, 2) b USING (topic, partition)
		WHERE (o.next_offset, o.consumed, o.written, o.dead) IS DISTINCT FROM (coalesce(upto, o.start_offset), coalesce(b.records, 0), coalesce(b.written, 0), coalesce(b.dead, 0))`, "0")
}
