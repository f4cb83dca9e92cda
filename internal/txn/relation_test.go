package txn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sinker/internal/local/localtest"
	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
)

// The ways of writing that a relation may be asked for.
var relationModes = []struct {
	name string
	rule transform.Rule
	// plain is what Postgres is asked to do by hand in comparison.
	plain string
}{
	{"append", transform.Rule{Columns: []transform.Column{{Name: "id"}, {Name: "v"}}}, ""},
	{"upsert", transform.Rule{Columns: []transform.Column{{Name: "id"}, {Name: "v"}}, Key: []string{"id"}},
		`CREATE TEMP TABLE stage (id int, v int); INSERT INTO %[1]s (id, v) VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET v = excluded.v`},
	{"delete", transform.Rule{Columns: []transform.Column{{Name: "id"}, {Name: "v"}}, Key: []string{"id"}, Tombstones: true},
		`CREATE TEMP TABLE stage (id int, v int); INSERT INTO %[1]s (id, v) VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET v = excluded.v; DELETE FROM %[1]s WHERE id = 1`},
	{"aggregate", transform.Rule{Columns: []transform.Column{{Name: "id"}, {Name: "v"}}, Key: []string{"id"}, Folds: []transform.Fold{transform.Group, transform.Add}},
		`INSERT INTO %[1]s AS t (id, v) SELECT * FROM unnest('{1}'::int[], '{5}'::int[]) ON CONFLICT (id) DO UPDATE SET v = coalesce(t.v, 0) + excluded.v`},
}

// relationCase is a relation called orders and the codes with which each mode is to be refused; "" is to be accepted.
type relationCase struct {
	name, ddl                 string
	append, upsert, aggregate string
	delete                    string // of an upsert with deletions; "": as upsert
	unsafe                    string // why what Postgres would take is refused all the same
	schema, table             string // other than public.orders
	superuser                 bool
	warns                     bool
	count                     string // rows that were loaded, where it is not FROM orders
}

func (c relationCase) code(mode int) string {
	return []string{c.append, c.upsert, cmp.Or(c.delete, c.upsert), c.aggregate}[mode]
}

func all(code string) relationCase { return relationCase{append: code, upsert: code, aggregate: code} }

func (c relationCase) named(name, ddl string) relationCase {
	c.name, c.ddl = name, ddl
	return c
}

func (c relationCase) as(change func(*relationCase)) relationCase { change(&c); return c }

const (
	plainTable = `CREATE TABLE orders (id int PRIMARY KEY, v int); GRANT ALL ON orders TO $role; `
	someTable  = `CREATE TABLE base (id int PRIMARY KEY, v int); GRANT ALL ON base TO $role; `
	someView   = someTable + `CREATE VIEW orders AS SELECT * FROM base; GRANT ALL ON orders TO $role; `
	function   = `CREATE FUNCTION into_base() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.base VALUES (NEW.id, NEW.v); RETURN NEW; END'; `
	parted     = `CREATE TABLE orders (id int, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id); GRANT ALL ON orders TO $role; `
)

func relationCases() []relationCase {
	fits := all("")
	view := relationCase{append: "view", upsert: "view", aggregate: "view"}
	view2 := view.as(func(c *relationCase) { c.unsafe = "sinker finds its index on the relation itself" })
	views := view.as(func(c *relationCase) { c.append = "" })
	keyed := relationCase{upsert: "unique", aggregate: "unique"}
	rule := func(appends, upserts, unsafe string) relationCase {
		return relationCase{append: appends, upsert: upserts, aggregate: upserts, unsafe: unsafe}
	}
	rls := all("row_security")
	policies := relationCase{append: "row_security", delete: "row_security"}
	return []relationCase{
		fits.named("Table", plainTable),
		fits.named("UniqueIndexWithInclude", `CREATE TABLE orders (id int, v int); CREATE UNIQUE INDEX ON orders (id) INCLUDE (v); GRANT ALL ON orders TO $role`),
		keyed.named("NoIndex", `CREATE TABLE orders (id int, v int); GRANT ALL ON orders TO $role`),
		keyed.named("PlainIndex", `CREATE TABLE orders (id int, v int); CREATE INDEX ON orders (id); GRANT ALL ON orders TO $role`),
		keyed.named("WiderIndex", `CREATE TABLE orders (id int, v int, PRIMARY KEY (id, v)); GRANT ALL ON orders TO $role`),
		keyed.named("PartialIndex", `CREATE TABLE orders (id int, v int); CREATE UNIQUE INDEX ON orders (id) WHERE v > 0; GRANT ALL ON orders TO $role`),
		keyed.named("ExpressionIndex", `CREATE TABLE orders (id int, v int); CREATE UNIQUE INDEX ON orders ((id + 0)); GRANT ALL ON orders TO $role`),
		keyed.named("DeferrableKey", `CREATE TABLE orders (id int PRIMARY KEY DEFERRABLE, v int); GRANT ALL ON orders TO $role`),
		keyed.named("DeferredUnique", `CREATE TABLE orders (id int UNIQUE DEFERRABLE INITIALLY DEFERRED, v int); GRANT ALL ON orders TO $role`),
		keyed.named("InvalidIndex", `CREATE TABLE orders (id int, v int); CREATE UNIQUE INDEX broken ON orders (id); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass; GRANT ALL ON orders TO $role`),
		keyed.named("ExclusionConstraint", `CREATE TABLE orders (id int, v int, EXCLUDE USING btree (id WITH =)); GRANT ALL ON orders TO $role`),
		fits.as(func(c *relationCase) { c.warns = true }).named("Unlogged", strings.Replace(plainTable, "TABLE", "UNLOGGED TABLE", 1)),
		fits.named("UnloggedWithOffsets", strings.Replace(plainTable, "TABLE", "UNLOGGED TABLE", 1)+`ALTER TABLE sinker.offsets SET UNLOGGED`),

		// Partitions and inheritance.
		fits.named("Partitioned", parted+`CREATE TABLE part PARTITION OF orders DEFAULT`),
		all("no_partitions").named("NoPartition", parted),
		relationCase{upsert: "unique_partitioned", aggregate: "unique_partitioned"}.named("PartitionedByAnother",
			`CREATE TABLE orders (id int, v int, PRIMARY KEY (id, v)) PARTITION BY RANGE (v); CREATE TABLE part PARTITION OF orders DEFAULT; GRANT ALL ON orders TO $role`),
		relationCase{upsert: "unique_partitioned", aggregate: "unique_partitioned"}.named("PartitionedByExpression",
			`CREATE TABLE orders (id int, v int) PARTITION BY RANGE ((v + 1)); CREATE TABLE part PARTITION OF orders DEFAULT; GRANT ALL ON orders TO $role`),
		relationCase{upsert: "unique_partitioned", aggregate: "unique_partitioned"}.named("PartitionedTwice",
			`CREATE TABLE orders (id int, v int) PARTITION BY RANGE (id); CREATE TABLE mid PARTITION OF orders DEFAULT PARTITION BY HASH (v);
			 CREATE TABLE part PARTITION OF mid FOR VALUES WITH (MODULUS 1, REMAINDER 0); GRANT ALL ON orders TO $role`),
		keyed.named("IndexOnTheParentOnly", `CREATE TABLE orders (id int, v int) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF orders DEFAULT; CREATE UNIQUE INDEX ON ONLY orders (id); GRANT ALL ON orders TO $role`),
		fits.as(func(c *relationCase) { c.warns = true }).named("UnloggedPartition", parted+`CREATE UNLOGGED TABLE part PARTITION OF orders DEFAULT`),
		fits.as(func(c *relationCase) { c.table = "part" }).named("PartitionItself", parted+`CREATE TABLE part PARTITION OF orders DEFAULT; GRANT ALL ON part TO $role`),
		fits.named("InheritanceParent", plainTable+`CREATE TABLE child () INHERITS (orders)`),
		fits.named("InheritanceChild", `CREATE TABLE parent (id int, v int); CREATE TABLE orders (PRIMARY KEY (id)) INHERITS (parent); GRANT ALL ON orders TO $role`),
		all("foreign").as(func(c *relationCase) { c.unsafe = "its server commits apart" }).named("ForeignPartition",
			`CREATE TABLE orders (id int, v int) PARTITION BY RANGE (id); CREATE TABLE near PARTITION OF orders FOR VALUES FROM (0) TO (10); CREATE EXTENSION file_fdw; CREATE SERVER f FOREIGN DATA WRAPPER file_fdw;
			 CREATE FOREIGN TABLE far PARTITION OF orders DEFAULT SERVER f OPTIONS (filename '/dev/null'); GRANT ALL ON orders TO $role`),

		// Views.
		view2.named("SimpleView", someView),
		view.named("JoinView", someTable+`CREATE VIEW orders AS SELECT a.id, b.v FROM base a JOIN base b USING (id); GRANT ALL ON orders TO $role`),
		views.as(func(c *relationCase) { c.count = "base" }).named("InsteadOfInsert", someView+function+`CREATE TRIGGER i INSTEAD OF INSERT ON orders FOR EACH ROW EXECUTE FUNCTION into_base()`),
		views.as(func(c *relationCase) { c.count = "base" }).named("InsteadOfAll", someView+function+`CREATE TRIGGER i INSTEAD OF INSERT OR UPDATE OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION into_base()`),
		view2.named("InsteadOfUpdate", someView+function+`CREATE TRIGGER i INSTEAD OF UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION into_base()`),
		view2.named("InsteadOfDelete", someView+function+`CREATE TRIGGER i INSTEAD OF DELETE ON orders FOR EACH ROW EXECUTE FUNCTION into_base()`),
		view.named("ViewWithRule", someView+`CREATE RULE r AS ON INSERT TO orders DO INSTEAD INSERT INTO base VALUES (NEW.id, NEW.v)`),
		rule("rules", "view", "COPY passes by the rule").named("ViewWithTriggerAndRule", someView+function+`CREATE TRIGGER i INSTEAD OF INSERT ON orders FOR EACH ROW EXECUTE FUNCTION into_base();
			CREATE RULE r AS ON INSERT TO orders DO ALSO NOTIFY x`),

		// Rules.
		rule("rules", "rules", "COPY passes by it").named("InsertDoAlso", plainTable+`CREATE TABLE log (id int); GRANT ALL ON log TO $role; CREATE RULE r AS ON INSERT TO orders DO ALSO INSERT INTO log VALUES (NEW.id)`),
		rule("rules", "rules", "COPY passes by it").named("InsertInstead", plainTable+`CREATE TABLE log (id int); GRANT ALL ON log TO $role; CREATE RULE r AS ON INSERT TO orders DO INSTEAD INSERT INTO log VALUES (NEW.id)`),
		rule("rules", "rules", "COPY passes by it").named("InsertInsteadNothing", plainTable+`CREATE RULE r AS ON INSERT TO orders DO INSTEAD NOTHING`),
		rule("rules", "rules", "COPY passes by it").named("InsertWhere", plainTable+`CREATE RULE r AS ON INSERT TO orders WHERE NEW.id < 0 DO INSTEAD NOTHING`),
		rule("", "", "").named("InsertDisabled", plainTable+`CREATE RULE r AS ON INSERT TO orders DO INSTEAD NOTHING; ALTER TABLE orders DISABLE RULE r`),
		rule("", "", "").named("InsertForReplicas", plainTable+`CREATE RULE r AS ON INSERT TO orders DO INSTEAD NOTHING; ALTER TABLE orders ENABLE REPLICA RULE r`),
		rule("rules", "rules", "COPY passes by it").named("InsertAlways", plainTable+`CREATE RULE r AS ON INSERT TO orders DO INSTEAD NOTHING; ALTER TABLE orders ENABLE ALWAYS RULE r`),
		rule("", "rules", "").named("UpdateRule", plainTable+`CREATE RULE r AS ON UPDATE TO orders DO INSTEAD NOTHING`),
		rule("", "rules", "").named("UpdateRuleDisabled", plainTable+`CREATE RULE r AS ON UPDATE TO orders DO INSTEAD NOTHING; ALTER TABLE orders DISABLE RULE r`),
		rule("", "", "").named("DeleteRule", plainTable+`CREATE RULE r AS ON DELETE TO orders DO INSTEAD UPDATE orders SET v = 0 WHERE id = OLD.id`),

		// Row security.
		rls.named("RowSecurityNoPolicy", plainTable+`ALTER TABLE orders ENABLE ROW LEVEL SECURITY`),
		policies.named("RowSecurityPermitting", plainTable+`ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON orders USING (true) WITH CHECK (true)`),
		policies.named("RowSecurityByMembership", plainTable+`ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE ROLE team_$role; GRANT team_$role TO $role; CREATE POLICY p ON orders TO team_$role USING (true)`),
		rls.named("RowSecurityForAnother", plainTable+`ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON orders TO pg_monitor USING (true)`),
		rls.named("RowSecurityInsertOnly", plainTable+`ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON orders FOR INSERT WITH CHECK (true)`),
		rls.named("RowSecurityRestrictiveOnly", plainTable+`ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON orders AS RESTRICTIVE USING (true)`),
		rls.named("RowSecurityForcedOnTheOwner", plainTable+`ALTER TABLE orders OWNER TO $role; ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER TABLE orders FORCE ROW LEVEL SECURITY`),
		fits.named("RowSecurityOfTheOwner", plainTable+`ALTER TABLE orders OWNER TO $role; ALTER TABLE orders ENABLE ROW LEVEL SECURITY`),
		fits.named("RowSecurityBypassed", plainTable+`ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER ROLE $role BYPASSRLS`),
		fits.as(func(c *relationCase) { c.superuser = true }).named("RowSecurityOfASuperuser", plainTable+`ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER TABLE orders FORCE ROW LEVEL SECURITY`),
		fits.named("PolicyWithoutRowSecurity", plainTable+`CREATE POLICY p ON orders USING (false)`),
		fits.named("RowSecurityOfAPartition", parted+`CREATE TABLE part PARTITION OF orders DEFAULT; ALTER TABLE part ENABLE ROW LEVEL SECURITY`),

		// Privileges.
		all("privilege").named("NoPrivilege", `CREATE TABLE orders (id int PRIMARY KEY, v int)`),
		relationCase{upsert: "privilege", aggregate: "privilege"}.named("InsertOnly", `CREATE TABLE orders (id int PRIMARY KEY, v int); GRANT INSERT ON orders TO $role`),
		relationCase{upsert: "privilege", aggregate: "privilege"}.named("NoSelect", `CREATE TABLE orders (id int PRIMARY KEY, v int); GRANT INSERT, UPDATE ON orders TO $role`),
		relationCase{upsert: "privilege", aggregate: "privilege"}.named("NoUpdate", `CREATE TABLE orders (id int PRIMARY KEY, v int); GRANT INSERT, SELECT ON orders TO $role`),
		all("privilege").named("OneColumnOnly", `CREATE TABLE orders (id int PRIMARY KEY, v int); GRANT INSERT (id), SELECT, UPDATE ON orders TO $role`),
		fits.as(func(c *relationCase) { c.delete = "privilege" }).named("ByColumn", `CREATE TABLE orders (id int PRIMARY KEY, v int, x int); GRANT INSERT (id, v), SELECT (id, v), UPDATE (v) ON orders TO $role`),
		fits.named("ByMembership", `CREATE TABLE orders (id int PRIMARY KEY, v int); CREATE ROLE team_$role; GRANT ALL ON orders TO team_$role; GRANT team_$role TO $role`),
		all("privilege").as(func(c *relationCase) { c.schema = "closed" }).named("NoUsageOfTheSchema", `CREATE SCHEMA closed; CREATE TABLE closed.orders (id int PRIMARY KEY, v int); GRANT ALL ON closed.orders TO $role`),
		all("privilege").named("SequenceOfADefault", `CREATE TABLE orders (id int PRIMARY KEY, v int, n serial); GRANT ALL ON orders TO $role`),
		fits.named("SequenceOfAnIdentity", `CREATE TABLE orders (id int PRIMARY KEY, v int, n int GENERATED ALWAYS AS IDENTITY); GRANT ALL ON orders TO $role`),
		relationCase{upsert: "temp"}.named("NoTemp", plainTable+`REVOKE TEMP ON DATABASE $database FROM PUBLIC`),

		// Everything else that has a name in pg_class.
		all("kind").named("MaterializedView", someTable+`CREATE MATERIALIZED VIEW orders AS SELECT * FROM base; CREATE UNIQUE INDEX ON orders (id); GRANT ALL ON orders TO $role`),
		all("kind").named("Sequence", `CREATE SEQUENCE orders`),
		all("kind").named("Index", someTable+`CREATE UNIQUE INDEX orders ON base (id)`),
		all("kind").named("PartitionedIndex", strings.ReplaceAll(parted, "orders", "base")+`CREATE INDEX orders ON base (v)`),
		all("kind").named("CompositeType", `CREATE TYPE orders AS (id int, v int)`),
		all("foreign").named("ForeignTable", `CREATE EXTENSION file_fdw; CREATE SERVER f FOREIGN DATA WRAPPER file_fdw; CREATE FOREIGN TABLE orders (id int, v int) SERVER f OPTIONS (filename '/dev/null'); GRANT ALL ON orders TO $role`),
		all("own_schema").as(func(c *relationCase) { c.schema, c.table = "pg_catalog", "pg_class" }).named("SystemCatalog", ``),
		all("own_schema").as(func(c *relationCase) { c.schema, c.table = "information_schema", "tables" }).named("InformationSchema", ``),
		all("own_schema").as(func(c *relationCase) { c.schema, c.table, c.unsafe = "sinker", "orders", "sinker's own" }).named("SchemaSinker", `CREATE TABLE sinker.orders (id int PRIMARY KEY, v int); GRANT ALL ON sinker.orders TO $role`),
		all("no_table").named("Nothing", ``),
		all("no_table").as(func(c *relationCase) { c.schema = "nowhere" }).named("NoSchema", ``),
	}
}

// TestRelations: every kind of relation in every mode is either loaded, or refused at the start with the reason and what to do.
// What is refused is what Postgres refuses by hand as well, unless the case says why it is not safe.
func TestRelations(t *testing.T) {
	cases := relationCases()
	if localtest.Version(t) >= 180000 {
		cases = append(cases, relationCases18()...)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t)
			role := db.writer(c.ddl)
			url := db.url
			if !c.superuser {
				url = withUser(t, db.url, role)
			}
			for i := range relationModes {
				c.try(t, db, url, i)
			}
		})
	}
}

// writer makes a role with what sinker's own schema needs, and runs ddl, in which it is $role.
func (db *database) writer(ddl string) (role string) {
	db.t.Helper()
	name := db.one(`SELECT current_database()`)
	role = "w_" + name
	db.exec(`CREATE ROLE ` + role + ` LOGIN; GRANT USAGE ON SCHEMA sinker TO ` + role + `; GRANT ALL ON ALL TABLES IN SCHEMA sinker TO ` + role)
	db.exec(strings.NewReplacer("$role", role, "$database", name).Replace(ddl))
	db.t.Cleanup(func() {
		for _, r := range []string{"team_" + role, role} {
			if db.one(`SELECT count(*) FROM pg_roles WHERE rolname = $1`, r) == "1" {
				db.exec(`DROP OWNED BY ` + r + `; DROP ROLE ` + r)
			}
		}
	})
	return role
}

func (c relationCase) try(t *testing.T, db *database, url string, i int) {
	ctx := context.Background()
	mode := relationModes[i]
	sink := orders(func(s *Sink) { s.Rule = mode.rule })
	if c.schema != "" {
		sink.Schema = c.schema
	}
	if c.table != "" {
		sink.Table = c.table
	}
	s := db.storeWith(Config{URL: url, Owner: "a", Sinks: []Sink{sink}})
	defer s.Close()
	err := s.Prepare(ctx)
	code, hint := "", ""
	var e *Error
	if errors.As(err, &e) {
		code, hint = e.Code, e.Hint
	}
	if code != c.code(i) || (err != nil) != (code != "") || code != "" && (hint == "" || e.Class != Schema) {
		t.Errorf("%s: %v (code %q, hint %q), want code %q", mode.name, err, code, hint, c.code(i))
	}
	byHand := byHand(url, sink.Name(), mode.plain)
	switch {
	case err == nil && byHand != nil:
		t.Errorf("%s: accepted, but Postgres says: %v", mode.name, byHand)
	case err != nil && byHand == nil && c.unsafe == "" && !(code == "row_security" && mode.rule.Tombstones): // it passes hidden rows over
		t.Errorf("%s: refused by %v, but Postgres takes it", mode.name, err)
	}
	if err != nil {
		return
	}
	if warned := len(s.targets[0].warnings) > 0; warned != c.warns && !(c.name == "InheritanceParent" && i > 0) {
		t.Errorf("%s: warnings %q", mode.name, s.targets[0].warnings)
	}
	tp := TopicPartition{Topic: "orders", Partition: int32(i)}
	pos := db.take(s, claim(tp, 0))[0]
	if res, err := commitBatch(ctx, s, Batch{rangeOf(pos, fmt.Sprintf(`{"id":%d,"v":5}`, i+1))}, nil); err != nil || res.Written != 1 {
		t.Errorf("%s: %+v, %v", mode.name, res, err)
	}
	from := sink.Name()
	if c.count != "" {
		from = c.count
	}
	db.want(fmt.Sprintf(`SELECT count(*) FROM %s WHERE id = %d AND v = 5`, from, i+1), "1")
}

// byHand asks Postgres whether it takes the mode's statement, and takes it back.
func byHand(url, table, plain string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	if plain == "" {
		_, err = conn.PgConn().CopyFrom(ctx, strings.NewReader("1\t5\n"), "COPY "+table+" (id, v) FROM STDIN")
		return err
	}
	_, err = tx.Exec(ctx, fmt.Sprintf(plain, table))
	return err
}

// TestRelationHints: what is said for the set-ups whose hints were wrong once names the cause and what helps.
func TestRelationHints(t *testing.T) {
	upsert := relationModes[1].rule
	for _, c := range []struct{ name, ddl, problem, hint string }{
		{"MaterializedView", `CREATE MATERIALIZED VIEW orders AS SELECT 1 AS id, 2 AS v`, "it is a materialized view", "load into a table"},
		{"DeferrableKey", `CREATE TABLE orders (id int PRIMARY KEY DEFERRABLE, v int)`, "constraint orders_pkey is DEFERRABLE", `CREATE UNIQUE INDEX ON "public"."orders" ("id")`},
		{"PartitionedByAnother", `CREATE TABLE orders (id int, v int) PARTITION BY RANGE (v); CREATE TABLE part PARTITION OF orders DEFAULT`,
			"partitioned by v", "`key: [id, v]` and CREATE UNIQUE INDEX ON \"public\".\"orders\" (\"id\", \"v\")"},
		{"NoIndex", `CREATE TABLE orders (id int, v int)`, "no unique index on its key (id)", `CREATE UNIQUE INDEX ON "public"."orders" ("id")`},
		{"NoIndexPartitioned", `CREATE TABLE orders (id int, v int) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF orders DEFAULT`,
			"no unique index on its key (id)", `CREATE UNIQUE INDEX ON "public"."orders" ("id")`},
		{"Invalid", `CREATE TABLE orders (id int, v int); CREATE UNIQUE INDEX broken ON orders (id); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass`,
			"index broken is not valid", `REINDEX INDEX "public"."broken"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := newDatabase(t)
			db.exec(c.ddl)
			s := db.store("a", orders(func(s *Sink) { s.Rule = upsert }))
			err := s.Prepare(context.Background())
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(e.Err.Error(), c.problem) || !strings.Contains(e.Hint, c.hint) {
				t.Fatalf("%v", err)
			}
			if !strings.HasPrefix(e.Hint, "CREATE UNIQUE INDEX") && !strings.HasPrefix(e.Hint, "REINDEX") {
				return
			}
			db.exec(e.Hint) // the hint is a statement: after it the sink can be served
			if err := s.Prepare(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}
