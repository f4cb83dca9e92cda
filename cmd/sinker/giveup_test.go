package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sinker/internal/app"
	"sinker/internal/local/localtest"
	"sinker/internal/local/pgproxy"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// twoSinks are one sink that something happens to, and one that must be loaded whatever happens.
const twoSinks = `sinks:
  - { topic: orders, table: orders, columns: { id: id bigint, note: note text } }
  - { topic: items, table: items, columns: { id: id bigint } }
`

// A scene is one set-up in which a bounded run cannot reach its ends.
type scene struct {
	opts    []kfake.Opt
	sinks   string // twoSinks when empty
	prepare func(s *stage)
	orders  []string // records of topic orders, partition 0
	reason  string   // what the command says; empty: it ends well
	command string
	items   int // rows that must be in table items
	wait    string
}

// atFirstFetch does something when sinker asks for records for the first time: after it has looked at everything.
func atFirstFetch(s *stage, do func()) {
	var once sync.Once
	s.kafka.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.kafka.KeepControl()
		s.kafka.SleepControl(func() { once.Do(do) })
		return nil, nil, false
	})
}

// as makes a role that may do what the guide says, and has sinker connect as it.
func (s *stage) as(role string) {
	s.t.Helper()
	name := role + s.one(`SELECT current_database()`)
	s.exec(`CREATE ROLE ` + name + ` LOGIN`)
	s.t.Cleanup(func() { s.exec(`DROP OWNED BY ` + name + `; DROP ROLE ` + name) })
	s.exec(`GRANT USAGE ON SCHEMA sinker, public TO ` + name + `; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sinker TO ` + name +
		`; GRANT INSERT ON orders, items TO ` + name)
	u, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	u.User = url.User(name)
	s.role, s.url = name, u.String()
}

func (s *stage) migrated() {
	s.t.Helper()
	s.sinker("migrate", "up", "--to", s.url).want(s.t, exitOK, "")
}

func (s *stage) admin() *kadm.Client {
	s.t.Helper()
	cl, err := kgo.NewClient(append(s.dial, kgo.SeedBrokers(s.brokers))...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

var saslOpts = []kfake.Opt{kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "admin")}

func mayRead(topics, groups []string) kfake.Opt {
	var acls []kfake.ACL
	allow := func(kind kmsg.ACLResourceType, name string, op kmsg.ACLOperation) {
		acls = append(acls, kfake.ACL{Resource: kind, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true})
	}
	for _, t := range []string{"orders", "items"} {
		allow(kmsg.ACLResourceTypeTopic, t, kmsg.ACLOperationDescribe)
	}
	for _, t := range topics {
		allow(kmsg.ACLResourceTypeTopic, t, kmsg.ACLOperationRead)
	}
	for _, g := range groups {
		allow(kmsg.ACLResourceTypeGroup, g, kmsg.ACLOperationRead)
	}
	return kfake.User("PLAIN", "reader", "reader", acls...)
}

func scenes() map[string]scene {
	stop := "errors: { do: stop }\n"
	during := func(sql string) func(s *stage) {
		return func(s *stage) {
			s.migrated()
			s.as("w")
			atFirstFetch(s, func() { s.exec(strings.ReplaceAll(sql, "$role", s.role)) })
		}
	}
	return map[string]scene{
		"ARefusedRecordAndDoStop":    {sinks: twoSinks + stop, orders: []string{`{"id":1}`, `nonsense`, `{"id":3}`}, reason: "orders/0 is stopped at 1, its end is 3: ", command: "sinker offsets set --topic orders --partition 0 --offset 2 --skip-records", items: 3},
		"ARowThatPostgresRefuses":    {sinks: twoSinks + stop, prepare: func(s *stage) { s.exec(`ALTER TABLE orders ADD CHECK (id <> 2)`) }, orders: []string{`{"id":1}`, `{"id":2}`}, reason: "orders/0 is stopped at 1, its end is 2: ", command: "--offset 2 --skip-records", items: 3},
		"TheTableIsDropped":          {prepare: during(`DROP TABLE orders`), orders: []string{`{"id":1}`}, reason: "orders/0 is waiting at 0, its end is 1: ", items: 3},
		"TheColumnIsDropped":         {prepare: during(`ALTER TABLE orders DROP COLUMN id`), orders: []string{`{"id":1}`}, reason: "orders/0 is waiting at 0", items: 3},
		"ThePrivilegeIsRevoked":      {prepare: during(`REVOKE INSERT ON orders FROM $role`), orders: []string{`{"id":1}`}, reason: "orders/0 is waiting at 0", items: 3},
		"TheTableBecomesAView":       {prepare: during(`DROP TABLE orders; CREATE VIEW orders AS SELECT 1::bigint AS id, ''::text AS note; GRANT INSERT ON orders TO $role`), orders: []string{`{"id":1}`}, reason: "orders/0 is waiting at 0", items: 3},
		"TheTableBecomesAMatView":    {prepare: during(`DROP TABLE orders; CREATE MATERIALIZED VIEW orders AS SELECT 1::bigint AS id, ''::text AS note; GRANT INSERT ON orders TO $role`), orders: []string{`{"id":1}`}, reason: "orders/0 is waiting at 0", items: 3},
		"TheRoleMayNotLogInAnyMore":  {prepare: during(`ALTER ROLE $role NOLOGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '$role'`), orders: []string{`{"id":1}`}, reason: "is not permitted to log in"},
		"TheLedgerMayNotBeWritten":   {prepare: during(`REVOKE ALL ON sinker.offsets FROM $role`), orders: []string{`{"id":1}`}, reason: "permission denied for table offsets"},
		"SomebodyHoldsTheTable":      {prepare: during(`BEGIN; LOCK TABLE orders`), orders: []string{`{"id":1}`}, reason: "orders/0 is waiting at 0"},
		"TheTopicMayNotBeRead":       {opts: append(saslOpts, mayRead([]string{"items"}, []string{"sinker"})), orders: []string{`{"id":1}`}, reason: "Kafka does not let this user read topic orders", items: 3},
		"TheGroupMayNotBeUsed":       {opts: append(saslOpts, mayRead([]string{"items", "orders"}, nil)), orders: []string{`{"id":1}`}, reason: "Kafka does not let this user join group sinker"},
		"TheTopicWasMadeAgain":       {prepare: madeAgain, orders: []string{`{"id":1}`}, reason: "it was deleted and made again", command: "sinker offsets reset --topic orders --partition 0", items: 3},
		"TheTopicIsDeletedMeanwhile": {prepare: func(s *stage) { atFirstFetch(s, func() { s.delete("orders") }) }, orders: []string{`{"id":1}`}, reason: "orders/0 is waiting"},
		"RecordsWereDeletedUnread":   {prepare: deletedUnread, orders: []string{`{"id":1}`, `{"id":2}`, `{"id":3}`}, reason: "Kafka has deleted offsets [1, 3)", command: "sinker offsets set --topic orders --partition 0 --offset 3 --skip-records", items: 3},
		"ThePositionIsBeyondTheEnd":  {prepare: beyondTheEnd, orders: []string{`{"id":1}`}, reason: "lies beyond the end of the log", command: "--write-again", items: 3},
		"NothingToMakeATableFrom":    {sinks: "sinks:\n  - { topic: orders, table: made, create: yes }\n  - { topic: items, table: items, columns: { id: id bigint } }\n", orders: []string{"\x00\x00\x00\x00\x01\x02", "\x00\x00\x00\x00\x01\x04"}, reason: "orders/0 is waiting at 0", items: 3},
		"TheGroupIsAnotherDatabases": {prepare: anotherDatabases, orders: []string{`{"id":1}`}, reason: "write to another database"},
		"KafkaGoesAway":              {prepare: away, orders: []string{`{"id":1}`}, reason: "Kafka", wait: "14s"},
		"KafkaSendsNothing":          {prepare: sendsNothing, orders: []string{`{"id":1}`}, reason: "Kafka has sent nothing for", items: 3},
		"APartitionWithoutALeader":   {prepare: leaderless, orders: []string{`{"id":1}`}, reason: "orders/0 is waiting", items: 3},
		"PostgresGoesAway":           {prepare: postgresAway, orders: []string{`{"id":1}`}, reason: "refused"},
		// It has the partition, or does not let the group come together.
		"AnotherMemberIsStuck":    {prepare: stuckMember, orders: []string{`{"id":1}`}, reason: "other member"}, /* that has it, or that does not let the group come together */
		"AnotherMemberHasStopped": {prepare: stoppedMember, sinks: twoSinks + stop, orders: []string{`{"id":1}`}, reason: "orders/0 is stopped at 1, its end is 2: ", command: "--offset 2 --skip-records"},
		"ABatchOverTheLimit": {prepare: overTheLimit, orders: []string{`{"id":1,"note":"` + strings.Repeat("x", 300_000) + `"}`},
			reason: "orders/0 is stopped at 0, its end is 1: ", command: "--offset 1 --skip-records", items: 3},
		"OnlyTombstones":                {sinks: twoSinks + "", orders: []string{tombstone, tombstone}, items: 3},
		"NoRecordsAtAll":                {items: 3},
		"OnlyAbortedTransactions":       {prepare: aborted, items: 3},
		"OnlyTombstonesAndATableToMake": {sinks: "sinks:\n  - { topic: orders, table: made, create: yes }\n  - { topic: items, table: items, columns: { id: id bigint } }\n", orders: []string{tombstone}, reason: "orders/0 is waiting at 0", items: 3},
	}
}

// TestABoundedRunEnds: whatever is in the way, `run --until-end` loads what can be loaded, says what is left and why, and ends.
func TestABoundedRunEnds(t *testing.T) {
	for name, c := range scenes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, c)
			began := time.Now()
			r := s.load("--wait", cmp.Or(c.wait, "4s"), "--json")
			if took := time.Since(began); took > 60*time.Second {
				t.Errorf("it took %s", took)
			}
			s.t.Logf("%.1f s, exit code %d: %s", time.Since(began).Seconds(), r.code, r.out)
			if c.reason == "" {
				r.want(t, exitOK, `"left":[]`)
			} else {
				s.checkLeft(r, c)
			}
			if n := s.one(`SELECT count(*) FROM items`); c.items > 0 && n != fmt.Sprint(c.items) {
				t.Errorf("%s rows in the other table, want %d\n%s", n, c.items, r.errors)
			}
		})
	}
}

func (s *stage) checkLeft(r result, c scene) {
	s.t.Helper()
	r.want(s.t, exitFailed, "not everything could be loaded")
	_, told, _ := strings.Cut(r.errors, "sinker: not everything could be loaded")
	if !strings.Contains(told, c.reason) || !strings.Contains(told, c.command) {
		s.t.Errorf("the error is to name %q and %q:\n%s", c.reason, c.command, r.errors)
	}
	var doc struct{ Left []app.Left }
	if err := json.Unmarshal([]byte(r.out), &doc); err != nil || len(doc.Left) == 0 {
		s.t.Fatalf("%v: %s", err, r.out)
	}
	for _, l := range doc.Left {
		if l.Reason == "" || l.State != "waiting" && l.State != "stopped" || l.Position == l.End {
			s.t.Errorf("%+v", l)
		}
	}
}

const tombstone = "\x00tombstone"

func newScene(t *testing.T, c scene) *stage {
	t.Helper()
	opts := append([]kfake.Opt{kfake.SeedTopics(1, "orders", "items"), kfake.GroupMinSessionTimeout(100 * time.Millisecond)}, c.opts...)
	s := &stage{t: t, kafka: localtest.Kafka(t, opts...), url: localtest.Database(t)}
	s.brokers = s.kafka.ListenAddrs()[0]
	s.connect()
	s.exec(`CREATE TABLE orders (id bigint, note text); CREATE TABLE items (id bigint)`)
	if len(c.opts) > 0 {
		s.dial = []kgo.Opt{kgo.SASL(plain.Auth{User: "admin", Pass: "admin"}.AsMechanism())}
		s.sasl = ", sasl: { mechanism: PLAIN, username: reader, password: reader }"
	}
	var records []*kgo.Record
	for _, v := range c.orders {
		r := &kgo.Record{Topic: "orders", Key: []byte("1"), Value: []byte(v)}
		if v == tombstone {
			r.Value = nil
		}
		records = append(records, r)
	}
	for _, v := range values(`{"id":1}`, `{"id":2}`, `{"id":3}`) {
		v.Topic = "items"
		records = append(records, v)
	}
	s.produceTo(records...)
	sinks := c.sinks
	if sinks == "" {
		sinks = twoSinks
	}
	s.configure(sinks)
	if c.prepare != nil {
		c.prepare(s)
		s.configure(sinks)
	}
	return s
}

func madeAgain(s *stage) {
	s.load().want(s.t, exitOK, "")
	s.exec(`DELETE FROM items; UPDATE sinker.offsets SET next_offset = 0, consumed = 0, written = 0 WHERE topic = 'items'`)
	s.delete("orders")
	if _, err := s.admin().CreateTopic(context.Background(), 1, 1, nil, "orders"); err != nil {
		s.t.Fatal(err)
	}
	s.produceTo(&kgo.Record{Topic: "orders", Value: []byte(`{"id":1}`)}, &kgo.Record{Topic: "orders", Value: []byte(`{"id":2}`)})
}

func (s *stage) delete(topic string) {
	s.t.Helper()
	if _, err := s.admin().DeleteTopic(context.Background(), topic); err != nil {
		s.t.Error(err)
	}
}

func deletedUnread(s *stage) {
	s.load().want(s.t, exitOK, "")
	s.exec(`DELETE FROM items; UPDATE sinker.offsets SET next_offset = 0, consumed = 0, written = 0 WHERE topic = 'items';
		UPDATE sinker.offsets SET next_offset = 1, consumed = 1, written = 1 WHERE topic = 'orders'`)
	s.produceTo(&kgo.Record{Topic: "orders", Value: []byte(`{"id":4}`)})
	var cut kadm.Offsets
	cut.Add(kadm.Offset{Topic: "orders", Partition: 0, At: 3})
	if _, err := s.admin().DeleteRecords(context.Background(), cut); err != nil {
		s.t.Fatal(err)
	}
}

func beyondTheEnd(s *stage) {
	s.load().want(s.t, exitOK, "")
	s.exec(`DELETE FROM items; UPDATE sinker.offsets SET next_offset = 0, consumed = 0, written = 0 WHERE topic = 'items';
		UPDATE sinker.offsets SET next_offset = 50 WHERE topic = 'orders'`)
}

// anotherDatabases has a service of the same name write to another database.
func anotherDatabases(s *stage) {
	here := s.url
	s.url = localtest.Database(s.t)
	s.configure("sinks: [{ topic: orders, table: elsewhere, create: yes, columns: { id: id bigint } }]\n")
	s.background("the group's other member to read", `SELECT count(*) FROM sinker.offsets WHERE next_offset > 0`, s.url)
	s.url = here
}

// background runs the configured service until the end of the test, and waits until a query gives more than 0.
func (s *stage) background(what, sql, db string) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int)
	var out lockedBuffer
	go func() { done <- run(ctx, []string{"run", "-c", s.file}, &out, &out) }()
	s.t.Cleanup(func() { cancel(); <-done })
	conn, err := pgx.Connect(context.Background(), db)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close(context.Background()) })
	s.eventually(what, func() bool {
		var n int
		return conn.QueryRow(context.Background(), sql).Scan(&n) == nil && n > 0
	})
}

// through has sinker reach Postgres through a proxy.
func (s *stage) through() *pgproxy.Proxy {
	s.t.Helper()
	p, url, err := pgproxy.Before(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(p.Close)
	s.url = url
	return p
}

func postgresAway(s *stage) {
	p := s.through()
	atFirstFetch(s, p.Close)
}

// overTheLimit allows less for a batch than the one of topic orders takes in memory.
func overTheLimit(s *stage) {
	s.sasl = ", max_batch: 64KiB"
	s.configure(twoSinks)
}

// stuckMember has a service that has all partitions and whose transactions never end.
func stuckMember(s *stage) {
	here := s.url
	p := s.through()
	s.configure(twoSinks)
	s.background("another member to have read everything", `SELECT count(*) FROM orders, items HAVING count(*) = 3`, here)
	p.OnCommit(func(int) pgproxy.Fate { return pgproxy.HoleBefore })
	s.produceTo(&kgo.Record{Topic: "orders", Value: []byte(`{"id":2}`)}, &kgo.Record{Topic: "items", Value: []byte(`{"id":4}`)})
	s.eventually("it to be stuck", func() bool { return p.Fates()[pgproxy.HoleBefore] > 0 })
	s.url = here
}

// stoppedMember has a service whose partition has stopped.
func stoppedMember(s *stage) {
	s.configure(twoSinks + "errors: { do: stop }\n")
	s.background("another member to have read everything", `SELECT count(*) FROM orders, items HAVING count(*) = 3`, s.url)
	s.produceTo(&kgo.Record{Topic: "orders", Value: []byte(`nonsense`)})
	s.eventually("it to stop", func() bool { return s.one(`SELECT count(*) FROM sinker.offsets WHERE stopped IS NOT NULL`) == "1" })
}

func sendsNothing(s *stage) {
	orders := s.topicID("orders")
	s.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		s.kafka.KeepControl()
		fetch := req.(*kmsg.FetchRequest)
		for i := range fetch.Topics {
			if fetch.Topics[i].TopicID == orders || fetch.Topics[i].Topic == "orders" {
				for j := range fetch.Topics[i].Partitions {
					fetch.Topics[i].Partitions[j].FetchOffset = 1 // the end: there is nothing
				}
			}
		}
		return nil, nil, false
	})
}

func (s *stage) topicID(topic string) [16]byte {
	s.t.Helper()
	m, err := s.admin().Metadata(context.Background(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	return [16]byte(m.Topics[topic].ID)
}

// leaderless has a partition lose its leader when sinker joins the group.
func leaderless(s *stage) {
	var gone atomic.Bool
	s.kafka.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		gone.Store(true)
		return nil, nil, false
	})
	s.kafka.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		s.kafka.KeepControl()
		if !gone.Load() {
			return nil, nil, false
		}
		list := req.(*kmsg.ListOffsetsRequest)
		resp := list.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, asked := range list.Topics {
			t := kmsg.NewListOffsetsResponseTopic()
			t.Topic = asked.Topic
			p := kmsg.NewListOffsetsResponseTopicPartition()
			if asked.Topic == "orders" {
				p.ErrorCode = kerr.LeaderNotAvailable.Code
			} else if p.Offset = 0; asked.Partitions[0].Timestamp == -1 {
				p.Offset = 3
			}
			t.Partitions = append(t.Partitions, p)
			resp.Topics = append(resp.Topics, t)
		}
		return resp, nil, true
	})
}

// away has Kafka go away when sinker asks for records for the first time.
func away(s *stage) {
	var once sync.Once
	s.kafka.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.kafka.KeepControl()
		once.Do(func() { go s.kafka.Close() })
		return nil, errors.New("the connection breaks"), true
	})
}

func aborted(s *stage) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.brokers), kgo.TransactionalID("x"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		s.t.Fatal(err)
	}
	if err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: "orders", Value: []byte(`{"id":1}`)}).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
	if err := cl.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
		s.t.Fatal(err)
	}
}
