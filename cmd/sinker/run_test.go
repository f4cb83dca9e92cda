package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sinker/internal/app"
	"sinker/internal/local/await"
	"sinker/internal/local/localtest"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// stage is one test's Kafka, database and configuration file.
type stage struct {
	t       *testing.T
	kafka   *kfake.Cluster
	url     string
	conn    *pgx.Conn
	file    string
	brokers string
	sasl    string    // more of the configuration's kafka
	dial    []kgo.Opt // how the test itself reaches Kafka
	role    string    // sinker connects as, when it is not the superuser
}

func newStage(t *testing.T, sinks string) *stage {
	t.Helper()
	s := &stage{t: t, kafka: localtest.Kafka(t, kfake.SeedTopics(3, "orders"), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "200000000"})), url: localtest.Database(t), file: filepath.Join(t.TempDir(), "sinker.yaml")}
	s.brokers = s.kafka.ListenAddrs()[0]
	s.connect()
	s.configure(sinks)
	return s
}

// connect connects the test itself to the database.
func (s *stage) connect() {
	s.t.Helper()
	conn, err := pgx.Connect(context.Background(), s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close(context.Background()) })
	s.conn = conn
}

// configure writes the configuration: the two connections, and the rest as given.
func (s *stage) configure(rest string) {
	s.t.Helper()
	text := fmt.Sprintf("kafka: { brokers: '%s', instance: off%s }\npostgres: %s\nhttp: off\n%s", s.brokers, s.sasl, s.url, rest)
	if s.file == "" {
		s.file = filepath.Join(s.t.TempDir(), "sinker.yaml")
	}
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) produce(records ...*kgo.Record) {
	s.t.Helper()
	for _, r := range records {
		r.Topic = "orders"
	}
	s.produceTo(records...)
}

// produceTo produces records that name their topics.
func (s *stage) produceTo(records ...*kgo.Record) {
	s.t.Helper()
	cl, err := kgo.NewClient(append(s.dial, kgo.SeedBrokers(s.brokers), kgo.ProducerBatchMaxBytes(100<<20), kgo.MaxBufferedBytes(200<<20), kgo.BrokerMaxWriteBytes(120<<20))...)
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

func values(v ...string) (out []*kgo.Record) {
	for _, s := range v {
		out = append(out, &kgo.Record{Value: []byte(s)})
	}
	return out
}

// result is what a command printed and how it ended.
type result struct {
	code        int
	out, errors string
}

// sinker runs the program in this process.
func (s *stage) sinker(args ...string) result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	var stdout, stderr lockedBuffer
	code := run(ctx, args, &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// load runs until the end.
func (s *stage) load(more ...string) result {
	s.t.Helper()
	return s.sinker(append([]string{"run", "-c", s.file, "--until-end"}, more...)...)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (r result) want(t *testing.T, code int, text string) {
	t.Helper()
	if r.code != code || !strings.Contains(oneSpace(r.out+r.errors), oneSpace(text)) {
		t.Errorf("exit code %d, want %d and %q\n%s%s", r.code, code, text, r.out, r.errors)
	}
}

var spaces = regexp.MustCompile(` +`)

// oneSpace makes one space of several: how far apart columns are is internal/table's.
func oneSpace(text string) string { return spaces.ReplaceAllString(text, " ") }

func (s *stage) one(sql string) string {
	s.t.Helper()
	var v any
	if err := s.conn.QueryRow(context.Background(), sql).Scan(&v); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return fmt.Sprint(v)
}

func (s *stage) exec(sql string) {
	s.t.Helper()
	if _, err := s.conn.Exec(context.Background(), sql); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

const ordersSink = "sinks: [{ topic: orders, table: orders, create: yes, meta: [partition, offset], columns: { id: id bigint, note: note text } }]\n"

func TestRun(t *testing.T) {
	t.Run("UntilEndAndAgain", func(t *testing.T) {
		s := newStage(t, ordersSink)
		s.produce(values(`{"id":1}`, `{"id":2,"note":"x"}`, `nonsense`)...)
		s.load().want(t, exitOK, "3 records, 1 dead letter,")
		if n := s.one(`SELECT count(*) FROM orders`); n != "2" {
			t.Errorf("%s rows", n)
		}
		s.produce(values(`{"id":3}`)...)
		r := s.load("--json")
		r.want(t, exitOK, `"records":1`)
		var doc struct{ Tables []app.TableSum }
		if err := json.Unmarshal([]byte(r.out), &doc); err != nil || len(doc.Tables) != 1 || doc.Tables[0].Rows != 1 {
			t.Errorf("%+v, %v: %s", doc, err, r.out)
		}
		s.sinker("status", "-c", s.file).want(t, exitOK, "orders")
		s.sinker("check", "-c", s.file).want(t, exitOK, "1 of a sample of 4 records cannot become rows")
		s.sinker("verify", "-c", s.file).want(t, exitOK, "DIFFERENCES")
		s.exec(`INSERT INTO orders SELECT * FROM orders LIMIT 1`)
		s.sinker("verify", "-c", s.file).want(t, exitDifference, "some are there more than once")
	})

	t.Run("VerifyFindsALostRow", func(t *testing.T) {
		s := newStage(t, ordersSink)
		s.produce(values(`{"id":1}`, `{"id":2}`)...)
		s.load().want(t, exitOK, "2 records")
		s.exec(`DELETE FROM orders WHERE id = 1`)
		s.sinker("verify", "-c", s.file).want(t, exitDifference, "sinker wrote")
	})

	t.Run("VerifyFindsAnotherLog", func(t *testing.T) {
		s := newStage(t, ordersSink)
		s.produce(values(`{"id":1}`, `{"id":2}`)...)
		s.load().want(t, exitOK, "2 records")
		s.exec(`UPDATE sinker.offsets SET open_checksum = open_checksum + 1 WHERE written > 0`)
		s.sinker("verify", "-c", s.file).want(t, exitDifference, "checksum")
	})

	t.Run("FlagsAlone", func(t *testing.T) {
		s := newStage(t, "")
		s.produce(values(`{"id":1,"name":"x","price":1.50}`)...)
		s.sinker("run", "--brokers", s.brokers, "--topic", "orders", "--to", s.url, "--create", "--until-end").want(t, exitOK, "1 record,")
		if got := s.one(`SELECT id || name || price FROM orders`); got != "1x1.50" {
			t.Error(got)
		}
	})

	t.Run("ServiceUntilToldToStop", func(t *testing.T) {
		s := newStage(t, ordersSink)
		s.produce(values(`{"id":1}`)...)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var stderr lockedBuffer
		code := make(chan int, 1)
		go func() { code <- run(ctx, []string{"run", "-c", s.file}, &stderr, &stderr) }()
		s.eventually("the row", func() bool {
			return s.one(`SELECT to_regclass('orders') IS NOT NULL`) == "true" && s.one(`SELECT count(*) FROM orders`) == "1"
		})
		cancel()
		if c := <-code; c != exitOK {
			t.Errorf("exit code %d\n%s", c, stderr.String())
		}
	})

	t.Run("AFiftyMegabyteRecord", func(t *testing.T) {
		s := newStage(t, ordersSink)
		s.produce(&kgo.Record{Value: []byte(`{"id":1,"note":"` + strings.Repeat("x", 50<<20) + `"}`)}, &kgo.Record{Value: []byte(`{"id":2}`)})
		s.load().want(t, exitOK, "2 records, 0 dead letters")
		if n := s.one(`SELECT max(length(note)) FROM orders`); n != fmt.Sprint(50<<20) {
			t.Errorf("note of %s bytes", n)
		}
	})

	t.Run("EmptyNullAndWrongPayloads", func(t *testing.T) {
		s := newStage(t, ordersSink)
		s.produce(append(values("", "null", "[1]", `"x"`, `{"id":1}x`, `{"id":"a"}`, `{"id":99999999999999999999}`, `{"note":"\u0000"}`, "{\"note\":\"\xff\"}"), &kgo.Record{})...)
		s.load().want(t, exitOK, "10 records, 10 dead letters")
		if got := s.one(`SELECT bool_and(reason <> '' AND code <> '') AND count(*) = 10 FROM sinker.dead_letters`); got != "true" {
			t.Error("a dead letter without a reason")
		}
	})
}

// deadPort is an address on which nobody listens.
func deadPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestBadDays holds each mistake and each outage at the start to its exit code and its words.
func TestBadDays(t *testing.T) {
	s := newStage(t, ordersSink)
	with := func(sinks string) []string {
		s.configure(sinks)
		return []string{"run", "-c", s.file, "--until-end"}
	}
	flags := func(brokers, topic, to string) []string {
		return []string{"run", "--brokers", brokers, "--topic", topic, "--to", to, "--create", "--until-end"}
	}
	bad := strings.Replace(s.url, "postgres@", "nobody_here@", 1)
	for _, c := range []struct {
		name string
		args []string
		code int
		text string
	}{
		{"NoSuchFile", []string{"run", "-c", "/nowhere/sinker.yaml"}, exitConfig, "/nowhere/sinker.yaml: cannot read it"},
		{"NoSuchFlag", []string{"run", "--tpoic", "x"}, exitUsage, "unknown flag"},
		{"NoSuchCommand", []string{"rnu"}, exitUsage, "rnu"},
		{"ExtraArgument", []string{"status", "x"}, exitUsage, "x"},
		{"FileAndFlags", []string{"run", "-c", s.file, "--topic", "x"}, exitUsage, "--topic cannot be combined with --config"},
		{"NoBroker", flags(deadPort(t), "orders", s.url), exitUnavailable, "cannot be reached"},
		{"NoDatabaseServer", flags(s.brokers, "orders", "postgres://postgres@"+deadPort(t)+"/x?connect_timeout=2"), exitUnavailable, "connect"},
		{"NoSuchDatabase", flags(s.brokers, "orders", s.url[:strings.LastIndex(s.url, "/")]+"/nothing_here"), exitConfig, "create the database, or correct it"},
		{"NoSuchUser", flags(s.brokers, "orders", bad), exitConfig, "check the user and password"},
		{"NotAKafka", flags(strings.Split(strings.Split(s.url, "@")[1], "/")[0], "orders", s.url), exitConfig, "is a Postgres server"},
		{"NoSuchTopic", flags(s.brokers, "order", s.url), exitConfig, "did you mean orders?"},
		{"NoSuchTable", with("sinks: [{ topic: orders, table: nothing_here }]\n"), exitConfig, "create: yes"},
		{"NoSuchSchema", with("sinks: [{ topic: orders, table: far.away, create: yes, columns: { id: id int } }]\n"), exitConfig, `schema "far" does not exist`},
		{"WrongKeyColumn", []string{"run", "--brokers", s.brokers, "--topic", "orders", "--to", s.url, "--table", "t", "--key", "nope", "--until-end"}, exitConfig, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "NoSuchTable" || c.name == "NoSuchSchema" {
				c.args = with(map[string]string{"NoSuchTable": "sinks: [{ topic: orders, table: nothing_here }]\n", "NoSuchSchema": "sinks: [{ topic: orders, table: far.away, create: yes, columns: { id: id int } }]\n"}[c.name])
			}
			r := s.sinker(c.args...)
			r.want(t, c.code, c.text)
			if strings.Contains(r.errors, "goroutine ") {
				t.Errorf("a panic:\n%s", r.errors)
			}
		})
	}
	t.Run("NoSuchColumn", func(t *testing.T) {
		s.exec(`CREATE TABLE narrow (identity int)`)
		s.configure("sinks: [{ topic: orders, table: narrow, columns: { identiy: id } }]\n")
		s.load().want(t, exitConfig, "identity")
	})
	t.Run("WithoutMigrations", func(t *testing.T) {
		fresh := newStage(t, ordersSink)
		fresh.load("--migrate=false").want(t, exitConfig, "sinker migrate up")
	})
}

// A service that is told to stop while it still starts has not failed; a load up to the end of the topics has.
func TestStoppedWhileStarting(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // answers nobody
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for end, want := range map[string]int{"--until-end=false": exitOK, "--until-end": exitFailed} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			if _, err := silent.Accept(); err == nil {
				cancel()
			}
		}()
		var out strings.Builder
		args := []string{"run", "--brokers", "127.0.0.1:1", "--topic", "orders", "--http", "off", end, "--to", "postgres://postgres@" + silent.Addr().String() + "/x?sslmode=disable"}
		if code := run(ctx, args, io.Discard, &out); code != want {
			t.Errorf("%s: exit code %d, want %d: %s", end, code, want, out.String())
		}
	}
}

func (s *stage) eventually(what string, ok func() bool) {
	s.t.Helper()
	await.Within(s.t, 60*time.Second, what, ok)
}
