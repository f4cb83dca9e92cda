package main

import (
	"net/url"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const checkedSink = "sinks: [{ topic: orders, table: orders }]\n"

// TestCheckFinds: check finds what `run` would fail or wait for, and says what helps, over broken set-ups of every kind.
func TestCheckFinds(t *testing.T) {
	const grants = `; GRANT USAGE ON SCHEMA sinker TO $role; GRANT SELECT ON sinker.schema_migrations TO $role; GRANT SELECT, INSERT, UPDATE ON sinker.offsets TO $role;
		GRANT INSERT ON sinker.dead_letters TO $role; GRANT SELECT, INSERT, DELETE ON sinker.batches TO $role; GRANT ALL ON orders TO $role`
	const table = `CREATE TABLE orders (id int PRIMARY KEY, note text)` + grants
	const serial = table + `; CREATE SEQUENCE own; ALTER TABLE orders ALTER id SET DEFAULT nextval('own')`
	upsert := "sinks: [{ topic: orders, table: orders, key: id }]\n"
	for _, c := range []struct {
		name, ddl, sinks string
		records          []string
		code             int
		want             string
	}{
		{"Right", table, checkedSink, some(`{"id":1}`), exitOK, "may be joined"},
		{"RightUpsert", table, upsert, some(`{"id":1}`), exitOK, "upsert: id, note"},
		{"NoUsageOfSinker", table + `; REVOKE USAGE ON SCHEMA sinker FROM $role`, checkedSink, nil, exitConfig, "schema sinker"},
		{"NoUpdateOfOffsets", table + `; REVOKE UPDATE ON sinker.offsets FROM $role`, checkedSink, nil, exitConfig, "GRANT UPDATE ON sinker.offsets TO"},
		{"NoInsertOfOffsets", table + `; REVOKE INSERT ON sinker.offsets FROM $role`, checkedSink, nil, exitConfig, "GRANT INSERT ON sinker.offsets TO"},
		{"NoInsertOfLetters", table + `; REVOKE INSERT ON sinker.dead_letters FROM $role`, checkedSink, nil, exitConfig, "GRANT INSERT ON sinker.dead_letters TO"},
		{"NoInsertOfBatches", table + `; REVOKE INSERT ON sinker.batches FROM $role`, checkedSink, nil, exitConfig, "GRANT INSERT ON sinker.batches TO"},
		{"NoDeleteOfBatches", table + `; REVOKE DELETE ON sinker.batches FROM $role`, checkedSink, nil, exitConfig, "GRANT DELETE ON sinker.batches TO"},
		{"NoSelectOfAudit", table + `; GRANT INSERT ON sinker.audit TO $role`, checkedSink, nil, exitOK, "GRANT SELECT ON sinker.audit TO"},
		{"NothingOnAudit", table, checkedSink, nil, exitOK, "GRANT SELECT, INSERT ON sinker.audit TO"},
		{"NoTable", table + `; DROP TABLE orders`, checkedSink, nil, exitConfig, "the table does not exist"},
		{"NoInsert", table + `; REVOKE INSERT ON orders FROM $role`, checkedSink, nil, exitConfig, `GRANT INSERT ON "public"."orders" TO`},
		{"NoUsageOfSequence", serial, checkedSink, some(`{"id":1}`, `{"note":"a"}`), exitConfig, "GRANT USAGE ON SEQUENCE public.own TO"},
		{"SequenceThatNoRecordNeeds", serial, checkedSink, some(`{"id":1}`, `{"id":2,"note":"a"}`), exitOK, "a sample of 2 records fits"},
		{"NoUniqueIndex", table + `; ALTER TABLE orders DROP CONSTRAINT orders_pkey`, upsert, nil, exitConfig, `CREATE UNIQUE INDEX ON "public"."orders" ("id")`},
		{"Deferrable", table + `; ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (id) DEFERRABLE`, upsert, nil, exitConfig, "DEFERRABLE"},
		{"RowSecurity", table + `; ALTER TABLE orders ENABLE ROW LEVEL SECURITY`, checkedSink, nil, exitConfig, "BYPASSRLS"},
		{"Rule", table + `; CREATE RULE r AS ON INSERT TO orders DO INSTEAD NOTHING`, checkedSink, nil, exitConfig, "COPY would pass by its rule r"},
		{"View", table + `; ALTER TABLE orders RENAME TO base; CREATE VIEW orders AS SELECT * FROM base; GRANT ALL ON orders TO $role`, checkedSink, nil, exitConfig, "INSTEAD OF INSERT"},
		{"MaterializedView", table + `; ALTER TABLE orders RENAME TO base; CREATE MATERIALIZED VIEW orders AS SELECT * FROM base`, checkedSink, nil, exitConfig, "it is a materialized view"},
		{"Sequence", table + `; DROP TABLE orders; CREATE SEQUENCE orders`, checkedSink, nil, exitConfig, "it is a sequence"},
		{"NoTemp", table + `; REVOKE TEMP ON DATABASE $database FROM PUBLIC`, upsert, nil, exitConfig, "GRANT TEMPORARY ON DATABASE"},
		{"MayNotCreate", table + `; DROP TABLE orders; REVOKE CREATE ON SCHEMA public FROM PUBLIC`, "sinks: [{ topic: orders, table: orders, create: yes, columns: { id: id int } }]\n", nil, exitConfig, "GRANT USAGE, CREATE ON SCHEMA"},
		{"NoSchema", table, "sinks: [{ topic: orders, table: far.orders, create: yes, columns: { id: id int } }]\n", nil, exitConfig, "CREATE SCHEMA"},
		{"Unlogged", table + `; ALTER TABLE orders SET UNLOGGED`, checkedSink, nil, exitOK, "WARN  table \"public\".\"orders\""},
		{"NewerSchema", table + `; UPDATE sinker.schema_migrations SET version = 900000`, checkedSink, nil, exitConfig, "run a newer sinker"},
		{"DirtySchema", table + `; UPDATE sinker.schema_migrations SET dirty = true`, checkedSink, nil, exitConfig, "failed half way"},
		{"NoTopic", table, "sinks: [{ topic: order, table: orders }]\n", nil, exitConfig, "did you mean orders?"},
		{"SomeBadRecords", table, checkedSink, some(`{"id":1}`, `x`, `{"id":"a"}`), exitOK, "WARN  topic orders           2 of a sample of 3 records cannot become rows"},
		{"BadRecordThatStops", table, checkedSink + "errors: { do: stop }\n", some(`{"id":1}`, `x`), exitConfig, "1 of a sample of 2 records cannot become rows"},
		{"AllBadRecords", table, checkedSink, some(`x`, `y`), exitConfig, "FAIL  topic orders           2 of a sample of 2 records cannot become rows"},
		{"TwoSinksCountOnce", table + `; CREATE TABLE other (id int); GRANT ALL ON other TO $role`, "sinks: [{ topic: orders, table: orders }, { topic: orders, table: other }]\n", some(`{"id":1}`, `x`), exitOK, "1 of a sample of 2 records"},
		{"TableThatJoinsLate", table + `; INSERT INTO sinker.offsets (pipeline, topic, partition, topic_id, start_offset, next_offset) VALUES ('sinker', 'orders', 0, gen_random_uuid(), 0, 40), ('sinker', 'orders', 1, gen_random_uuid(), 3, 3)`,
			checkedSink, nil, exitOK, "it begins at orders/0 at offset 40, and earlier records are not loaded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, c.sinks)
			s.sinker("migrate", "up", "--to", s.url).want(t, exitOK, "")
			s.asRole(c.ddl)
			s.configure(c.sinks)
			s.produce(values(c.records...)...)
			s.sinker("check", "-c", s.file).want(t, c.code, c.want)
		})
	}
}

func some(v ...string) []string { return v }

// asRole makes a role, runs ddl, in which it is $role, and lets the stage's configuration connect as it.
func (s *stage) asRole(ddl string) {
	s.t.Helper()
	name := s.one(`SELECT current_database()`)
	role := "c_" + name
	s.exec(`CREATE ROLE ` + role + ` LOGIN`)
	s.exec(strings.NewReplacer("$role", role, "$database", name).Replace(ddl))
	s.t.Cleanup(func() { s.exec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
	u, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	u.User = url.User(role)
	s.url = u.String()
}

// TestCheckBeforeTheFirstRun: what `run` makes by itself is no failure, unless this role may not make it.
func TestCheckBeforeTheFirstRun(t *testing.T) {
	s := newStage(t, checkedSink)
	s.exec(`CREATE TABLE orders (id int)`)
	s.sinker("check", "-c", s.file).want(t, exitOK, "`run` brings it there")
	s.asRole(`GRANT ALL ON orders TO $role; REVOKE CREATE ON DATABASE $database FROM PUBLIC`)
	s.configure(checkedSink)
	s.sinker("check", "-c", s.file).want(t, exitConfig, "may not make or change schema sinker")
}

// TestCheckGroup: a user that may not join the group is found without joining it.
func TestCheckGroup(t *testing.T) {
	s := newStage(t, checkedSink)
	s.exec(`CREATE TABLE orders (id int)`)
	s.kafka.ControlKey(int16(kmsg.DescribeGroups), func(req kmsg.Request) (kmsg.Response, error, bool) {
		s.kafka.KeepControl()
		resp := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
		for _, g := range req.(*kmsg.DescribeGroupsRequest).Groups {
			group := kmsg.NewDescribeGroupsResponseGroup()
			group.Group, group.ErrorCode = g, kerr.GroupAuthorizationFailed.Code
			resp.Groups = append(resp.Groups, group)
		}
		return resp, nil, true
	})
	s.sinker("check", "-c", s.file).want(t, exitConfig, "kafka-acls --add --operation Read --group sinker")
}

// TestRunWarnsOfALateTable: a table that is empty while its pipeline stands further on is named when it starts.
func TestRunWarnsOfALateTable(t *testing.T) {
	s := newStage(t, ordersSink)
	s.produce(values(`{"id":1}`, `{"id":2}`)...)
	s.load().want(t, exitOK, "2 records")
	if r := s.load(); strings.Contains(r.errors, "earlier records") {
		t.Errorf("warned of a table that has its rows:\n%s", r.errors)
	}
	s.configure(strings.Replace(ordersSink, "}]", "}, { topic: orders, table: late, create: yes, columns: { id: id bigint } }]", 1))
	s.load().want(t, exitOK, `"public\".\"late\" is empty`)
}
