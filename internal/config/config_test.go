package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

const small = `kafka:    { brokers: localhost:9092 }
postgres: ${DATABASE_URL}
sinks:
  - topic: orders
    table: orders
`

func vars(kv ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(kv); i += 2 {
			if kv[i] == name {
				return kv[i+1], true
			}
		}
		return "", false
	}
}

var database = vars("DATABASE_URL", "postgres://u:secret@h/db")

func TestSixLinesAreAPipeline(t *testing.T) {
	p, err := Parse("sinker.yaml", []byte(small), database)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "sinker" || p.Workers != 2 || p.Batch.Rows != 50_000 || p.Batch.Bytes != 32<<20 || p.HTTP != "127.0.0.1:8080" || p.Errors.Do != "dead_letter" {
		t.Errorf("defaults: %+v", p)
	}
	if len(p.Sinks) != 1 || p.Sinks[0].Schema != "public" || p.Sinks[0].Table != "orders" || p.Postgres.URL.Reveal() != "postgres://u:secret@h/db" {
		t.Errorf("%+v", p)
	}
}

func TestExampleIsAccepted(t *testing.T) {
	src, err := os.ReadFile("../../sinker.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse("sinker.example.yaml", src, vars("KAFKA_PASSWORD", "x"))
	if err != nil {
		t.Fatal(err)
	}
	s := p.Sinks[0]
	if s.Schema != "sales" || !s.Create || !s.Rule.Tombstones || len(s.Rule.Columns) != 7 || s.Rule.Columns[1].Path != "amount.total" || s.Rule.Columns[1].Type != "numeric(12,2)" {
		t.Errorf("%+v", s)
	}
	if !p.Sinks[1].Regex || !p.Sinks[1].Regexp().MatchString("audit-eu") || p.Errors.StopAfter != 0.01 || p.Kafka.SessionTimeout != 6*time.Second {
		t.Errorf("%+v", p)
	}
}

// TestProblems holds each mistake to its place and its words.
func TestProblems(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"UnknownKey", small + "worker: 3\n", `x.yaml:6:1: unknown key "worker" in the configuration; did you mean "workers"?`},
		{"UnknownKeyInSink", small + "    tabel: x\n", `x.yaml:6:5: unknown key "tabel" in a sink; did you mean "table"?`},
		{"LaterKey", small + "    where: a = 1\n", `x.yaml:6:12: where is not supported by this version`},
		{"DuplicateKey", small + "    topic: again\n", `topic is given twice; first in line 4`},
		{"UnsetVariable", strings.Replace(small, "DATABASE_URL", "NOT_SET", 1), `x.yaml:2:11: postgres: variable NOT_SET is not set; set it, or give a default`},
		{"RequiredVariable", strings.Replace(small, "${DATABASE_URL}", "${X:?the database}", 1), `variable X is not set: the database`},
		{"WrongType", small + "workers: many\n", `x.yaml:6:10: workers must be a whole number from 1 to 64, not "many"`},
		{"TooMany", small + "workers: 65\n", `from 1 to 64`},
		{"NoSinks", "kafka: {brokers: 'a:1'}\npostgres: a=b\nsinks: []\n", `x.yaml:3:8: sinks must be a list`},
		{"NothingThere", "name: x\n", `kafka is missing`},
		{"Empty", "", `is empty`},
		{"Comment", "# nothing\n", `is empty`},
		{"NotAMapping", "- a\n", `the configuration must be a mapping of keys, not a list`},
		{"TwoDocuments", small + "---\nname: x\n", `a second document`},
		{"Tab", "kafka:\n\tbrokers: x\n", `a tab: YAML is indented with spaces`},
		{"VariableInBraces", strings.Replace(small, "localhost:9092", "localhost:9092, instance: ${A}", 1), `a ${…} within { } must stand in quotes`},
		{"NotYAML", "kafka: [\n", `not YAML`},
		{"Broker", strings.Replace(small, "localhost:9092", "localhost", 1), `"localhost" is not host:port`},
		{"DatabaseURL", strings.Replace(small, "${DATABASE_URL}", "mysql://u:secret@h", 1), `postgres is not a connection URL`},
		{"TopicName", strings.Replace(small, "topic: orders", "topic: 'or;ders'", 1), `"or;ders" can not be a topic`},
		{"Regexp", strings.Replace(small, "topic: orders", "topic: /(/", 1), `missing closing )`},
		{"LongTable", strings.Replace(small, "table: orders", "table: "+strings.Repeat("é", 32), 1), `has 64 bytes, and Postgres keeps 63`},
		{"TableParts", strings.Replace(small, "table: orders", "table: a.b.c", 1), `write table or schema.table`},
		{"ColumnType", small + "    columns: { id: id bigimt }\n", `bigint`},
		{"ColumnTwice", small + "    columns: { id: id, id: x }\n", `column id is given twice`},
		{"CreateWithoutType", small + "    create: yes\n    columns: { id: a.id }\n", `column id needs a type`},
		{"DeleteWithoutKey", small + "    delete: tombstone\n", `delete needs a key`},
		{"KeyNotAColumn", small + "    key: x\n    columns: { id: id }\n", `key column x is not among the columns`},
		{"Meta", small + "    meta: [ofset]\n", `"ofset" is not one of`},
		{"SameTableTwice", small + "  - { topic: orders, table: orders }\n", `every record would be there twice`},
		{"Size", small + "batch: { bytes: 32 potatoes }\n", `must be a size such as 32MiB`},
		{"Duration", small + "batch: { every: -1s }\n", `must be a duration`},
		{"Share", small + "errors: { stop_after: 101% }\n", `must be a share`},
		{"Start", strings.Replace(small, "localhost:9092", "localhost:9092, start: newest", 1), `kafka.start must be earliest, latest or a time`},
		{"PlainInTheClear", strings.Replace(small, "localhost:9092", "'far.example:9092', sasl: { mechanism: PLAIN, username: a, password: b }", 1), `PLAIN would send the password in the clear`},
		{"NoMechanism", strings.Replace(small, "localhost:9092", "localhost:9092, sasl: { username: a, password: b }", 1), `kafka.sasl.mechanism is missing`},
		{"CertWithoutKey", strings.Replace(small, "localhost:9092", "localhost:9092, tls: { cert: a }", 1), `cert and key belong together`},
		{"Name", "name: a b\n" + small, `name must be up to 200 letters`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("x.yaml", []byte(c.src), database)
			var e *Errors
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant an error that says %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
	t.Run("AllAtOnce", func(t *testing.T) {
		_, err := Parse("x.yaml", []byte("nam: x\nworkers: 0\n"), database)
		var e *Errors
		if !errors.As(err, &e) || len(e.Problems) != 5 {
			t.Errorf("want five problems, got %v", err)
		}
	})
	t.Run("AliasBomb", func(t *testing.T) {
		src := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
		for i := 1; i < 12; i++ {
			src += fmt.Sprintf("a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
		}
		if _, err := Parse("x.yaml", []byte(src+small), database); err == nil {
			t.Error("accepted")
		}
	})
}

func TestExpand(t *testing.T) {
	lookup := vars("A", "1", "EMPTY", "", "EVIL", "x\nworkers: 9")
	for in, want := range map[string]string{
		"${A}": "1", "a${A}b${A}": "a1b1", "$$A": "$A", "$A": "$A", "100$": "100$", "${X:-d}": "d", "${EMPTY:-d}": "d", "${EMPTY}": "", "${A:-d}": "1", "${X:-a:b}": "a:b",
	} {
		if got, err := expand(in, lookup); err != nil || got != want {
			t.Errorf("expand(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"${X}", "${EMPTY:?m}", "${", "${}", "${A B}", "${A:x}"} {
		if got, err := expand(in, lookup); err == nil {
			t.Errorf("expand(%q) = %q, want an error", in, got)
		}
	}
	t.Run("AVariableStaysOneValue", func(t *testing.T) {
		p, err := Parse("x.yaml", []byte(small+"http: ${EVIL}\n"), func(n string) (string, bool) {
			if n == "DATABASE_URL" {
				return "a=b", true
			}
			return lookup(n)
		})
		if err != nil || p.Workers != 2 || p.HTTP != "x\nworkers: 9" {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// TestSecretsAreNeverPrinted puts a mark into every secret and looks for it in every way of printing.
func TestSecretsAreNeverPrinted(t *testing.T) {
	const mark = "c4n4ry"
	src := strings.Replace(small, "localhost:9092", "localhost:9092, sasl: { mechanism: PLAIN, username: a, password: '${SECRET}' }", 1)
	p, err := Parse("x.yaml", []byte(src), vars("DATABASE_URL", "postgres://u:"+mark+"@h/db", "SECRET", mark))
	if err != nil {
		t.Fatal(err)
	}
	p.Kafka.SASL.Token, p.Postgres.MigrateURL = mark, mark
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "p", p, "url", p.Postgres.URL, "sasl", *p.Kafka.SASL)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "p", p, "url", p.Postgres.URL, "sasl", *p.Kafka.SASL)
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for how, s := range map[string]string{
		"%v": fmt.Sprintf("%v %v", p.Postgres, *p.Kafka.SASL), "%+v": fmt.Sprintf("%+v %+v", p.Postgres, *p.Kafka.SASL), "%#v": fmt.Sprintf("%#v %#v", p.Postgres, *p.Kafka.SASL), "%q": fmt.Sprintf("%q", p.Postgres.URL),
		"JSON": string(text), "log": log.String(), "hash": p.Hash(), "URL": RedactURL("postgres://u:" + mark + "@h/db?password=" + mark), "keywords": RedactURL("host=h password=" + mark + " user=x"),
		"quoted": RedactURL("host=h password='" + mark + " " + mark + "' user=x"),
	} {
		if strings.Contains(s, mark) {
			t.Errorf("%s shows a secret: %s", how, s)
		}
	}
}

func TestHash(t *testing.T) {
	hash := func(src string) string {
		p, err := Parse("x.yaml", []byte(src), database)
		if err != nil {
			t.Fatal(err)
		}
		return p.Hash()
	}
	if hash(small) != hash(small+"workers: 7\n") {
		t.Error("the number of workers changes the hash: it decides nothing about what is written")
	}
	if hash(small) == hash(small+"    key: id\n") {
		t.Error("a key does not change the hash")
	}
}

func TestFromFlags(t *testing.T) {
	good := Flags{Brokers: []string{"localhost:9092"}, Topics: []string{"orders"}, To: "postgres://h/db", Table: "sales.orders", Key: []string{"id"}, Create: true}
	p, err := FromFlags(good)
	if err != nil || p.Sinks[0].Schema != "sales" || p.Sinks[0].Rule.Key[0] != "id" || !p.Sinks[0].Create || p.Name != "sinker" {
		t.Errorf("%+v, %v", p, err)
	}
	for want, f := range map[string]Flags{
		"--brokers is missing":  {Topics: []string{"a"}, To: "postgres://h"},
		"--topic is missing":    {Brokers: []string{"h:1"}, To: "postgres://h"},
		"--to is empty":         {Brokers: []string{"h:1"}, Topics: []string{"a"}},
		"--table goes with one": {Brokers: []string{"h:1"}, Topics: []string{"a", "b"}, To: "postgres://h", Table: "t"},
		"need a sinker.yaml":    {Brokers: []string{"h:1"}, Topics: []string{"/a/"}, To: "postgres://h"},
	} {
		if _, err := FromFlags(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", f, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	src, _ := os.ReadFile("../../sinker.example.yaml")
	f.Add(src)
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := Parse("x.yaml", src, database)
		if (p == nil) == (err == nil) {
			t.Errorf("%v, %v", p, err)
		}
	})
}
