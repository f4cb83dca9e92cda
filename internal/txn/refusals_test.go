package txn

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sinker/internal/local/localtest"
)

// sqlstates is every code of Postgres' errcodes.txt, and a few that nobody has listed.
//
//go:embed testdata/sqlstates.txt
var sqlstates string

const raises = `CREATE TABLE orders (id bigint PRIMARY KEY, note text, n int);
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN IF NEW.note <> 'good' THEN RAISE EXCEPTION 'not %', NEW.id USING ERRCODE = NEW.note; END IF; RETURN NEW; END $$;
	CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION refuse();`

// some returns 20 records of which one has another note.
func some(first, bad int, note string) []string {
	out := make([]string, 20)
	for i := range out {
		out[i] = fmt.Sprintf(`{"id":%d,"note":"good"}`, first+i)
	}
	out[bad] = fmt.Sprintf(`{"id":%d,"note":%q}`, first+bad, note)
	return out
}

// TestRaisedSQLSTATEs: whatever code a trigger raises for one row, that record is a dead letter and the others are rows.
func TestRaisedSQLSTATEs(t *testing.T) {
	for name, change := range map[string]func(*Sink){"Append": func(*Sink) {}, "Upsert": keyed, "Aggregate": summed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ddl := raises
			if name == "Aggregate" {
				ddl += `ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (id, note)`
			}
			raisedCodes(t, ddl, change)
		})
	}
}

func raisedCodes(t *testing.T, ddl string, change func(*Sink)) {
	l := newLoader(t, ddl, Config{Sinks: []Sink{orders(change)}})
	stops := newLoader(t, ddl, Config{StopOnBad: true, Sinks: []Sink{orders(change)}})
	for i, code := range strings.Fields(sqlstates) {
		at := i % 20
		l.store.careful = 0
		from := l.pos.NextOffset
		res, err := l.commit(some(20*i, at, code)...)
		if err != nil {
			t.Fatalf("%s: %v", code, err)
		}
		if res.Dead != 1 || res.Written != 19 {
			t.Errorf("%s: %+v", code, res)
		}
		letter := l.one(`SELECT string_agg(record_offset || ' ' || reason, ', ') FROM sinker.dead_letters WHERE record_offset >= $1`, from)
		if want := fmt.Sprintf("%d not %d", from+int64(at), 20*i+at); letter != want {
			t.Errorf("%s: dead letters %q, want %q", code, letter, want)
		}
		stops.store.careful = 0
		var stop *StopError
		if _, err = stops.commit(some(20*i, at, code)...); !errors.As(err, &stop) || stop.Offset != int64(at) || stop.Wait {
			t.Errorf("%s with do: stop: %v", code, err)
		}
	}
	n := len(strings.Fields(sqlstates))
	l.want(`SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || min(note) || max(note) FROM orders`, fmt.Sprintf("%d %d goodgood", 19*n, 19*n))
	l.want(`SELECT next_offset || ' ' || written || ' ' || dead FROM sinker.offsets`, fmt.Sprintf("%d %d %d", 20*n, 19*n, n))
	l.ledgerTiles()
	stops.want(`SELECT count(*) || ' ' || (SELECT next_offset FROM sinker.offsets) FROM orders`, "0 0")
}

// fewCodes is one code of each kind that means something to sinker.
var fewCodes = []string{"57014", "57P01", "40001", "40P01", "53100", "55P03", "25006", "25P02", "08006", "XX000", "42501", "28000", "42P01", "42703",
	"0A000", "21000", "3F000", "58030", "55000", "2201B", "23505", "U0001", "45000", "P0001"}

// TestRefusingPlaces: a refusal is found wherever Postgres can refuse one row.
func TestRefusingPlaces(t *testing.T) {
	const check = `CREATE FUNCTION public.fine(note text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
		BEGIN IF note <> 'good' THEN RAISE EXCEPTION 'not so' USING ERRCODE = note; END IF; RETURN true; END $$; `
	const trigger = `CREATE TABLE orders (id bigint PRIMARY KEY, note text);
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.fine(NEW.note); RETURN NEW; END $$; `
	places := map[string]string{
		"Before":     trigger + `CREATE TRIGGER t BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION refuse()`,
		"After":      trigger + `CREATE TRIGGER t AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION refuse()`,
		"Constraint": trigger + `CREATE CONSTRAINT TRIGGER t AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION refuse()`,
		"Deferred":   trigger + `CREATE CONSTRAINT TRIGGER t AFTER INSERT OR UPDATE ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`,
		"Statement": trigger + `CREATE FUNCTION all_of() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.fine(note) FROM new_rows; RETURN NULL; END $$;
			CREATE TRIGGER t AFTER INSERT ON orders REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION all_of()`,
		"Check":     `CREATE TABLE orders (id bigint PRIMARY KEY, note text CHECK (public.fine(note)))`,
		"Domain":    `CREATE DOMAIN noted AS text CHECK (public.fine(VALUE)); CREATE TABLE orders (id bigint PRIMARY KEY, note noted)`,
		"Generated": `CREATE TABLE orders (id bigint PRIMARY KEY, note text, g boolean GENERATED ALWAYS AS (public.fine(note)) STORED)`,
		"Index":     `CREATE TABLE orders (id bigint PRIMARY KEY, note text); CREATE INDEX ON orders (public.fine(note))`,
		"Partitioned": `CREATE TABLE orders (id bigint PRIMARY KEY, note text) PARTITION BY RANGE (id);
			CREATE TABLE part1 PARTITION OF orders FOR VALUES FROM (0) TO (5); CREATE TABLE part2 PARTITION OF orders DEFAULT;
			ALTER TABLE part2 ADD CHECK (public.fine(note)); ALTER TABLE part1 ADD CHECK (public.fine(note))`,
		"InsteadOf": `CREATE TABLE base (id bigint PRIMARY KEY, note text CHECK (public.fine(note))); CREATE VIEW orders AS SELECT * FROM base;
			CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.base VALUES (NEW.id, NEW.note); RETURN NEW; END $$;
			CREATE TRIGGER t INSTEAD OF INSERT ON orders FOR EACH ROW EXECUTE FUNCTION instead()`,
		"SQLFunction": `CREATE FUNCTION fine2(note text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT public.fine($1) AND public.fine($1)';
			CREATE TABLE orders (id bigint PRIMARY KEY, note text CHECK (public.fine2(note)))`,
	}
	for name, ddl := range places {
		for mode, change := range map[string]func(*Sink){"Append": func(*Sink) {}, "Upsert": keyed} {
			if name == "InsteadOf" && mode == "Upsert" {
				continue // a view has no unique index
			}
			t.Run(name+mode, func(t *testing.T) {
				t.Parallel()
				l := newLoader(t, check+ddl, Config{Sinks: []Sink{orders(change)}})
				for i, code := range fewCodes {
					l.store.careful = 0
					res, err := l.commit(some(20*i, i%20, code)...)
					if err != nil {
						t.Fatalf("%s: %v", code, err)
					}
					if res.Dead != 1 || res.Written != 19 {
						t.Errorf("%s: %+v", code, res)
					}
				}
				l.want(`SELECT count(*) || ' ' || count(*) FILTER (WHERE note <> 'good') FROM orders`, fmt.Sprint(19*len(fewCodes), " 0"))
			})
		}
	}
}

// TestRefusedAlone: a batch of one record tells the record's fault from the table's.
func TestRefusedAlone(t *testing.T) {
	l := newLoader(t, raises, Config{Sinks: []Sink{orders()}})
	for i, code := range fewCodes {
		l.store.careful = 0
		if res, err := l.commit(fmt.Sprintf(`{"id":%d,"note":%q}`, i, code)); err != nil || res.Dead != 1 {
			t.Errorf("%s: %+v %v", code, res, err)
		}
	}
}

// TestSinkAtFault: what fails for every record alike is the table's fault: no record is a dead letter, and the error says so.
func TestSinkAtFault(t *testing.T) {
	const table = `CREATE TABLE orders (id bigint PRIMARY KEY, note text); CREATE TABLE audit (id bigint);
		CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s; RETURN NEW; END $$;
		CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION f();`
	for name, body := range map[string]string{
		"NoTable":     `INSERT INTO public.nothing VALUES (1)`,
		"NoFunction":  `PERFORM public.nothing(1)`,
		"NoColumn":    `INSERT INTO public.audit (other) VALUES (1)`,
		"NoSchema":    `PERFORM nowhere.nothing(1)`,
		"NoType":      `EXECUTE 'SELECT NULL::public.nothing'`,
		"Syntax":      `EXECUTE 'SELEKT'`,
		"NoField":     `NEW.nothing := 1`,
		"NoPrivilege": `INSERT INTO public.secret VALUES (1)`,
	} {
		for _, n := range []int{1, 2, 40} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				t.Parallel()
				ddl := fmt.Sprintf(table, body)
				l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}})
				s := l.store
				if name == "NoPrivilege" {
					s = l.restricted(`CREATE TABLE secret (id bigint); GRANT INSERT ON orders TO %s`)
					l.pos = l.take(s, claim(orders0, 0))[0]
				}
				l.store = s
				values := make([]string, n)
				for i := range values {
					values[i] = fmt.Sprintf(`{"id":%d}`, i)
				}
				_, err := l.commit(values...)
				var e *Error
				if !errors.As(err, &e) || e.Class != Schema || strings.Contains(e.Hint, "password") {
					t.Errorf("got %v, want an error about the table", err)
				}
				l.want(`SELECT (SELECT count(*) FROM sinker.dead_letters) || ' ' || next_offset FROM sinker.offsets`, "0 0")
			})
		}
	}
}

// restricted opens a store as a role of its own, with what grants say of %s.
func (l *loader) restricted(grants string, change ...func(*Sink)) *Store {
	role := fmt.Sprintf("r%s_%d", l.one(`SELECT pg_backend_pid()::text`), time.Now().UnixNano())
	l.exec(`CREATE ROLE ` + role + ` LOGIN; GRANT USAGE ON SCHEMA sinker, public TO ` + role + `; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA sinker TO ` + role)
	l.exec(strings.ReplaceAll(grants, "%s", role))
	l.t.Cleanup(func() { l.exec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
	return l.storeWith(Config{URL: withUser(l.t.(*testing.T), l.url, role), Owner: "r", Sinks: []Sink{orders(change...)}})
}

// TestRefusedByPolicy: a row-level policy that refuses one row is about that row.
func TestRefusedByPolicy(t *testing.T) {
	l := newLoader(t, `CREATE TABLE orders (id bigint PRIMARY KEY, note text); ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
		CREATE POLICY p ON orders USING (true) WITH CHECK (note <> 'other')`, Config{Sinks: []Sink{orders(keyed)}})
	l.store = l.restricted(`GRANT SELECT, INSERT, UPDATE ON orders TO %s`, keyed)
	l.pos = l.take(l.store, claim(orders0, 0))[0]
	for i := range 3 {
		l.store.careful = 0
		if res, err := l.commit(some(20*i, 3*i, "other")...); err != nil || res.Dead != 1 || res.Written != 19 {
			t.Fatalf("%+v %v", res, err)
		}
	}
	l.store.careful = 0
	if res, err := l.commit(`{"id":1,"note":"other"}`); err != nil || res.Dead != 1 {
		t.Errorf("alone: %+v %v", res, err)
	}
}

// TestRefusedEscape: SQL_ASCII cannot hold \u00e9 in jsonb, and says so with 0A000.
func TestRefusedEscape(t *testing.T) {
	db := openMigrated(t, localtest.DatabaseOf(t, " TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"))
	db.exec(`CREATE TABLE orders (id bigint, v jsonb)`)
	s := db.store("a", orders())
	l := &loader{db, s, db.take(s, claim(orders0, 0))[0]}
	for _, values := range [][]string{{`{"id":1,"v":{"a":"\u00e9"}}`}, {`{"id":2,"v":{}}`, `{"id":3,"v":{"a":"\u00e9"}}`, `{"id":4,"v":[]}`}} {
		s.careful = 0
		if res, err := l.commit(values...); err != nil || res.Dead != 1 || res.Written != int64(len(values)-1) {
			t.Errorf("%+v %v", res, err)
		}
	}
}
