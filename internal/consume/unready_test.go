package consume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sinker/internal/format"
	"sinker/internal/local/await"
	"sinker/internal/record"
	"sinker/internal/transform"
	"sinker/internal/txn"
	"sinker/internal/value"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// schemas is a registry that can be down. It has every schema but those that begin with none.
type schemas struct {
	mu      sync.Mutex
	down    map[string]bool
	hangs   bool
	fetched map[string]int // by schema: how often it was asked for
}

func (s *schemas) set(f func(s *schemas)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *schemas) asked(schema string) (n int) {
	s.set(func(s *schemas) { n = s.fetched[schema] })
	return n
}

const startIt = "start the registry"

// tagged is a format whose records are the name of a schema, a space, and JSON: a record cannot be read before its schema
// was fetched.
type tagged struct {
	format.Format
	world *schemas
	known map[string]bool // false: there is no such schema
}

func (t *tagged) Lacks(b []byte) bool {
	name, _, _ := bytes.Cut(b, []byte(" "))
	_, known := t.known[string(name)]
	return !known
}

func (t *tagged) Fetch(ctx context.Context, b []byte) error {
	name, _, _ := strings.Cut(string(b), " ")
	var down, hangs bool
	t.world.set(func(s *schemas) {
		s.fetched[name]++
		down, hangs = s.down[name], s.hangs
	})
	if down && hangs {
		<-ctx.Done()
		return &format.Away{What: "schema " + name, Command: startIt, Err: ctx.Err()}
	}
	if down {
		return &format.Away{What: "schema " + name, Command: startIt, Err: errors.New("connection refused")}
	}
	t.known[name] = !strings.HasPrefix(name, "none")
	return nil
}

func (t *tagged) Decoder(want *format.Document, into []value.Value) format.Decoder {
	return &taggedDecoder{t, t.Format.Decoder(want, into)}
}

func (t *tagged) Fields() format.Fields { return &taggedFields{t, t.Format.Fields()} }

type taggedDecoder struct {
	t    *tagged
	json format.Decoder
}

func (d *taggedDecoder) Decode(b []byte) (*record.BadRecord, error) {
	text, bad, err := d.t.text(b)
	if bad != nil || err != nil {
		return bad, err
	}
	return d.json.Decode(text)
}

type taggedFields struct {
	t *tagged
	format.Fields
}

func (f *taggedFields) Read(b []byte) (value.Kind, *record.BadRecord, error) {
	text, bad, err := f.t.text(b)
	if bad != nil || err != nil {
		return value.Missing, bad, err
	}
	return f.Fields.Read(text)
}

func (t *tagged) text(b []byte) ([]byte, *record.BadRecord, error) {
	name, text, _ := bytes.Cut(b, []byte(" "))
	exists, known := t.known[string(name)]
	switch {
	case !known:
		return nil, nil, &format.Away{What: "schema " + string(name), Command: startIt}
	case !exists:
		return nil, record.Bad("no_schema", "the registry has no such schema"), nil
	}
	return text, nil, nil
}

// taggedBench is a bench with real stores, whose records have that format.
type taggedBench struct {
	*bench
	conn  *pgx.Conn
	world *schemas
	next  int
}

func newTagged(t *testing.T, rule transform.Rule) *taggedBench {
	b := &taggedBench{bench: newBench(t, "orders", 3), world: &schemas{down: map[string]bool{}, fetched: map[string]int{}}}
	rule.Format = "tagged by " + t.Name()
	format.Register(rule.Format, func(o format.Options) (format.Format, error) {
		return &tagged{format.JSON(o.MaxDepth), b.world, map[string]bool{}}, nil
	})
	url, ctx := migrated(t), context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	if _, err := conn.Exec(ctx, `CREATE TABLE orders (id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 1)`); err != nil {
		t.Fatal(err)
	}
	b.conn = conn
	b.open = func() Store {
		s := txn.New(txn.Config{URL: url, Pipeline: "p", Owner: b.owner(), Sinks: []txn.Sink{{Topics: []string{"orders"}, Schema: "public", Table: "orders", Rule: rule}}})
		t.Cleanup(s.Close)
		return postgres{s}
	}
	return b
}

// add produces n records of a schema into a partition.
func (b *taggedBench) add(partition int32, schema string, n int) {
	b.t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: "orders", Partition: partition, Value: fmt.Appendf(nil, `%s {"id":%d}`, schema, b.next)}
		b.next++
	}
	if err := b.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *taggedBench) one(sql string) (v string) {
	b.t.Helper()
	if err := b.conn.QueryRow(context.Background(), sql).Scan(&v); err != nil {
		b.t.Fatal(err)
	}
	return v
}

// stands waits for the positions of the three partitions.
func (b *taggedBench) stands(want string) {
	b.t.Helper()
	await.Within(b.t, time.Minute, "the positions "+want, func() bool {
		return b.one(`SELECT coalesce(string_agg(next_offset::text, ' ' ORDER BY partition), '') FROM sinker.offsets`) == want
	})
}

// loaded holds the table against what was produced: each record once, and this number of dead letters.
func (b *taggedBench) loaded(letters int) {
	b.t.Helper()
	want := fmt.Sprintf("%d rows, %d letters, %d passed", b.next-letters, letters, b.next)
	got := b.one(`SELECT (SELECT count(*) FROM orders) || ' rows, ' || (SELECT count(*)::text FROM sinker.dead_letters) || ' letters, ' || sum(next_offset) || ' passed' FROM sinker.offsets`)
	if got != want {
		b.t.Errorf("%s, want %s", got, want)
	}
}

// TestSchemaSourceDown: what is wrong with the world is no dead letter. The partition waits at the very record, and says so;
// the others go on; once the source is back everything is loaded, each record once.
func TestSchemaSourceDown(t *testing.T) {
	for name, rule := range map[string]transform.Rule{
		"Append":    {},
		"Upsert":    {Key: []string{"id"}},
		"Aggregate": {Key: []string{"id"}, Columns: []transform.Column{{Name: "id"}, {Name: "n", Path: transform.CountPath}}, Folds: []transform.Fold{transform.Group, transform.Add}},
	} {
		for _, hangs := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/hangs=%v", name, hangs), func(t *testing.T) {
				t.Parallel()
				b := newTagged(t, rule)
				b.world.set(func(s *schemas) { s.down["s2"], s.hangs = true, hangs })
				b.add(0, "s1", 20)
				b.add(0, "s2", 20)
				b.add(1, "s1", 20)
				b.add(2, "s2", 10)
				cfg := b.config("orders")
				cfg.parkFor = 300 * time.Millisecond
				svc, _ := b.run(cfg, 1, nil)
				b.stands("20 20 0")
				b.waits(svc, 0, 20)
				b.waits(svc, 2, 0)
				for range 3 { // the others go on, again and again
					tries := b.world.asked("s2")
					b.add(1, "s1", 20)
					await.Within(t, time.Minute, "the source to be asked again", func() bool { return b.world.asked("s2") > tries })
				}
				b.stands("20 80 0")
				if n := b.one(`SELECT count(*)::text FROM sinker.dead_letters`); n != "0" {
					t.Errorf("%s dead letters", n)
				}
				b.world.set(func(s *schemas) { delete(s.down, "s2") })
				b.stands("40 80 10")
				b.loaded(0)
				await.Until(t, "no partition to wait", func() bool {
					return b.one(`SELECT count(*)::text FROM sinker.offsets WHERE stopped IS NOT NULL`) == "0"
				})
			})
		}
	}
}

// waits waits until a partition says that it waits, what for, and what helps, in /status and in its offset row.
func (b *taggedBench) waits(svc *Service, partition int32, offset int64) {
	b.t.Helper()
	var last PartitionState
	await.Within(b.t, time.Minute, fmt.Sprintf("partition %d to say that it waits", partition), func() bool {
		for _, w := range svc.States() {
			for _, p := range w.Partitions {
				if p.Partition == partition {
					last = p
				}
			}
		}
		row := b.one(fmt.Sprintf(`SELECT coalesce(stopped, '') FROM sinker.offsets WHERE partition = %d`, partition))
		return last.State == record.Waiting && strings.Contains(last.Reason, "schema s2") && strings.Contains(last.Reason, fmt.Sprintf("offset %d", offset)) && last.Command == startIt &&
			strings.Contains(row, "schema s2")
	})
}

// TestNewSchemaWhileWriting: a schema that is met in the middle of a large transaction, which cannot be fetched there, costs that
// transaction and nothing else, whether its source is down or not. A schema that does not exist is the record's fault.
func TestNewSchemaWhileWriting(t *testing.T) {
	for _, down := range []bool{false, true} {
		t.Run(fmt.Sprintf("down=%v", down), func(t *testing.T) {
			t.Parallel()
			b := newTagged(t, transform.Rule{})
			b.world.set(func(s *schemas) { s.down["s2"] = down })
			for _, schema := range []string{"s1", "s1", "s2", "none", "s1"} {
				b.add(0, schema, 10_000)
			}
			cfg := b.config("orders")
			cfg.parkFor = 300 * time.Millisecond
			b.run(cfg, 1, nil)
			if down {
				b.stands("20000 0 0")
				if n := b.one(`SELECT count(*)::text FROM sinker.dead_letters`); n != "0" {
					t.Errorf("%s dead letters", n)
				}
				b.world.set(func(s *schemas) { delete(s.down, "s2") })
			}
			b.stands("50000 0 0")
			b.loaded(10_000)
		})
	}
}
