package txn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sinker/internal/record"
	"sinker/internal/transform"
)

// orders is a sink of topic orders into table orders.
func orders(change ...func(*Sink)) Sink {
	s := Sink{Topics: []string{"orders"}, Schema: "public", Table: "orders", Rule: transform.Rule{}}
	for _, f := range change {
		f(&s)
	}
	return s
}

func keyed(s *Sink)      { s.Rule.Key = []string{"id"} }
func tombstones(s *Sink) { s.Rule.Tombstones = true }

// loader is a store that owns orders/0 and commits values from its position on.
type loader struct {
	*database
	store *Store
	pos   Position
}

func newLoader(t *testing.T, ddl string, cfg Config) *loader {
	t.Helper()
	db := newDatabase(t)
	if ddl != "" {
		db.exec(ddl)
	}
	cfg.Owner = "a"
	s := db.storeWith(cfg)
	return &loader{database: db, store: s, pos: db.take(s, claim(orders0, 0))[0]}
}

func (l *loader) commit(values ...string) (Result, error) {
	r := rangeOf(l.pos, values...)
	return l.commitRange(r)
}

func (l *loader) commitRange(r Range) (Result, error) {
	res, err := commitBatch(context.Background(), l.store, Batch{r}, nil)
	if err == nil {
		l.pos.NextOffset = r.To
	}
	return res, err
}

func (l *loader) mustCommit(values ...string) Result {
	l.t.Helper()
	res, err := l.commit(values...)
	if err != nil {
		l.t.Fatal(err)
	}
	return res
}

// letters returns the dead letters as "offset column code".
func (l *loader) letters() string {
	return l.one(`SELECT coalesce(string_agg(record_offset || ' ' || coalesce(column_name, '-') || ' ' || code, ', ' ORDER BY record_offset), '') FROM sinker.dead_letters`)
}

func TestWriteModes(t *testing.T) {
	const ddl = `CREATE TABLE orders (id bigint NOT NULL, total numeric(10,2), note text)`

	t.Run("Append", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}})
		res := l.mustCommit(`{"id":1,"total":1.50,"note":"a"}`, `{"id":1}`)
		if res.Written != 2 || res.Tables[0].Rows != 2 {
			t.Errorf("%+v", res)
		}
		l.want(`SELECT string_agg(id || ':' || coalesce(total::text, '-') || ':' || coalesce(note, '-'), ' ' ORDER BY note) FROM orders`, "1:1.50:a 1:-:-")
		l.want(`SELECT next_offset || ' ' || consumed || ' ' || written FROM sinker.offsets`, "2 2 2")
	})

	t.Run("DeadLettersInTheSameTransaction", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}})
		r := rangeOf(l.pos, `{"id":1}`, `nonsense`, `{"total":1}`, `{"id":2,"total":1.005}`, `{"id":3}`)
		held(r)[1].Source = record.HeaderList{{Key: "k", Value: []byte("v")}, {Key: "k", Value: []byte{0xff, 0}}}
		held(r)[1].Key = []byte{0, 1}
		res, err := l.commitRange(r)
		if err != nil {
			t.Fatal(err)
		}
		if res.Dead != 3 || res.Written != 2 {
			t.Errorf("%+v", res)
		}
		if got, want := l.letters(), "1 - not_json, 2 id missing, 3 total"; !strings.HasPrefix(got, want) {
			t.Errorf("letters %q, want %q…", got, want)
		}
		l.want(`SELECT value = 'nonsense'::bytea AND key = '\x0001' AND headers = '[{"key":"k","value":"v"},{"key":"k","value_base64":"/wA="}]' AND table_name = '"public"."orders"' FROM sinker.dead_letters WHERE record_offset = 1`, "true")
		l.want(`SELECT consumed = written + dead AND dead = 3 FROM sinker.offsets`, "true")
	})

	t.Run("Upsert", func(t *testing.T) {
		l := newLoader(t, ddl+`; ALTER TABLE orders ADD PRIMARY KEY (id)`, Config{Sinks: []Sink{orders(keyed)}})
		l.mustCommit(`{"id":1,"note":"old"}`, `{"id":2,"note":"x"}`, `{"id":1,"note":"new"}`)
		l.mustCommit(`{"id":2,"note":"y"}`, `{"id":3,"note":"z"}`)
		l.want(`SELECT string_agg(id || note, ' ' ORDER BY id) FROM orders`, "1new 2y 3z")
		l.want(`SELECT consumed || ' ' || written FROM sinker.offsets`, "5 5")
	})

	t.Run("TombstonesDelete", func(t *testing.T) {
		l := newLoader(t, ddl+`; ALTER TABLE orders ADD PRIMARY KEY (id)`, Config{Sinks: []Sink{orders(keyed, tombstones)}})
		l.mustCommit(`{"id":1,"note":"a"}`, `{"id":2,"note":"b"}`, `{"id":3,"note":"c"}`)
		r := rangeOf(l.pos, ``, `{"id":2,"note":"again"}`, ``, ``)
		held(r)[0].Value, held(r)[0].Key = nil, []byte(`2`)
		held(r)[2].Value, held(r)[2].Key = nil, []byte(`{"id":1}`)
		held(r)[3].Value, held(r)[3].Key = nil, []byte(`77`)
		res, err := l.commitRange(r)
		if err != nil {
			t.Fatal(err)
		}
		if res.Tables[0].Deleted != 1 || res.Tables[0].Rows != 1 {
			t.Errorf("%+v", res.Tables)
		}
		l.want(`SELECT string_agg(id || note, ' ' ORDER BY id) FROM orders`, "2again 3c")
	})

	t.Run("OneTopicTwoTables", func(t *testing.T) {
		second := orders(func(s *Sink) { s.Table = "ids"; s.Rule.Columns = []transform.Column{{Name: "id", Path: "id"}} })
		l := newLoader(t, ddl+`; CREATE TABLE ids (id int)`, Config{Sinks: []Sink{orders(), second}})
		res := l.mustCommit(`{"id":1}`, `{"id":5000000000}`) // the second does not fit an int
		if res.Written != 1 || res.Dead != 1 {
			t.Errorf("%+v", res)
		}
		l.want(`SELECT (SELECT count(*) FROM orders) || ' ' || (SELECT count(*) FROM ids)`, "2 1")
	})

	t.Run("CreateWithColumns", func(t *testing.T) {
		sink := orders(keyed, func(s *Sink) {
			s.Create = true
			s.Rule.Columns = []transform.Column{{Name: "id", Path: "id", Type: "bigint"}, {Name: "select", Path: "a.b", Type: "numeric(5,1)"}}
			s.Rule.Meta = []string{"partition", "offset"}
		})
		l := newLoader(t, "", Config{Sinks: []Sink{sink}})
		if err := l.store.Prepare(context.Background()); err != nil {
			t.Fatal(err)
		}
		l.mustCommit(`{"id":9,"a":{"b":12.5}}`)
		l.want(`SELECT id || ' ' || "select" || ' ' || kafka_partition || ' ' || kafka_offset FROM orders`, "9 12.5 0 0")
		l.want(`SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'select'`, "numeric(5,1)")
	})

	t.Run("CreateFromTheFirstRecords", func(t *testing.T) {
		l := newLoader(t, "", Config{Sinks: []Sink{orders(func(s *Sink) { s.Create = true })}})
		l.mustCommit(`{"id":1,"name":"x","at":"2026-11-22T12:00:00Z","tags":["a"]}`, `{"id":2,"total":1.5}`)
		l.want(`SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0`,
			"id numeric, name text, at timestamp with time zone, tags jsonb, total numeric")
		l.want(`SELECT count(*) FROM orders`, "2")
	})

	t.Run("NamesAreQuoted", func(t *testing.T) {
		const name, column = `a"; DROP TABLE x; --ü`, `sel"ect; é`
		sink := orders(keyed, func(s *Sink) {
			s.Table, s.Create = name, true
			s.Rule.Key = []string{column}
			s.Rule.Columns = []transform.Column{{Name: column, Path: "id", Type: "bigint"}}
		})
		l := newLoader(t, `CREATE TABLE x (i int)`, Config{Sinks: []Sink{sink}})
		l.mustCommit(`{"id":1}`, `{"id":1}`)
		l.want(`SELECT (SELECT count(*) FROM "`+strings.ReplaceAll(name, `"`, `""`)+`") || ' ' || to_regclass('x')::text`, "1 x")
	})
}

// TestSift is about values that only Postgres refuses: the bad rows become dead letters, alone, in the same transaction.
func TestSift(t *testing.T) {
	const check = `CREATE TABLE orders (id bigint, note text CHECK (note <> 'bad'))`
	values := func(n int, bad ...int) []string {
		out := make([]string, n)
		for i := range out {
			out[i] = fmt.Sprintf(`{"id":%d,"note":"good"}`, i)
		}
		for _, i := range bad {
			out[i] = fmt.Sprintf(`{"id":%d,"note":"bad"}`, i)
		}
		return out
	}

	t.Run("Constraint", func(t *testing.T) {
		l := newLoader(t, check, Config{Sinks: []Sink{orders()}})
		res := l.mustCommit(values(1000, 0, 17, 18, 999)...)
		if res.Dead != 4 || res.Written != 996 {
			t.Errorf("%+v", res)
		}
		l.want(`SELECT string_agg(record_offset || ' ' || code, ', ' ORDER BY record_offset) FROM sinker.dead_letters`, "0 23514, 17 23514, 18 23514, 999 23514")
		l.want(`SELECT count(*) || ' ' || count(DISTINCT id) FROM orders`, "996 996")
		l.want(`SELECT consumed || ' ' || dead FROM sinker.offsets`, "1000 4")
	})

	t.Run("AllBad", func(t *testing.T) {
		l := newLoader(t, check, Config{Sinks: []Sink{orders()}})
		res := l.mustCommit(values(20, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)...)
		if res.Dead != 20 {
			t.Errorf("%+v", res)
		}
		l.want(`SELECT count(*) FROM orders`, "0")
	})

	t.Run("DeferredConstraint", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE customers (id bigint PRIMARY KEY); INSERT INTO customers SELECT generate_series(0, 99);
			CREATE TABLE orders (id bigint REFERENCES customers DEFERRABLE INITIALLY DEFERRED)`, Config{Sinks: []Sink{orders()}})
		res := l.mustCommit(`{"id":1}`, `{"id":500}`, `{"id":2}`)
		if res.Dead != 1 || res.Written != 2 {
			t.Errorf("%+v", res)
		}
		l.want(`SELECT string_agg(record_offset || ' ' || code, ', ') FROM sinker.dead_letters`, "1 23503")
	})

	t.Run("UniqueWithinTheBatch", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE orders (id bigint UNIQUE)`, Config{Sinks: []Sink{orders()}})
		res := l.mustCommit(`{"id":1}`, `{"id":2}`, `{"id":1}`)
		if res.Dead != 1 {
			t.Errorf("%+v", res)
		}
		l.want(`SELECT record_offset FROM sinker.dead_letters`, "2") // the first one stays
	})

	t.Run("TriggerAtTheEndOfTheStatement", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE orders (id bigint, note text);
			CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.note = 'bad' THEN RAISE EXCEPTION 'no %', NEW.id; END IF; RETURN NULL; END $$;
			CREATE CONSTRAINT TRIGGER t AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse()`, Config{Sinks: []Sink{orders()}})
		res := l.mustCommit(values(300, 123, 250)...)
		if res.Dead != 2 || res.Written != 298 {
			t.Errorf("%+v", res)
		}
		l.want(`SELECT string_agg(record_offset || ' ' || code || ' ' || reason, ', ' ORDER BY record_offset) FROM sinker.dead_letters`, "123 P0001 no 123, 250 P0001 no 250")
	})

	t.Run("Upsert", func(t *testing.T) {
		l := newLoader(t, check+`; ALTER TABLE orders ADD PRIMARY KEY (id)`, Config{Sinks: []Sink{orders(keyed)}})
		res := l.mustCommit(values(200, 3, 150)...)
		if res.Dead != 2 || res.Written != 198 {
			t.Errorf("%+v", res)
		}
		l.want(`SELECT count(*) FROM orders`, "198")
	})
}

// TestSiftCost counts the statements that one bad row among 50,000 costs when Postgres does not name the line.
func TestSiftCost(t *testing.T) {
	l := newLoader(t, `CREATE TABLE orders (id bigint, note text);
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.note = 'bad' THEN RAISE EXCEPTION 'no'; END IF; RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER t AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse()`, Config{Sinks: []Sink{orders()}})
	const n = 50_000
	values := make([]string, n)
	for i := range values {
		values[i] = `{"id":1}`
	}
	values[31_234] = `{"id":2,"note":"bad"}`
	res := l.mustCommit(values...)
	if res.Dead != 1 || res.Written != n-1 {
		t.Errorf("%+v", res)
	}
	if l.store.buf.tries > 18 {
		t.Errorf("one bad row cost %d COPYs", l.store.buf.tries)
	}
}

func TestPolicies(t *testing.T) {
	ctx := context.Background()
	const ddl = `CREATE TABLE orders (id bigint)`

	t.Run("StopAtTheFirstBadRecord", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}, StopOnBad: true})
		_, err := l.commit(`{"id":1}`, `nonsense`, `{"id":2}`)
		var stop *StopError
		if !errors.As(err, &stop) || stop.Offset != 1 {
			t.Fatalf("%v", err)
		}
		l.want(`SELECT (SELECT count(*) FROM orders) || ' ' || next_offset FROM sinker.offsets`, "0 0")
		l.mustCommit(`{"id":1}`)
		l.want(`SELECT (SELECT count(*) FROM orders) || ' ' || next_offset FROM sinker.offsets`, "1 1")
	})

	t.Run("StopAfterAFlood", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}, StopAfter: 0.01})
		good := make([]string, 2000)
		for i := range good {
			good[i] = `{"id":1}`
		}
		good[5] = `bad` // one in two thousand passes
		l.mustCommit(good...)
		for i := range 100 {
			good[100+i] = `bad`
		}
		_, err := l.commit(good...)
		var stop *StopError
		if !errors.As(err, &stop) || stop.Offset != 2005 {
			t.Fatalf("%v", err)
		}
		l.want(`SELECT count(*) FROM sinker.dead_letters`, "1")
	})

	t.Run("MissingTable", func(t *testing.T) {
		l := newLoader(t, "", Config{Sinks: []Sink{orders()}})
		wantClass(t, l.store.Prepare(ctx), Schema, "create: yes")
		_, err := l.commit(`{"id":1}`)
		wantClass(t, err, Schema, "create: yes")
	})

	t.Run("TriggerThatReliesOnSearchPath", func(t *testing.T) {
		l := newLoader(t, ddl+`; CREATE TABLE audit (id bigint);
			CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (new.id); RETURN new; END $$;
			CREATE TRIGGER audited BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION audited()`, Config{Sinks: []Sink{orders()}})
		_, err := l.commit(`{"id":1}`)
		wantClass(t, err, Schema, "search_path")
		s := l.storeWith(Config{URL: l.url + "&search_path=public", Owner: "a", Sinks: []Sink{orders()}})
		if _, err := commitBatch(ctx, s, Batch{rangeOf(l.pos, `{"id":1}`)}, nil); err != nil {
			t.Errorf("with a search_path in the URL: %v", err)
		}
		l.want(`SELECT (SELECT count(*) FROM orders) || ' ' || count(*) FROM audit`, "1 1")
	})

	t.Run("ViewThatCanNotBeCopiedInto", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE base (id bigint); CREATE VIEW orders AS SELECT id FROM base`, Config{Sinks: []Sink{orders()}})
		_, err := l.commit(`{"id":1}`)
		wantClass(t, err, Schema, "INSTEAD OF INSERT")
	})

	t.Run("ColumnDroppedWhileUp", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE orders (id bigint, note text)`, Config{Sinks: []Sink{orders()}})
		l.mustCommit(`{"id":1,"note":"x"}`)
		l.exec(`ALTER TABLE orders DROP COLUMN note`)
		l.mustCommit(`{"id":2,"note":"x"}`) // the table was looked at again
		l.want(`SELECT count(*) FROM orders`, "2")
	})

	t.Run("MissingPrivilege", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}})
		role := fmt.Sprintf("r%d", l.store.cfg.StatementTimeout.Nanoseconds()) + l.one(`SELECT pg_backend_pid()::text`)
		l.exec(`CREATE ROLE ` + role + ` LOGIN; GRANT USAGE ON SCHEMA sinker TO ` + role + `; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA sinker TO ` + role)
		t.Cleanup(func() { l.exec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
		s := l.storeWith(Config{URL: withUser(t, l.url, role), Owner: "b", Sinks: []Sink{orders()}})
		wantClass(t, s.Prepare(ctx), Schema, "GRANT INSERT ON")
		l.exec(`GRANT INSERT ON orders TO ` + role)
		if err := s.Prepare(ctx); err != nil {
			t.Errorf("an insert-only role is enough for append: %v", err)
		}
	})

	t.Run("NoUniqueIndexOnTheKey", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders(keyed)}})
		wantClass(t, l.store.Prepare(ctx), Schema, "CREATE UNIQUE INDEX ON")
	})

	t.Run("ReadOnly", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}})
		l.exec(`ALTER DATABASE ` + l.one(`SELECT current_database()`) + ` SET default_transaction_read_only = on`)
		l.store.drop()
		_, err := l.commit(`{"id":1}`)
		var e *Error
		if !errors.As(err, &e) || e.Class != Retry || !strings.Contains(err.Error(), "this server is read-only") {
			t.Errorf("a read-only server must be waited out, got %v", err)
		}
	})

	t.Run("NoSchema", func(t *testing.T) {
		l := newLoader(t, ddl, Config{Sinks: []Sink{orders()}})
		l.exec(`DROP SCHEMA sinker CASCADE`)
		wantClass(t, l.store.Prepare(ctx), Schema, "sinker migrate up")
	})
}

func wantClass(t *testing.T, err error, c Class, text string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Class != c || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want an error of class %v that says %q", err, c, text)
	}
}
