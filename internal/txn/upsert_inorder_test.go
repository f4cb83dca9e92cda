package txn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sinker/internal/local/localtest"

	"github.com/jackc/pgx/v5/pgconn"
)

// change is one record of an upserted topic: v empty is a tombstone.
type change struct{ id, v, w string }

// oneByOne applies changes to a table as Postgres itself does, a statement each, and returns the indexes of those it refuses.
func (db *database) oneByOne(table string, changes []change) (refused []int) {
	db.t.Helper()
	for i, c := range changes {
		sql := fmt.Sprintf(`DELETE FROM %s WHERE id = '%s'`, table, c.id)
		if c.v != "" {
			sql = fmt.Sprintf(`INSERT INTO %s (id, v, w) VALUES ('%s', '%s', '%s') ON CONFLICT (id) DO UPDATE SET v = excluded.v, w = excluded.w`, table, c.id, c.v, c.w)
		}
		_, err := db.conn.Exec(context.Background(), sql)
		var pe *pgconn.PgError
		if errors.As(err, &pe) {
			refused = append(refused, i)
		} else if err != nil {
			db.t.Fatal(err)
		}
	}
	return refused
}

func (l *loader) commitChanges(changes []change, number bool) (Result, error) {
	r := rangeOf(l.pos, make([]string, len(changes))...)
	for i, c := range changes {
		key := fmt.Sprintf("%q", c.id)
		if number {
			key = c.id
		}
		held(r)[i].Key, held(r)[i].Value = []byte(key), nil
		if c.v != "" {
			held(r)[i].Value = fmt.Appendf(nil, `{"id":%s,"v":%q,"w":%q}`, key, c.v, c.w)
		}
	}
	return l.commitRange(r)
}

// content shows a table, and keys that are written in a form of their own (1.0 as 1, -0 as 0) in that form.
const content = `SELECT coalesce(string_agg(regexp_replace(regexp_replace(id::text COLLATE "C", '\.0+$', ''), '^-0$', '0') || '=' || v || '/' || w, ' ' ORDER BY v, w), '') FROM `

// TestLogOrder: an upsert has the result of applying its records one by one, whatever else than their keys' bytes makes rows meet.
func TestLogOrder(t *testing.T) {
	digits := []string{"1", "2", "3", "4", "5"}
	tables := []struct {
		name, columns, after string
		ids                  []string
		number               bool
	}{
		{"SecondUnique", `id int PRIMARY KEY, v text UNIQUE, w text`, "", digits, true},
		{"TwoMore", `id int PRIMARY KEY, v text UNIQUE, w text UNIQUE`, "", digits, true},
		{"Together", `id int PRIMARY KEY, v text, w text, UNIQUE (v, w)`, "", digits, true},
		{"Exclusion", `id int PRIMARY KEY, v text, w text, EXCLUDE (v WITH =)`, "", digits, true},
		{"Partial", `id int PRIMARY KEY, v text, w text`, `CREATE UNIQUE INDEX ON %s (v) WHERE w <> 'b'`, digits, true},
		{"Expression", `id int PRIMARY KEY, v text, w text`, `CREATE UNIQUE INDEX ON %s (lower(v))`, digits, true},
		{"Collation", `id text COLLATE public.anycase PRIMARY KEY, v text, w text`, "", []string{"a", "A", "b", "B", "á"}, false},
		{"CollationAndUnique", `id text COLLATE public.anycase PRIMARY KEY, v text UNIQUE, w text`, "", []string{"a", "A", "b", "B", "c"}, false},
		{"LoweringTrigger", `id text PRIMARY KEY, v text, w text`, `CREATE TRIGGER l BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION public.lowers()`, []string{"a", "A", "b", "B", "c"}, false},
		{"Numeric", `id numeric PRIMARY KEY, v text, w text`, "", []string{"1", "1.0", "1.00", "2", "2.0"}, true},
		{"Float", `id float8 PRIMARY KEY, v text UNIQUE, w text`, "", []string{"0", "-0.0", "1", "2", "0.0"}, true},
		{"Char", `id char(4) PRIMARY KEY, v text, w text`, "", []string{"a", "a ", "b", "b  ", "c"}, false},
	}
	if localtest.Version(t) >= 180000 {
		tables = append(tables, tables[:2]...)
		overlaps, virtual := &tables[len(tables)-2], &tables[len(tables)-1]
		overlaps.name, overlaps.columns = "WithoutOverlaps", `id int PRIMARY KEY, v text, w text,
			span int4range GENERATED ALWAYS AS (int4range(ascii(v), ascii(v) + 2)) STORED, UNIQUE (w, span WITHOUT OVERLAPS)`
		virtual.name, virtual.columns = "Virtual", `id int PRIMARY KEY, v text UNIQUE, w text, vw text GENERATED ALWAYS AS (v || w) VIRTUAL`
	}
	for _, c := range tables {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ddl := `CREATE COLLATION public.anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
				CREATE EXTENSION btree_gist; CREATE FUNCTION public.lowers() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id = lower(NEW.id); RETURN NEW; END $$;`
			for _, table := range []string{"orders", "reference"} {
				ddl += `CREATE TABLE public.` + table + ` (` + c.columns + `);` + strings.ReplaceAll(c.after, "%s", "public."+table) + ";"
			}
			l := newLoader(t, ddl, Config{Sinks: []Sink{orders(keyed, tombstones)}})
			rng := rand.New(rand.NewPCG(11, 13))
			values, compared := []string{"a", "b", "c", "d"}, 0
			for round := range 60 {
				changes := make([]change, 1+rng.IntN(9))
				for i := range changes {
					changes[i] = change{id: c.ids[rng.IntN(len(c.ids))], v: values[rng.IntN(4)], w: values[rng.IntN(4)]}
					if rng.IntN(5) == 0 {
						changes[i].v = ""
					}
				}
				if round%2 == 0 {
					l.store.careful = 0
				}
				compared += l.sameAsOneByOne(changes, c.number)
			}
			if compared < 30 {
				t.Errorf("only %d batches of 60 were compared", compared)
			}
		})
	}
}

// sameAsOneByOne commits changes and applies them to the reference. If sinker has no dead letter where one by one has refusals, the
// last change of each key must be what is there: a record that was overwritten within its batch never met Postgres.
func (l *loader) sameAsOneByOne(changes []change, number bool) (compared int) {
	l.t.Helper()
	from := l.pos.NextOffset
	before := l.one(content + `orders`)
	refused := l.oneByOne("reference", changes)
	if _, err := l.commitChanges(changes, number); err != nil {
		l.t.Fatalf("%v onto %s: %v", changes, before, err)
	}
	want := make([]string, len(refused))
	for i, at := range refused {
		want[i] = fmt.Sprint(from + int64(at))
	}
	letters := l.one(`SELECT coalesce(string_agg(record_offset::text, ' ' ORDER BY record_offset), '') FROM sinker.dead_letters WHERE record_offset >= $1`, from)
	got, reference := l.one(content+`orders`), l.one(content+`reference`)
	switch {
	case len(refused) > 0 && letters == "":
		for i, c := range changes {
			last := true
			for _, d := range changes[i+1:] {
				last = last && d.id != c.id
			}
			is := l.one(`SELECT count(*) FROM orders WHERE id::text = $1::text AND v = $2 AND w = $3`, c.id, c.v, c.w) == "1"
			if last && c.v != "" && !is && number && !strings.Contains(c.id, ".") {
				l.t.Errorf("%v onto %s: no dead letter, and %v is not there: %s", changes, before, c, got)
			}
		}
		l.exec(`TRUNCATE reference; INSERT INTO reference (id, v, w) SELECT id, v, w FROM orders`)
	case letters != strings.Join(want, " ") || got != reference:
		l.t.Errorf("%v onto %s: dead letters %q, one by one %q; %s, one by one %s", changes, before, letters, want, got, reference)
		l.exec(`TRUNCATE reference; INSERT INTO reference (id, v, w) SELECT id, v, w FROM orders`)
	default:
		compared = 1
	}
	return compared
}

// TestSwaps: what the issue of a second unique constraint looks like in the field.
func TestSwaps(t *testing.T) {
	swap := []change{{"9", "tmp", ""}, {"2", "a", ""}, {"9", "b", ""}}
	for name, c := range map[string]struct {
		ddl     string
		changes []change
		want    string
	}{
		"MakesRoom":  {`v text UNIQUE`, []change{{"9", "old", ""}, {"2", "a", ""}}, "2=a/ 9=old/"},
		"Swap":       {`v text UNIQUE`, swap, "2=a/ 9=b/"},
		"Deferrable": {`v text UNIQUE DEFERRABLE INITIALLY DEFERRED`, swap, "2=a/ 9=b/"},
		"Immediate":  {`v text UNIQUE DEFERRABLE INITIALLY IMMEDIATE`, swap, "2=a/ 9=b/"},
		"Direct":     {`v text UNIQUE DEFERRABLE INITIALLY DEFERRED`, []change{{"9", "b", ""}, {"2", "a", ""}}, "2=a/ 9=b/"},
		"Exclusion":  {`v text, EXCLUDE (v WITH =)`, swap, "2=a/ 9=b/"},
	} {
		for _, careful := range []int{0, carefulBatches} {
			t.Run(fmt.Sprint(name, careful > 0), func(t *testing.T) {
				t.Parallel()
				l := newLoader(t, `CREATE TABLE orders (id int PRIMARY KEY, w text, `+c.ddl+`); INSERT INTO orders (id, v, w) VALUES (9, 'a', ''), (2, 'b', '')`,
					Config{Sinks: []Sink{orders(keyed, tombstones)}})
				l.store.careful = careful
				if res, err := l.commitChanges(c.changes, true); err != nil || res.Dead != 0 {
					t.Errorf("%+v %v", res, err)
				}
				l.want(content+`orders`, c.want)
			})
		}
	}
}
