package txn

import (
	"fmt"
	"testing"

	"sinker/internal/local/localtest"
)

// temporal is a constraint of a table in which a sink can write the columns that a range is generated from.
const temporal = `span int4range GENERATED ALWAYS AS (int4range(v, v + 10)) STORED`

// alterCases18 are changes of a table that Postgres knows since 18.
func alterCases18() []alterCase {
	const virtual = `CREATE TABLE orders (id bigint PRIMARY KEY, v int, note text, x int GENERATED ALWAYS AS (v * 2) VIRTUAL)`
	const loose = `CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1);
		CREATE TABLE orders (id bigint PRIMARY KEY, v int REFERENCES parent NOT ENFORCED, note text)`
	odd := []string{`{"id":2,"v":null}`, `{"id":3}`, `{"id":4,"v":3}`}
	fields := []string{`{"id":2,"v":3,"x":8}`, `{"id":3,"v":4,"x":null}`}
	return []alterCase{
		{name: "AddVirtualColumn", change: `ALTER TABLE orders ADD x int GENERATED ALWAYS AS (v * 2) VIRTUAL`, after: fields},
		{name: "AddVirtualNotNull", change: `ALTER TABLE orders ADD x int GENERATED ALWAYS AS (v * 2) VIRTUAL NOT NULL`, after: odd},
		{name: "AddVirtualCheck", change: `ALTER TABLE orders ADD x int GENERATED ALWAYS AS (v * 2) VIRTUAL CHECK (x < 8)`, after: fields},
		{name: "VirtualSetExpression", ddl: virtual, change: `ALTER TABLE orders ALTER x SET EXPRESSION AS (v * 3)`, after: fields},
		{name: "VirtualToPlain", ddl: virtual, change: `ALTER TABLE orders DROP x; ALTER TABLE orders ADD x int`, after: fields},
		{name: "NotNullNotValid", change: `ALTER TABLE orders ADD CONSTRAINT given NOT NULL v NOT VALID`, after: odd},
		{name: "ValidateNotNull", ddl: plainOrders + `; ALTER TABLE orders ADD CONSTRAINT given NOT NULL v NOT VALID`, change: `ALTER TABLE orders VALIDATE CONSTRAINT given`, after: odd},
		{name: "DropNotNullConstraint", ddl: plainOrders + `; ALTER TABLE orders ADD CONSTRAINT given NOT NULL v`, change: `ALTER TABLE orders DROP CONSTRAINT given`, after: odd},
		{name: "CheckNotEnforced", change: `ALTER TABLE orders ADD CHECK (v < 4) NOT ENFORCED`, after: fields},
		{name: "ForeignKeyNotEnforced", ddl: `CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1); CREATE TABLE orders (id bigint PRIMARY KEY, v int REFERENCES parent, note text)`,
			change: `ALTER TABLE orders ALTER CONSTRAINT orders_v_fkey NOT ENFORCED`, after: odd},
		{name: "ForeignKeyEnforced", ddl: loose, change: `ALTER TABLE orders ALTER CONSTRAINT orders_v_fkey ENFORCED`, after: odd},
		{name: "WithoutOverlaps", ddl: `CREATE EXTENSION btree_gist; CREATE TABLE orders (id bigint PRIMARY KEY, v int, note text, ` + temporal + `)`,
			change: `ALTER TABLE orders ADD UNIQUE (note, span WITHOUT OVERLAPS)`, after: []string{`{"id":2,"v":3,"note":"ok"}`, `{"id":3,"v":20,"note":"ok"}`}},
	}
}

// relationCases18 are set-ups that Postgres knows since 18.
func relationCases18() []relationCase {
	fits, keyed := all(""), relationCase{upsert: "unique", aggregate: "unique"}
	const grant = `; GRANT ALL ON orders TO $role`
	byColumn := fits.as(func(c *relationCase) { c.delete = "privilege" })
	return []relationCase{
		fits.named("Virtual", `CREATE TABLE orders (id int PRIMARY KEY, v int, x int GENERATED ALWAYS AS (v * 2))`+grant),
		byColumn.named("VirtualByColumn", `CREATE TABLE orders (id int PRIMARY KEY, v int, x int GENERATED ALWAYS AS (v * 2));
			GRANT INSERT (id, v), SELECT (id, v), UPDATE (v) ON orders TO $role`),
		fits.named("NotNullNotValid", `CREATE TABLE orders (id int PRIMARY KEY, v int); INSERT INTO orders VALUES (-1); ALTER TABLE orders ADD CONSTRAINT given NOT NULL v NOT VALID`+grant),
		fits.named("NotEnforced", `CREATE TABLE orders (id int PRIMARY KEY, v int CHECK (v < 0) NOT ENFORCED REFERENCES orders NOT ENFORCED)`+grant),
		keyed.named("TemporalKey", `CREATE EXTENSION btree_gist; CREATE TABLE orders (id int, v int, `+temporal+`, PRIMARY KEY (id, span WITHOUT OVERLAPS))`+grant),
		fits.named("TemporalBesideAKey", `CREATE EXTENSION btree_gist; CREATE TABLE orders (id int PRIMARY KEY, v int, w text, `+temporal+`, UNIQUE (w, span WITHOUT OVERLAPS))`+grant),
		fits.named("TemporalForeignKey", `CREATE EXTENSION btree_gist; CREATE TABLE stays (v int, span int4range, PRIMARY KEY (v, span WITHOUT OVERLAPS)); INSERT INTO stays VALUES (5, '[0,100)'), (10, '[0,100)');
			CREATE TABLE orders (id int PRIMARY KEY, v int, `+temporal+`, FOREIGN KEY (v, PERIOD span) REFERENCES stays (v, PERIOD span)); GRANT ALL ON stays TO $role`+grant),
	}
}

// TestTemporalKey: rows that overlap under a WITHOUT OVERLAPS key are dead letters, one by one, and no other row is.
func TestTemporalKey(t *testing.T) {
	if localtest.Version(t) < 180000 {
		return // there is no such key
	}
	l := newLoader(t, `CREATE EXTENSION btree_gist; CREATE TABLE orders (id int, v int, `+temporal+`, PRIMARY KEY (id, span WITHOUT OVERLAPS))`, Config{Sinks: []Sink{orders()}})
	var values []string
	for i := range 300 {
		values = append(values, fmt.Sprintf(`{"id":%d,"v":%d,"span":"[1,2)"}`, i%3, i/3*10))
	}
	values[7], values[299] = `{"id":0,"v":5}`, `{"id":1,"v":95}`
	if res := l.mustCommit(values...); res.Dead != 2 || res.Written != 298 {
		t.Errorf("%+v", res)
	}
	if got := l.letters(); got != "7 - 23P01, 299 - 23P01" {
		t.Error(got)
	}
	l.ledgerTiles()
}

// TestUUIDv7: each row without the field has a value of its own, as from an INSERT.
func TestUUIDv7(t *testing.T) {
	if localtest.Version(t) < 180000 {
		return // there is no such function
	}
	for name, sink := range map[string]Sink{"Append": orders(), "Upsert": orders(keyed)} {
		t.Run(name, func(t *testing.T) {
			l := newLoader(t, `CREATE TABLE orders (id bigint PRIMARY KEY, ref uuid NOT NULL DEFAULT uuidv7())`, Config{Sinks: []Sink{sink}})
			l.mustCommit(`{"id":1}`, `{"id":2}`, `{"id":3,"ref":"5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5b"}`)
			l.mustCommit(`{"id":4}`, `{"id":5,"ref":"6f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5b"}`)
			l.want(`SELECT count(DISTINCT ref) || ' ' || count(*) FILTER (WHERE uuid_extract_version(ref) = 7) FROM orders`, "5 3")
		})
	}
}
