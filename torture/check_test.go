package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"sinker/internal/local/localtest"
	"sinker/internal/txn"

	"github.com/jackc/pgx/v5"
)

// printed is what Kafka's console consumer prints of a small topic: two partitions with gaps, a bad record, a record without
// a value, and the last ones.
func printed() string {
	var b strings.Builder
	line := func(partition, offset int, key string, value []byte) {
		fmt.Fprintf(&b, "Partition:%d\tOffset:%d\t%s\t%s\n", partition, offset, key, value)
	}
	for i := range 40 {
		line(i%2, i/2*3, fmt.Sprint("k", i%5), value(int64(i+1), fmt.Sprint("k", i%5), int64(i*7)))
	}
	line(0, 70, "bad-1", []byte(`{"id":`))
	line(1, 71, "k4", []byte("null"))
	line(0, 72, "bad-2", fmt.Appendf(nil, refused[0], 77))
	line(0, 80, "end-0", value(50, "end-0", 0))
	line(1, 80, "end-1", value(51, "end-1", 0))
	return b.String()
}

func readPrinted(t *testing.T, upsert bool) *truth {
	t.Helper()
	tr := newTruth(t.TempDir(), "events", 2, upsert)
	if !upsert {
		tr.sums = map[string]*sums{}
	}
	if err := tr.read(strings.NewReader(printed())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.close)
	return tr
}

// loaded is a database that holds exactly what the topic says, as sinker would have left it.
func loaded(t *testing.T) *pgx.Conn {
	t.Helper()
	ctx := context.Background()
	url := localtest.Database(t)
	if _, _, err := txn.Migrate(ctx, url, nil); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	for _, sql := range append(asideSchema(), schema...) {
		run1(t, conn, sql)
	}
	for _, p := range []int{0, 1} {
		run1(t, conn, fmt.Sprintf(`INSERT INTO sinker.offsets (pipeline, topic, partition, topic_id, start_offset, next_offset, fence, owner)
			VALUES ('torture', 'events', %d, gen_random_uuid(), 0, 0, 1, 'a')`, p))
	}
	for line := range strings.Lines(printed()) {
		var partition, offset int
		var key, value string
		if _, err := fmt.Sscanf(line, "Partition:%d\tOffset:%d\t%s\t%s\n", &partition, &offset, &key, &value); err != nil {
			t.Fatal(err)
		}
		bury := func(table string) {
			run1(t, conn, fmt.Sprintf(`INSERT INTO sinker.dead_letters (pipeline, topic, partition, record_offset, record_timestamp, table_name, code, reason)
				VALUES ('torture', 'events', %d, %d, now(), '%s', 'x', 'x')`, partition, offset, table))
		}
		row, err := rowOf([]byte(value))
		if err != nil {
			bury(`"public"."event_sums"`)
		} else {
			run1(t, conn, fmt.Sprintf(`INSERT INTO event_sums AS s VALUES ('%s', 1, %s, %s, %d, %s) ON CONFLICT (g) DO UPDATE SET records = s.records + 1, n = s.n + excluded.n,
				amount = s.amount + excluded.amount, newest = greatest(s.newest, excluded.newest), least = least(s.least, excluded.least)`, row.group, row.n, row.amount, row.id, row.n))
		}
		if err != nil || strings.HasPrefix(key, badKey) {
			bury(`"public"."events"`)
		} else {
			run1(t, conn, fmt.Sprintf(`INSERT INTO events VALUES ('%s', %d, %d)`, strings.ReplaceAll(string(row.text), "\t", "', '"), partition, offset))
		}
	}
	run1(t, conn, `UPDATE sinker.offsets SET next_offset = 81, consumed = 23 - partition, written = 21, dead = 2 - partition`)
	run1(t, conn, `INSERT INTO sinker.batches (pipeline, topic, partition, from_offset, to_offset, records, written, filtered, dead, bytes, checksum, fence)
		SELECT 'torture', 'events', p, f, t, 11, 11, 0, 0, 1, 1, 1 FROM unnest(ARRAY[0,1]) p, (VALUES (0, 40), (40, 81)) r (f, t)`)
	return conn
}

func run1(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

var events = &table{name: "events"}

// undone makes changes that are taken back after the test.
func undone(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	t.Cleanup(func() { conn.Exec(context.Background(), `ROLLBACK`) })
	run1(t, conn, `BEGIN`)
	run1(t, conn, sql)
}

// Whatever is wrong with a table is noticed, and counted as what it is.
func TestDifferencesAreNoticed(t *testing.T) {
	conn := loaded(t)
	for name, c := range map[string]struct {
		wrong string
		want  differences
	}{
		"Nothing":                  {`SELECT 1`, differences{}},
		"RowLost":                  {`DELETE FROM events WHERE kafka_partition = 0 AND kafka_offset IN (3, 6)`, differences{Lost: 2}},
		"FirstRowLost":             {`DELETE FROM events WHERE kafka_partition = 0 AND kafka_offset = 0`, differences{Lost: 1}},
		"LastRowLost":              {`DELETE FROM events WHERE kafka_partition = 1 AND kafka_offset = 80`, differences{Lost: 1}},
		"PartitionLost":            {`DELETE FROM events WHERE kafka_partition = 1`, differences{Lost: 21}},
		"EverythingLost":           {`TRUNCATE events`, differences{Lost: 42}},
		"RowDoubled":               {`INSERT INTO events SELECT * FROM events WHERE kafka_partition = 1 AND kafka_offset = 9`, differences{Duplicated: 1}},
		"EverythingDoubled":        {`INSERT INTO events SELECT * FROM events`, differences{Duplicated: 42}},
		"RowOfAnAbortedRecord":     {`INSERT INTO events VALUES (99, 'k1', 1, 1, 1, 0, 1)`, differences{Phantom: 1}},
		"RowOfABadRecord":          {`INSERT INTO events VALUES (99, 'k1', 1, 1, 1, 0, 70)`, differences{Phantom: 1}},
		"RowBeyondTheEnd":          {`INSERT INTO events VALUES (99, 'k1', 1, 1, 1, 1, 500)`, differences{Phantom: 1}},
		"RowOfAnUnknownPartition":  {`INSERT INTO events VALUES (99, 'k1', 1, 1, 1, 7, 3)`, differences{Phantom: 1}},
		"ValueChanged":             {`UPDATE events SET amount = amount + 0.01 WHERE kafka_partition = 0 AND kafka_offset = 3`, differences{Changed: 1}},
		"TwoRowsExchanged":         {`UPDATE events SET kafka_offset = 9 - kafka_offset WHERE kafka_partition = 0 AND kafka_offset IN (3, 6)`, differences{Changed: 2}},
		"LetterLost":               {`DELETE FROM sinker.dead_letters WHERE record_offset = 70 AND table_name LIKE '%events%'`, differences{Lost: 1}},
		"LetterDoubled":            {`INSERT INTO sinker.dead_letters (pipeline, topic, partition, record_offset, record_timestamp, table_name, code, reason) VALUES ('torture', 'events', 0, 70, now(), 'events', 'x', 'x')`, differences{Duplicated: 1}},
		"LetterOfAGoodRecord":      {`INSERT INTO sinker.dead_letters (pipeline, topic, partition, record_offset, record_timestamp, table_name, code, reason) VALUES ('torture', 'events', 0, 3, now(), 'events', 'x', 'x')`, differences{Phantom: 1}},
		"LetterOfAnotherPipeline":  {`UPDATE sinker.dead_letters SET pipeline = 'another'`, differences{Lost: 3}},
		"DeadLetterBecameARowToo":  {`INSERT INTO events VALUES (99, 'k4', 1, 1, 1, 1, 71)`, differences{Phantom: 1}},
		"NumberOfAnotherRecord":    {`UPDATE events SET id = id + 1 WHERE kafka_partition = 1 AND kafka_offset = 80`, differences{Changed: 1}},
		"NoSumOfTheOthers":         {`UPDATE events SET sum = 0 WHERE kafka_partition = 1 AND kafka_offset = 80`, differences{Changed: 1}},
		"KeyWithAnotherCaseIsMore": {`UPDATE events SET k = upper(k) WHERE kafka_partition = 0 AND kafka_offset = 80`, differences{Changed: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			undone(t, conn, c.wrong)
			got, rows, letters, err := checkTable(context.Background(), conn, events, readPrinted(t, false))
			if err != nil {
				t.Fatal(err)
			}
			if got.Lost != c.want.Lost || got.Duplicated != c.want.Duplicated || got.Phantom != c.want.Phantom || got.Changed != c.want.Changed {
				t.Errorf("%d rows, %d letters: %+v, want %+v", rows, letters, got, c.want)
			}
			if (got.total() > 0) != (len(got.examples) > 0) {
				t.Errorf("examples: %q", got.examples)
			}
		})
	}
}

// A sum that is not what its records add up to is noticed, whichever of its values is wrong.
func TestWrongSumsAreNoticed(t *testing.T) {
	conn := loaded(t)
	for name, c := range map[string]struct {
		wrong string
		want  differences
	}{
		"Nothing":             {`SELECT 1`, differences{}},
		"OneRecordTwice":      {`UPDATE event_sums SET records = records + 1, n = n + 7 WHERE g = 'g2'`, differences{Changed: 1}},
		"CountOffByOne":       {`UPDATE event_sums SET records = records - 1 WHERE g = 'g7'`, differences{Changed: 1}},
		"SumOffByOne":         {`UPDATE event_sums SET n = n + 1 WHERE g = 'g3'`, differences{Changed: 1}},
		"AmountOffByACent":    {`UPDATE event_sums SET amount = amount - 0.01 WHERE g = 'g3'`, differences{Changed: 1}},
		"MaxOffByOne":         {`UPDATE event_sums SET newest = newest + 1 WHERE g = 'g3'`, differences{Changed: 1}},
		"MinIsNull":           {`UPDATE event_sums SET least = NULL WHERE g = 'g3'`, differences{Changed: 1}},
		"DeadOneNotCounted":   {`UPDATE event_sums SET records = records - 1, n = n + 1, amount = amount - 1 WHERE g = 'g7'`, differences{Changed: 1}},
		"GroupMissing":        {`DELETE FROM event_sums WHERE g = 'g11'`, differences{Lost: 1}},
		"GroupTooMany":        {`INSERT INTO event_sums VALUES ('g99', 1, 1, 1, 1, 1)`, differences{Phantom: 1}},
		"GroupTwice":          {`ALTER TABLE event_sums DROP CONSTRAINT event_sums_pkey; INSERT INTO event_sums SELECT * FROM event_sums WHERE g = 'g1'`, differences{Duplicated: 1}},
		"EverythingMissing":   {`TRUNCATE event_sums`, differences{Lost: 41}},
		"LetterLost":          {`DELETE FROM sinker.dead_letters WHERE record_offset = 70 AND table_name LIKE '%event_sums%'`, differences{Lost: 1}},
		"LetterOfACountedOne": {`INSERT INTO sinker.dead_letters (pipeline, topic, partition, record_offset, record_timestamp, table_name, code, reason) VALUES ('torture', 'events', 0, 72, now(), 'event_sums', 'x', 'x')`, differences{Phantom: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			undone(t, conn, c.wrong)
			ctx, tr := context.Background(), readPrinted(t, false)
			got, groups, err := checkSums(ctx, conn, "event_sums", tr.sums)
			if err != nil {
				t.Fatal(err)
			}
			letters, _, err := checkLetters(ctx, conn, events, "event_sums", tr.all(isDead))
			if err != nil {
				t.Fatal(err)
			}
			got.add(letters)
			if got.Lost != c.want.Lost || got.Duplicated != c.want.Duplicated || got.Phantom != c.want.Phantom || got.Changed != c.want.Changed {
				t.Errorf("%d groups: %+v, want %+v", groups, got, c.want)
			}
			if (got.total() > 0) != (len(got.examples) > 0) {
				t.Errorf("examples: %q", got.examples)
			}
		})
	}
}

// What is written down in the database tells of its own.
func TestBooksAreRead(t *testing.T) {
	conn := loaded(t)
	for name, c := range map[string]struct{ wrong, want string }{
		"Nothing":                    {`SELECT 1`, ""},
		"MovedWithoutTheTrigger":     {`ALTER TABLE sinker.offsets DISABLE TRIGGER moved; UPDATE sinker.offsets SET next_offset = 90; ALTER TABLE sinker.offsets ENABLE TRIGGER moved`, "is at 90, its last move went to 81"},
		"ACommitNobodySaw":           {`ALTER TABLE sinker.offsets DISABLE TRIGGER moved; UPDATE sinker.offsets SET next_offset = 90; ALTER TABLE sinker.offsets ENABLE TRIGGER moved; UPDATE sinker.offsets SET next_offset = 99`, "goes from 90"},
		"WentBack":                   {`UPDATE sinker.offsets SET next_offset = 40 WHERE partition = 0`, "to 40"},
		"AnOldFenceWrites":           {`UPDATE sinker.offsets SET fence = 5; UPDATE sinker.offsets SET fence = 4`, "(fence 4)"},
		"UpsertInDisorder":           {`INSERT INTO accounts VALUES (1, 'k', 1, 1, 1, 0, 9); UPDATE accounts SET kafka_offset = 8`, "I6"},
		"Stopped":                    {`UPDATE sinker.offsets SET stopped = 'why not' WHERE partition = 1`, "why not"},
		"LedgerWithAGap":             {`UPDATE sinker.batches SET from_offset = 41 WHERE from_offset = 40`, "ledger"},
		"LedgerThatOverlaps":         {`UPDATE sinker.batches SET from_offset = 39 WHERE from_offset = 40`, "ledger"},
		"AnOperatorMayGoBack":        {`SET application_name = 'sinker offsets'; UPDATE sinker.offsets SET next_offset = 40, fence = fence + 1 WHERE partition = 0`, ""},
		"UpsertInOrderIsNotReported": {`INSERT INTO accounts VALUES (1, 'k', 1, 1, 1, 0, 9); UPDATE accounts SET kafka_offset = 10`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			undone(t, conn, c.wrong)
			problems, err := checkBooks(context.Background(), conn)
			if err != nil {
				t.Fatal(err)
			}
			if all := strings.Join(problems, "\n"); (c.want == "") != (all == "") || !strings.Contains(all, c.want) {
				t.Errorf("%q, want %q", all, c.want)
			}
		})
	}
}

// A commit that is torn is seen at the next look, whichever half came first.
func TestTornCommitsAreSeen(t *testing.T) {
	for name, c := range map[string]struct{ then, want string }{
		"WholeCommits":           {`INSERT INTO events VALUES (60, 'k1', 1, 1, 1, 0, 81); UPDATE sinker.offsets SET next_offset = 82, written = 22, consumed = 24 WHERE partition = 0`, ""},
		"RowsWithoutThePosition": {`INSERT INTO events VALUES (60, 'k1', 1, 1, 1, 0, 81)`, "there is a row of offset 81"},
		"PositionWithoutTheRows": {`UPDATE sinker.offsets SET next_offset = 85, written = 24, consumed = 26 WHERE partition = 0`, "there are 0 rows, and 3 were written"},
		"RowsTwice":              {`INSERT INTO events VALUES (60, 'k1', 1, 1, 1, 0, 81), (60, 'k1', 1, 1, 1, 0, 81); UPDATE sinker.offsets SET next_offset = 82, written = 22, consumed = 24 WHERE partition = 0`, "there are 2 rows, and 1 were written"},
		"PositionBack":           {`DELETE FROM events WHERE kafka_offset > 30; UPDATE sinker.offsets SET next_offset = 31 WHERE partition = 1`, "back to 31"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			conn := loaded(t)
			st := &stage{db: &database{}, journal: newJournal(io.Discard)}
			l := newLive(st, "here", nil)
			for _, sql := range []string{`SELECT 1`, c.then} {
				run1(t, conn, sql)
				if err := l.look(ctx, conn); err != nil {
					t.Fatal(err)
				}
			}
			if all := strings.Join(st.tally.problems, "\n"); (c.want == "") != (all == "") || !strings.Contains(all, c.want) {
				t.Errorf("%q, want %q", all, c.want)
			}
		})
	}
}

func TestLatestOfEachKey(t *testing.T) {
	tr := readPrinted(t, true)
	got := map[string]place{}
	for key, p := range tr.last {
		got[key] = p
	}
	if len(got) != 7 || got["k4"].hash != 0 || got["k4"].offset != 71 || got["end-0"].hash == 0 {
		t.Errorf("%+v", got)
	}
	rows := 0
	for range tr.latest() {
		rows++
	}
	if rows != 6 {
		t.Errorf("%d rows, want 6: k4 is deleted", rows)
	}
}

func TestTruthThatIsNotWhole(t *testing.T) {
	whole := printed()
	for name, text := range map[string]string{
		"Ended":     whole[:len(whole)/2],
		"NoMarkers": strings.ReplaceAll(whole, "end-", "fin-"),
		"NotOurs":   strings.Replace(whole, `{"id":1,`, `{"ID":1,`, 1),
		"Garbled":   "Partition:x\tOffset:1\tk\tv\n",
		"Backwards": whole[:strings.Index(whole, "\n")+1] + whole,
	} {
		if err := newTruth(t.TempDir(), "events", 2, false).read(strings.NewReader(text)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
