package txn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sinker/internal/record"
	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
)

// arrays is an envelope of records that are arrays: each element is a change. {"delete": key} deletes a row, and a field
// "table" says for which table a change is. null says nothing.
type arrays struct{}

func (arrays) Changes(dst []transform.Change, r *record.Record) ([]transform.Change, *transform.BadRecord) {
	var elements []json.RawMessage
	if err := json.Unmarshal(r.Value, &elements); err != nil {
		return dst, &transform.BadRecord{Code: transform.CodeNotJSON, Reason: "the value is not an array"}
	}
	for _, e := range elements {
		var about struct {
			Table  string
			Delete json.RawMessage
		}
		if err := json.Unmarshal(e, &about); err != nil {
			return dst, &transform.BadRecord{Code: transform.CodeNotJSON, Reason: "an element is no object"}
		}
		c := transform.Change{Table: about.Table, Value: e}
		if about.Delete != nil {
			c.Value, c.Key = nil, about.Delete
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// badKinds are ways in which one row is refused. $t is the table, which has columns id and n, and rows 0 to 999 of
// parents are there.
var badKinds = []struct{ name, ddl, id string }{
	{"Encoding", ``, `1000.5`},
	{"Check", `ALTER TABLE $t ADD CHECK (id < 1000)`, `1001`},
	{"Domain", `CREATE DOMAIN $t_small AS bigint CHECK (VALUE < 1000); ALTER TABLE $t ALTER id TYPE $t_small`, `1001`},
	{"NotNull", `ALTER TABLE $t ADD note text NOT NULL DEFAULT ''; CREATE FUNCTION $t_f() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN IF NEW.id >= 1000 THEN NEW.note = NULL; END IF; RETURN NEW; END'; CREATE TRIGGER f BEFORE INSERT OR UPDATE ON $t FOR EACH ROW EXECUTE FUNCTION $t_f()`, `1001`},
	{"Unique", `INSERT INTO $t (id, n) VALUES (1000, 0); CREATE UNIQUE INDEX ON $t ((1)) WHERE id >= 1000`, `1001`},
	{"Exclusion", `INSERT INTO $t (id, n) VALUES (1000, 0); ALTER TABLE $t ADD EXCLUDE USING btree ((1) WITH =) WHERE (id >= 1000)`, `1001`},
	{"DeferredExclusion", `INSERT INTO $t (id, n) VALUES (1000, 0);
		ALTER TABLE $t ADD EXCLUDE USING btree ((1) WITH =) WHERE (id >= 1000) DEFERRABLE INITIALLY DEFERRED`, `1001`},
	{"ForeignKey", `ALTER TABLE $t ADD FOREIGN KEY (id) REFERENCES parents`, `1001`},
	{"DeferredForeignKey", `ALTER TABLE $t ADD FOREIGN KEY (id) REFERENCES parents DEFERRABLE INITIALLY DEFERRED`, `1001`},
	{"Trigger", `CREATE FUNCTION $t_f() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN IF NEW.id >= 1000 THEN RAISE ''no''; END IF; RETURN NEW; END'; CREATE TRIGGER f BEFORE INSERT OR UPDATE ON $t FOR EACH ROW EXECUTE FUNCTION $t_f()`, `1001`},
	{"DeferredTrigger", `CREATE FUNCTION $t_f() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN IF NEW.id >= 1000 THEN RAISE ''no''; END IF; RETURN NEW; END'; CREATE CONSTRAINT TRIGGER f AFTER INSERT OR UPDATE ON $t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION $t_f()`, `1001`},
	{"Partition", ``, `1001`}, // there is none for the row: see effectTable
}

// effectModes are the modes, with the statement by which Postgres itself does what one effect is to do.
var effectModes = []struct {
	name, key, write string
	change           func(*Sink)
}{
	{"append", ``, `INSERT INTO %s (id, n) VALUES ($1::text::bigint, $2)`, func(*Sink) {}},
	{"upsert", `, PRIMARY KEY (id)`, `INSERT INTO %s (id, n) VALUES ($1::text::bigint, $2) ON CONFLICT (id) DO UPDATE SET n = excluded.n`, func(s *Sink) {
		s.Rule.Key, s.Rule.Tombstones = []string{"id"}, true
	}},
	{"aggregate", `, PRIMARY KEY (id)`, `INSERT INTO %s AS t (id, n) VALUES ($1::text::bigint, $2) ON CONFLICT (id) DO UPDATE SET n = t.n + excluded.n`, func(s *Sink) {
		s.Rule.Columns = []transform.Column{{Name: "id"}, {Name: "n"}}
		s.Rule.Key, s.Rule.Folds = []string{"id"}, []transform.Fold{transform.Group, transform.Add}
	}},
}

// effectTable makes a table that refuses what the kind says.
func (db *database) effectTable(table, key, kind, ddl string) {
	db.t.Helper()
	partitioned := ""
	if kind == "Partition" {
		partitioned = `PARTITION BY RANGE (id)`
		ddl = `CREATE TABLE $t_p PARTITION OF $t FOR VALUES FROM (0) TO (1000)`
	}
	db.exec(fmt.Sprintf(`CREATE TABLE %s (id bigint, n bigint%s) %s`, table, key, partitioned))
	if ddl != "" {
		db.exec(strings.ReplaceAll(ddl, "$t", table))
	}
}

// oneChange is one change of a test's record.
type oneChange struct {
	id      string
	n       int
	deletes bool
	table   string
}

// recordsOfChanges makes records of up to five changes each, of which about one in five has a bad one: at its first, second …
// place in turn. Good changes share few ids, so that records meet.
func recordsOfChanges(rng *rand.Rand, n int, bad string, deletes bool, tables ...string) (all [][]oneChange) {
	turn := 0
	for i := range n {
		var changes []oneChange
		for j := range rng.IntN(6) {
			c := oneChange{id: fmt.Sprint(rng.IntN(12)), n: 1000*i + j}
			c.deletes = deletes && rng.IntN(5) == 0
			if len(tables) > 0 {
				c.table = tables[rng.IntN(len(tables))]
			}
			changes = append(changes, c)
		}
		if len(changes) > 0 && rng.IntN(5) == 0 {
			at := turn % len(changes)
			turn++
			changes[at].id, changes[at].deletes = bad, false
		}
		all = append(all, changes)
	}
	return all
}

func valueOf(changes []oneChange) string {
	elements := make([]string, len(changes))
	for i, c := range changes {
		table := ""
		if c.table != "" {
			table = fmt.Sprintf(`"table":%q,`, c.table)
		}
		elements[i] = fmt.Sprintf(`{%s"id":%s,"n":%d}`, table, c.id, c.n)
		if c.deletes {
			elements[i] = fmt.Sprintf(`{%s"delete":{"id":%s}}`, table, c.id)
		}
	}
	return "[" + strings.Join(elements, ",") + "]"
}

// byPostgres has Postgres itself do what the records say: each in a transaction of its own, that commits or does not. It
// returns the offsets of those that do not.
func (db *database) byPostgres(write string, table func(oneChange) string, records [][]oneChange) (dead []string) {
	db.t.Helper()
	ctx := context.Background()
	for offset, changes := range records {
		err := pgx.BeginFunc(ctx, db.conn, func(tx pgx.Tx) error {
			for _, c := range changes {
				sql, args := fmt.Sprintf(write, table(c)), []any{c.id, c.n}
				if c.deletes {
					sql, args = fmt.Sprintf(`DELETE FROM %s WHERE id = $1::text::bigint`, table(c)), args[:1]
				}
				if _, err := tx.Exec(ctx, sql, args...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			dead = append(dead, fmt.Sprint(offset))
		}
	}
	return dead
}

// sameRows compares two tables, row for row.
func (db *database) sameRows(got, want string) {
	db.t.Helper()
	const rows = `SELECT coalesce(string_agg(id || ':' || n, ' ' ORDER BY id, n), '') FROM %s`
	if g, w := db.one(fmt.Sprintf(rows, got)), db.one(fmt.Sprintf(rows, want)); g != w {
		db.t.Errorf("%s has\n\t%s\nwant\n\t%s", got, g, w)
	}
}

// commitParts commits the values in batches of random sizes.
func (l *loader) commitParts(rng *rand.Rand, values []string) {
	l.t.Helper()
	for len(values) > 0 {
		n := 1 + rng.IntN(len(values))
		l.mustCommit(values[:n]...)
		values = values[n:]
	}
}

// deadOffsets are the dead letters' offsets, in order; a record with two letters is there twice.
func (l *loader) deadOffsets() string {
	return l.one(`SELECT coalesce(string_agg(record_offset::text, ' ' ORDER BY record_offset), '') FROM sinker.dead_letters`)
}

// TestEffects: all effects of a record are written or none is, and a record of which one is refused is one dead letter,
// whatever refuses it, wherever among the effects it is, and however records are cut into batches. What must come out of it
// Postgres says.
func TestEffects(t *testing.T) {
	for _, mode := range effectModes {
		for _, kind := range badKinds {
			t.Run(mode.name+kind.name, func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(1) {
					rng := rand.New(rand.NewPCG(seed, 12))
					records := recordsOfChanges(rng, 80, kind.id, mode.name == "upsert")
					l := newLoader(t, `CREATE TABLE parents (id bigint PRIMARY KEY); INSERT INTO parents SELECT generate_series(0, 999)`,
						Config{Sinks: []Sink{orders(mode.change, func(s *Sink) { s.Rule.Envelope = arrays{} })}})
					l.effectTable("orders", mode.key, kind.name, kind.ddl)
					l.effectTable("wanted", mode.key, kind.name, kind.ddl)
					dead := l.byPostgres(mode.write, func(oneChange) string { return "wanted" }, records)
					if len(dead) < 5 || len(dead) > 40 {
						t.Fatalf("%d of 80 records are bad", len(dead))
					}
					values := make([]string, len(records))
					for i := range records {
						values[i] = valueOf(records[i])
					}
					l.commitParts(rng, values)
					l.sameRows("orders", "wanted")
					if got, want := l.deadOffsets(), strings.Join(dead, " "); got != want {
						t.Errorf("seed %d: dead letters of %s, want %s", seed, got, want)
					}
					none := slices.DeleteFunc(slices.Clone(records), func(c []oneChange) bool { return len(c) > 0 })
					l.want(`SELECT consumed || ' ' || filtered || ' ' || dead FROM sinker.offsets`, fmt.Sprintf("80 %d %d", len(none), len(dead)))
					l.ledgerTiles()
				}
			})
		}
	}
}

// TestStreamedEffects: the same through a batch that goes on while it is written. What Postgres refuses there it refuses
// after the records are gone, and they are read again.
func TestStreamedEffects(t *testing.T) {
	ctx := context.Background()
	for _, kind := range badKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			mode := effectModes[0]
			rng := rand.New(rand.NewPCG(1, 2))
			records := recordsOfChanges(rng, 90, kind.id, false)
			l := newLoader(t, `CREATE TABLE parents (id bigint PRIMARY KEY); INSERT INTO parents SELECT generate_series(0, 999)`,
				Config{Sinks: []Sink{orders(func(s *Sink) { s.Rule.Envelope = arrays{} })}})
			l.effectTable("orders", mode.key, kind.name, kind.ddl)
			l.effectTable("wanted", mode.key, kind.name, kind.ddl)
			dead := l.byPostgres(mode.write, func(oneChange) string { return "wanted" }, records)
			streamed := false
			for tries := 0; l.pos.NextOffset < int64(len(records)); tries++ {
				if tries > 2*len(records) {
					t.Fatal("it does not come to the end")
				}
				var pieces [][]string
				for at := int(l.pos.NextOffset); at < len(records) && len(pieces) < 4; {
					var piece []string
					for ; at < len(records) && len(piece) < 7; at++ {
						piece = append(piece, valueOf(records[at]))
					}
					pieces = append(pieces, piece)
				}
				g := goingOn(l.pos, pieces[0], pieces[1:]...)
				_, err := commitBatch(ctx, l.store, g.Batch, g.more)
				streamed = streamed || g.Batch[0].Streamed > 0
				switch {
				case err == nil:
					l.pos.NextOffset = g.Batch[0].To
				case !isClass(err, Data) && !errors.Is(err, ErrSpent):
					t.Fatal(err)
				}
			}
			if !streamed {
				t.Error("no batch went on")
			}
			l.sameRows("orders", "wanted")
			if got, want := l.deadOffsets(), strings.Join(dead, " "); got != want {
				t.Errorf("dead letters of %s, want %s", got, want)
			}
			l.ledgerTiles()
		})
	}
}

// TestEffectsOfTwoSinks: sinks of one topic are judged each by itself, as ever: a record that one refuses is in the other.
func TestEffectsOfTwoSinks(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	records := recordsOfChanges(rng, 60, `1001`, false)
	enveloped := func(s *Sink) { s.Rule.Envelope = arrays{} }
	strict := orders(enveloped, func(s *Sink) { s.Table = "strict" })
	l := newLoader(t, `CREATE TABLE orders (id bigint, n bigint); CREATE TABLE wanted (id bigint, n bigint);
		CREATE TABLE strict (id bigint CHECK (id < 1000), n bigint); CREATE TABLE wanted_strict (id bigint CHECK (id < 1000), n bigint)`,
		Config{Sinks: []Sink{orders(enveloped), strict}})
	l.byPostgres(effectModes[0].write, func(oneChange) string { return "wanted" }, records)
	dead := l.byPostgres(effectModes[0].write, func(oneChange) string { return "wanted_strict" }, records)
	values := make([]string, len(records))
	for i := range records {
		values[i] = valueOf(records[i])
	}
	l.commitParts(rng, values)
	l.sameRows("orders", "wanted")
	l.sameRows("strict", "wanted_strict")
	if got, want := l.deadOffsets(), strings.Join(dead, " "); got != want {
		t.Errorf("dead letters of %s, want %s", got, want)
	}
	l.ledgerTiles()
}

// TestRoutedEffects: changes that name a table go there, and a record has its effects in all tables or in none. The second
// table refuses what the kind says, the first nothing.
func TestRoutedEffects(t *testing.T) {
	for _, mode := range effectModes {
		for _, kind := range badKinds {
			t.Run(mode.name+kind.name, func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(5, 6))
				records := recordsOfChanges(rng, 100, kind.id, mode.name == "upsert", "", "the second")
				l := newLoader(t, `CREATE TABLE parents (id bigint PRIMARY KEY); INSERT INTO parents SELECT generate_series(0, 999)`,
					Config{Sinks: []Sink{orders(mode.change, func(s *Sink) {
						s.Rule.Envelope = arrays{}
						s.Tables = []NamedTable{{Name: "the second", Schema: "public", Table: "second"}}
					})}})
				for _, of := range []string{"", "wanted_"} {
					l.effectTable(of+"orders", mode.key, "", "")
					l.effectTable(of+"second", mode.key, kind.name, kind.ddl)
				}
				dead := l.byPostgres(mode.write, func(c oneChange) string {
					return map[string]string{"": "wanted_orders", "the second": "wanted_second"}[c.table]
				}, records)
				if len(dead) < 3 || len(dead) > 40 {
					t.Fatalf("%d of 100 records are bad", len(dead))
				}
				values := make([]string, len(records))
				for i := range records {
					values[i] = valueOf(records[i])
				}
				l.commitParts(rng, values)
				l.sameRows("orders", "wanted_orders")
				l.sameRows("second", "wanted_second")
				if got, want := l.deadOffsets(), strings.Join(dead, " "); got != want {
					t.Errorf("dead letters of %s, want %s", got, want)
				}
				l.ledgerTiles()
			})
		}
	}
}

// TestChangeForNoTable: a change for a table that the sink does not have makes its record a dead letter, and none of the
// record's other changes is there.
func TestChangeForNoTable(t *testing.T) {
	for _, several := range []bool{false, true} {
		l := newLoader(t, `CREATE TABLE orders (id bigint, n bigint); CREATE TABLE second (id bigint, n bigint)`,
			Config{Sinks: []Sink{orders(func(s *Sink) {
				s.Rule.Envelope = arrays{}
				if several {
					s.Tables = []NamedTable{{Name: "second", Schema: "public", Table: "second"}}
				}
			})}})
		l.mustCommit(`[{"id":1}]`, `[{"id":2},{"id":3,"table":"nowhere"},{"id":4}]`, `[{"id":5}]`)
		l.want(`SELECT string_agg(id::text, ' ' ORDER BY id) FROM orders`, "1 5")
		if got, want := l.letters(), "1 - no_table"; got != want {
			t.Errorf("letters %q, want %q", got, want)
		}
		l.ledgerTiles()
	}
}

// TestLettersNameTheTable: a letter says which of the sink's tables did not take the record.
func TestLettersNameTheTable(t *testing.T) {
	l := newLoader(t, `CREATE TABLE orders (id bigint, n bigint); CREATE TABLE second (id bigint CHECK (id < 1000), n bigint)`,
		Config{Sinks: []Sink{orders(func(s *Sink) {
			s.Rule.Envelope = arrays{}
			s.Tables = []NamedTable{{Name: "2", Schema: "public", Table: "second"}}
		})}})
	l.mustCommit(`[{"id":1},{"id":1000,"table":"2"}]`, `[{"id":2},{"id":3.5,"table":"2"}]`, `[{"id":4.5},{"id":3,"table":"2"}]`, `[{"id":5},{"id":6,"table":"2"}]`)
	l.want(`SELECT string_agg(record_offset || table_name, ' ' ORDER BY record_offset) FROM sinker.dead_letters`,
		`0"public"."second" 1"public"."second" 2"public"."orders"`)
	l.want(`SELECT (SELECT string_agg(id::text, ' ') FROM orders) || ', ' || (SELECT string_agg(id::text, ' ') FROM second)`, "5, 6")
}
