package txn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sinker/internal/record"
	"sinker/migrations"

	"github.com/jackc/pgx/v5"
)

// book is one partition's log as the test wrote it: the ledger is held against it.
type book struct {
	*database
	s   *Store
	pos Position
}

func newBook(t *testing.T) *book {
	db := newDatabase(t)
	b := &book{database: db, s: db.storeWith(Config{Owner: "a", Hash: "h1"})}
	b.retake()
	return b
}

func (b *book) retake() { b.pos = b.take(b.s, claim(orders0, 10))[0] }

// record is the one that the log has at an offset.
func recordAt(offset int64) *record.Record {
	return &record.Record{TopicPartition: orders0, Offset: offset, LeaderEpoch: 3, Timestamp: (1_800_000_000 + offset) * 1000, Key: fmt.Append(nil, offset*7), Value: []byte(strings.Repeat("v", int(offset%13)))}
}

func records(from, to int64) (all []*record.Record) {
	for o := from; o < to; o++ {
		all = append(all, recordAt(o))
	}
	return all
}

// sumOf is the checksum of records.
func sumOf(records []*record.Record) (c Checksum) {
	for _, r := range records {
		c.Add(r)
	}
	return c
}

// commit commits the next n records.
func (b *book) commit(n int64) {
	b.t.Helper()
	r := rangeOf(b.pos)
	r.Add(record.NewList(r.From, r.From+n, records(r.From, r.From+n)...))
	if _, err := commitBatch(context.Background(), b.s, Batch{r}, nil); err != nil {
		b.t.Fatal(err)
	}
	b.pos.NextOffset = r.To
}

// holds compares the whole ledger with the log, each range with the sum of its records from the beginning, and says which
// ranges there are.
func (b *book) holds(want ...string) {
	b.t.Helper()
	rows, err := b.conn.Query(context.Background(), `SELECT from_offset, to_offset, records, bytes, checksum, written + filtered + dead, fence, coalesce(owner, '') || ' ' || coalesce(config_hash, '')
		FROM sinker.ledger ORDER BY committed_at, from_offset`)
	if err != nil {
		b.t.Fatal(err)
	}
	var got []string
	var from, to, n, size, sum, marked, fence int64
	var who string
	_, err = pgx.ForEachRow(rows, []any{&from, &to, &n, &size, &sum, &marked, &fence, &who}, func() error {
		got = append(got, fmt.Sprintf("[%d,%d) fence %d of %s", from, to, fence, who))
		c := sumOf(records(from, to))
		if (Checksum{n, size, uint64(sum)}) != c || marked != n {
			b.t.Errorf("range [%d, %d): %d records (%d marked), %d bytes, checksum %x; the log has %+v", from, to, n, marked, size, uint64(sum), c)
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("the ledger has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A range goes on for as long as nothing ends it, whatever a transaction holds; each thing that ends one leaves two rows
// that still tile.
func TestLedgerGoesOn(t *testing.T) {
	ctx := context.Background()
	change := func(b *book, c Change) {
		b.t.Helper()
		c.TopicPartition = orders0
		if _, err := ChangeOffset(ctx, b.conn, "p", c); err != nil {
			b.t.Fatal(err)
		}
		b.retake()
	}
	for name, c := range map[string]struct {
		between func(b *book) // after [10, 16) under fence 1; then [.., 20) is committed
		want    []string
	}{
		"Nothing":          {func(b *book) {}, []string{"[10,20) fence 1 of a h1"}},
		"RecordsOfNoValue": {func(b *book) { b.commit(0 + 1) }, []string{"[10,20) fence 1 of a h1"}},
		"AMinute": {func(b *book) { b.exec(`UPDATE sinker.offsets SET open_since = now() - interval '61 seconds'`) },
			[]string{"[10,16) fence 1 of a h1", "[16,20) fence 1 of a h1"}},
		"Retake": {func(b *book) { b.retake() }, []string{"[10,16) fence 1 of a h1", "[16,20) fence 2 of a h1"}},
		"AnotherOwner": {func(b *book) { b.s = b.store("b"); b.retake() },
			[]string{"[10,16) fence 1 of a h1", "[16,20) fence 2 of b "}},
		"AnotherConfiguration": {func(b *book) { b.s = b.storeWith(Config{Owner: "a", Hash: "h2"}); b.retake() },
			[]string{"[10,16) fence 1 of a h1", "[16,20) fence 2 of a h2"}},
		"SetForward": {func(b *book) { change(b, Change{Action: "set", Offset: 18, SkipRecords: true}) },
			[]string{"[10,16) fence 1 of a h1", "[18,20) fence 3 of a h1"}},
		"SetBack": {func(b *book) { change(b, Change{Action: "set", Offset: 12, WriteAgain: true}) },
			[]string{"[10,16) fence 1 of a h1", "[12,20) fence 3 of a h1"}},
		"Adopted": {func(b *book) { change(b, Change{Action: "adopt", Offset: -1, Log: &ordersLog}) },
			[]string{"[10,16) fence 1 of a h1", "[16,20) fence 3 of a h1"}},
		"Reset": {func(b *book) {
			b.exec(`UPDATE sinker.offsets SET topic_id = gen_random_uuid()`) // the topic was made again
			change(b, Change{Action: "reset", Offset: 10, Log: &ordersLog})
		},
			[]string{"[10,16) fence 1 of a h1", "[10,20) fence 3 of a h1"}},
		"MarkedStopped": {func(b *book) {
			if err := b.s.MarkStopped(ctx, orders0, 1, Stop{Reason: "x"}); err != nil {
				b.t.Fatal(err)
			}
		}, []string{"[10,20) fence 1 of a h1"}},
		"AnOlderSinkerTookIt": {func(b *book) { b.olderTake("old"); b.retake() },
			[]string{"[10,16) fence 1 of a h1", "[16,20) fence 3 of a h1"}},
		"AnOlderSinkerCommitted": {func(b *book) { b.olderTake("old"); b.olderCommit("old", 2, 16, 18); b.retake() },
			[]string{"[10,16) fence 1 of a h1", "[16,18) fence 2 of old old", "[18,20) fence 3 of a h1"}},
		"AnOlderSinkerOfTheSameName": {func(b *book) { b.olderCommit("a", 1, 16, 18); b.pos.NextOffset = 18 },
			[]string{"[10,16) fence 1 of a h1", "[16,18) fence 1 of a old", "[18,20) fence 1 of a h1"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			for _, n := range []int64{1, 3, 2} {
				b.commit(n)
			}
			c.between(b)
			for b.pos.NextOffset < 20 {
				b.commit(1)
			}
			b.holds(c.want...)
			b.want(`SELECT count(*) FROM sinker.batches`, fmt.Sprint(len(c.want)-1))
			b.want(`SELECT count(*) FROM sinker.ledger WHERE began_at > committed_at`, "0")
		})
	}
}

// olderTake and olderCommit do what a sinker from before open ranges does, by its own SQL.
func (db *database) olderTake(owner string) {
	db.exec(`UPDATE sinker.offsets SET fence = fence + 1, owner = $1, config_hash = 'old', stopped = NULL, updated_at = now()`, owner)
}

func (db *database) olderCommit(owner string, fence, from, to int64) {
	sum := sumOf(records(from, to))
	db.exec(`WITH moved AS (
			UPDATE sinker.offsets o SET next_offset = $3, consumed = consumed + $4, filtered = filtered + $4, updated_at = now()
			WHERE o.next_offset = $2 AND o.fence = $1 AND coalesce(o.owner, '') = $7 RETURNING 1),
		ledger AS (
			INSERT INTO sinker.batches (pipeline, topic, partition, from_offset, to_offset, records, written, filtered, dead, bytes, checksum, config_hash, owner, fence)
			SELECT 'p', 'orders', 0, $2::bigint, $3::bigint, $4::bigint, 0, $4, 0, $5, $6, 'old', $7, $1::bigint)
		SELECT 1 / (CASE WHEN count(*) = 1 THEN 1 ELSE 0 END) FROM moved`, fence, from, to, sum.Records, sum.Bytes, int64(sum.Sum), owner)
}

// A range ends at its millionth record.
func TestLedgerRangeIsBounded(t *testing.T) {
	b := newBook(t)
	b.commit(1)
	b.exec(`UPDATE sinker.offsets SET open_filtered = $1, consumed = $1, filtered = $1`, rangeRecords-1)
	b.commit(1)
	b.want(`SELECT count(*) FROM sinker.batches`, "0")
	b.commit(1)
	b.want(`SELECT max(records) FROM sinker.batches`, fmt.Sprint(rangeRecords))
	b.want(`SELECT records || ' ' || from_offset FROM sinker.ledger WHERE open`, "1 12")
}

// However many partitions a worker has, it closes one range a second at most for its age: 100 of them share a hundred seconds.
func TestLedgerOfManyPartitionsIsBounded(t *testing.T) {
	ctx := context.Background()
	db := newDatabase(t)
	s := db.store("a")
	var claims []Claim
	for i := range int32(100) {
		claims = append(claims, claim(TopicPartition{Topic: "orders", Partition: i}, 0))
	}
	positions := db.take(s, claims...)
	commit := func() {
		var b Batch
		for i := range positions {
			b = append(b, rangeOf(positions[i], `{}`))
			positions[i].NextOffset++
		}
		if _, err := commitBatch(ctx, s, b, nil); err != nil {
			t.Fatal(err)
		}
	}
	commit()
	db.exec(`UPDATE sinker.offsets SET open_since = now() - interval '95 seconds'`)
	commit()
	db.want(`SELECT count(*) FROM sinker.batches`, "0")
	db.exec(`UPDATE sinker.offsets SET open_since = now() - interval '101 seconds'`)
	commit()
	db.want(`SELECT count(*) FROM sinker.batches`, "100")
	db.ledgerTiles()
}

// The sum of what follows, put behind what was there, is the sum of all: for every way to cut a log in two or more.
func TestChecksumGoesOn(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		end := rng.Int64N(300)
		want := sumOf(records(0, end))
		var got uint64
		for at := int64(0); at < end; {
			next := min(end, at+rng.Int64N(40))
			c := sumOf(records(at, next))
			got, at = c.sumThen(got), next
		}
		if got != want.Sum {
			t.Fatalf("%d records: %x, want %x", end, got, want.Sum)
		}
	}
}

// The books are of one moment: also while commits go on the ledger ends where the position is.
func TestBooksAreOfOneMoment(t *testing.T) {
	ctx := context.Background()
	b := newBook(t)
	reader, err := pgx.Connect(ctx, b.url)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close(ctx)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			b.commit(2)
			if n%10 == 0 {
				b.retake()
			}
		}
	}()
	seen := map[int64]bool{}
	for range 300 {
		books, err := ReadBooks(ctx, reader, "p", orders0)
		if err != nil {
			t.Fatal(err)
		}
		at := books.Row.StartOffset
		for _, r := range books.Ledger {
			if r.From != at {
				t.Fatalf("a range begins at %d, the one before ended at %d", r.From, at)
			}
			at = r.To
		}
		if at != books.Row.NextOffset {
			t.Fatalf("the ledger ends at %d, the position is %d", at, books.Row.NextOffset)
		}
		seen[at] = true
	}
	cancel()
	<-done
	if len(seen) < 10 {
		t.Errorf("only %d positions were seen", len(seen))
	}
}

// A failed move leaves the open range as it was.
func TestLedgerOfAFailedMove(t *testing.T) {
	b := newBook(t)
	b.commit(3)
	before := b.one(`SELECT o::text FROM sinker.offsets o`)
	b.exec(`UPDATE sinker.offsets SET open_since = now() - interval '1 hour'`)
	b.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
		CREATE TRIGGER refuse BEFORE UPDATE ON sinker.offsets FOR EACH ROW EXECUTE FUNCTION refuse()`)
	r := rangeOf(b.pos)
	r.Add(record.NewList(13, 15, records(13, 15)...))
	_, err := commitBatch(context.Background(), b.s, Batch{r}, nil)
	var e *Error
	if !errors.As(err, &e) || e.Class != Schema {
		t.Fatalf("%v", err)
	}
	b.exec(`DROP TRIGGER refuse ON sinker.offsets`)
	b.want(`SELECT count(*) FROM sinker.batches`, "0")
	b.exec(`UPDATE sinker.offsets SET open_since = open_at`)
	if after := b.one(`SELECT o::text FROM sinker.offsets o`); after != before {
		t.Errorf("the row was\n%s\nand is\n%s", before, after)
	}
	b.commit(7)
	b.holds("[10,20) fence 1 of a h1")
}

// Going back to the schema before open ranges keeps them as rows of sinker.batches.
func TestLedgerGoesBackToTheSchemaBefore(t *testing.T) {
	b := newBook(t)
	b.commit(3)
	b.retake()
	b.commit(2)
	before := b.one(`SELECT string_agg(format('%s %s %s %s %s %s', from_offset, to_offset, records, bytes, checksum, fence), ' ' ORDER BY from_offset) FROM sinker.ledger`)
	files, err := fs.Glob(migrations.FS, "*.down.sql")
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(files)
	for _, name := range files {
		if strings.HasPrefix(name, "000003") {
			break
		}
		sql, err := fs.ReadFile(migrations.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		b.exec(string(sql))
	}
	after := b.one(`SELECT string_agg(format('%s %s %s %s %s %s', from_offset, to_offset, records, bytes, checksum, fence), ' ' ORDER BY from_offset) FROM sinker.batches`)
	if after != before || !strings.Contains(after, "10 13 3") {
		t.Errorf("was %s, is %s", before, after)
	}
}

// Whoever could read the ledger before there was a view can read the view.
func TestLedgerKeepsItsReaders(t *testing.T) {
	db := begun(t, 5)
	role := `"Reader of ` + db.one(`SELECT current_database()`) + `"`
	db.exec(`CREATE ROLE ` + role + `; GRANT USAGE ON SCHEMA sinker TO ` + role + `; GRANT SELECT ON sinker.batches TO ` + role)
	t.Cleanup(func() { db.exec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
	if _, _, err := Migrate(context.Background(), db.url, quiet); err != nil {
		t.Fatal(err)
	}
	db.exec(`SET ROLE ` + role)
	db.want(`SELECT count(*) FROM sinker.ledger`, "0")
	db.exec(`RESET ROLE`)
}
