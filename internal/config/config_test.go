package config

import (
	"errors"
	"fmt"
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

// with is the small pipeline with something in the place of its broker.
func with(brokers string) string { return strings.Replace(small, "localhost:9092", brokers, 1) }

func TestSixLinesAreAPipeline(t *testing.T) {
	p, err := Parse("sinker.yaml", []byte(small), database)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "sinker" || p.Workers != 2 || p.Batch.Rows != 100_000 || p.Batch.Bytes != 32<<20 ||
		p.Batch.Every != 15*time.Millisecond || p.HTTP != "127.0.0.1:8080" || p.Errors.Do != "dead_letter" {
		t.Errorf("defaults: %+v", p)
	}
	if len(p.Sinks) != 1 || p.Sinks[0].Schema != "public" || p.Sinks[0].Table != "orders" ||
		p.Postgres.URL.Reveal() != "postgres://u:secret@h/db" {
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
	if s.Schema != "sales" || !s.Create || !s.Rule.Tombstones || len(s.Rule.Columns) != 7 ||
		s.Rule.Columns[1].Path != "amount.total" || s.Rule.Columns[1].Type != "numeric(12,2)" {
		t.Errorf("%+v", s)
	}
	if !p.Sinks[2].Regex || !p.Sinks[2].Regexp().MatchString("audit-eu") || p.Errors.StopAfter != 0.01 ||
		p.Kafka.SessionTimeout != 6*time.Second {
		t.Errorf("%+v", p)
	}
}

// TestProblems holds each mistake to its place and its words.
func TestProblems(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"UnknownKey", small + "worker: 3\n",
			`x.yaml:6:1: unknown key "worker" in the configuration; did you mean "workers"?`},
		{"UnknownKeyInSink", small + "    tabel: x\n", `x.yaml:6:5: unknown key "tabel" in a sink; did you mean "table"?`},
		{"LaterKey", small + "    where: a = 1\n", `x.yaml:6:5: where is not supported by this version`},
		{"DuplicateKey", small + "    topic: again\n", `topic is given twice; first on line 4`},
		{"UnsetVariable", strings.Replace(small, "DATABASE_URL", "NOT_SET", 1),
			`x.yaml:2:11: postgres: variable NOT_SET is not set; set it, or give a default`},
		{"RequiredVariable", strings.Replace(small, "${DATABASE_URL}", "${X:?the database}", 1),
			`variable X is not set, or empty: the database`},
		{"WrongType", small + "workers: many\n", `x.yaml:6:10: workers must be a whole number from 1 to 64, not "many"`},
		{"TooMany", small + "workers: 65\n", `from 1 to 64`},
		{"NoSinks", "kafka: {brokers: 'a:1'}\npostgres: host=a\nsinks: []\n", `x.yaml:3:8: sinks must be a list`},
		{"NothingThere", "name: x\n", `kafka is missing`},
		{"Empty", "", `is empty`},
		{"Comment", "# nothing\n", `is empty`},
		{"NotAMapping", "- a\n", `the configuration must be a mapping of keys, not a list`},
		{"TwoDocuments", small + "---\nname: x\n", `a second document`},
		{"Tab", "kafka:\n\tbrokers: x\n", `a tab: YAML is indented with spaces`},
		{"VariableInBraces", strings.Replace(small, "localhost:9092", "localhost:9092, instance: ${A}", 1),
			`a ${…} within { } must stand in quotes`},
		{"NotYAML", "kafka: [\n", `not YAML`},
		{"Broker", strings.Replace(small, "localhost:9092", "localhost", 1), `"localhost" is not host:port`},
		{"DatabaseURL", strings.Replace(small, "${DATABASE_URL}", "mysql://u:secret@h", 1),
			`postgres is not a connection URL`},
		{"TopicName", strings.Replace(small, "topic: orders", "topic: 'or;ders'", 1), `"or;ders" cannot be a topic`},
		{"Regexp", strings.Replace(small, "topic: orders", "topic: /(/", 1), `missing closing )`},
		{"LongTable", strings.Replace(small, "table: orders", "table: "+strings.Repeat("é", 32), 1),
			`has 64 bytes, and Postgres keeps 63`},
		{"TableParts", strings.Replace(small, "table: orders", "table: a.b.c", 1), `write table or schema.table`},
		{"ColumnType", small + "    columns: { id: id bigimt }\n", `bigint`},
		{"ColumnTwice", small + "    columns: { id: id, id: x }\n", `column id is given twice`},
		{"CreateWithoutType", small + "    create: yes\n    columns: { id: a.id }\n", `column id needs a type`},
		{"DeleteWithoutKey", small + "    delete: tombstone\n", `delete: tombstone requires`},
		{"GroupWithDelete", small + "    group: { g: a }\n    add: { n: 1 }\n    delete: tombstone\n",
			`delete: tombstone does not go with group`},
		{"KeyNotAColumn", small + "    key: x\n    columns: { id: id }\n", `key column x is not among the columns`},
		{"Meta", small + "    meta: [ofset]\n", `"ofset" is not one of`},
		{"GroupAlone", small + "    group: { g: a text }\n", `x.yaml:6:5: group requires add, max or min`},
		{"AddWithoutGroup", small + "    add: { n: 1 }\n", `x.yaml:6:5: add requires group`},
		{"GroupWithColumns", small + "    group: { g: a }\n    add: { n: 1 }\n    columns: { g: a }\n",
			`x.yaml:8:5: columns does not go with group`},
		{"GroupWithKey", small + "    group: { g: a }\n    add: { n: 1 }\n    key: g\n", `key does not go with group`},
		{"GroupWithMeta", small + "    group: { g: a }\n    add: { n: 1 }\n    meta: offset\n",
			`meta does not go with group`},
		{"GroupFunction", small + "    group: { g: week(a) }\n    add: { n: 1 }\n",
			`x.yaml:6:17: column g: week( ) is not known here: a column of group may be minute(path), hour(path) or day(path)`},
		{"FunctionInMax", small + "    group: { g: a }\n    max: { n: minute(a) }\n", `minute( ) is not known here`},
		{"GroupFunctionOfNothing", small + "    group: { g: minute() }\n    add: { n: 1 }\n",
			`minute( ) takes the path of a time`},
		{"AddTwo", small + "    group: { g: a }\n    add: { n: 2 }\n", `2: add takes a path, or 1 to count the records`},
		{"FoldTwice", small + "    group: { g: a }\n    add: { g: 1 }\n",
			`column g is given twice: a column is filled in one way`},
		{"FoldEmpty", small + "    group: {}\n    add: { g: 1 }\n",
			`group must be a mapping of column: path type, not an empty one`},
		{"FoldCreateWithoutType", small + "    create: yes\n    group: { g: a }\n    add: { n: 1 }\n",
			`x.yaml:7:5: to make the table, column g needs a type`},
		{"FoldType", small + "    group: { g: minute(a) timestamptzz }\n    add: { n: 1 }\n", `timestamptz`},
		{"FoldCutByAComma", small + "    group: { g: a }\n    add: { n: a numeric(14,2) }\n",
			`within { } a comma ends a value: put it in quotes`},
		{"SameTableTwice", small + "  - { topic: orders, table: orders }\n", `every record would be written twice`},
		{"Size", small + "batch: { bytes: 32 potatoes }\n",
			`must be a size from 1B to 1GiB, such as 32MiB or 500KB, not "32 potatoes"`},
		{"Duration", small + "batch: { every: -1s }\n", `must be a duration from 0s to 1h`},
		{"Share", small + "errors: { stop_after: 101% }\n", `must be a share`},
		{"Start", strings.Replace(small, "localhost:9092", "localhost:9092, start: newest", 1),
			`kafka.start must be earliest, latest or a time`},
		{"PlainInTheClear", strings.Replace(small, "localhost:9092",
			"'far.example:9092', sasl: { mechanism: PLAIN, username: a, password: b }", 1),
			`PLAIN without TLS would send the password in the clear`},
		{"NoMechanism", strings.Replace(small, "localhost:9092", "localhost:9092, sasl: { username: a, password: b }", 1),
			`kafka.sasl.mechanism is missing`},
		{"CertWithoutKey", strings.Replace(small, "localhost:9092", "localhost:9092, tls: { cert: a }", 1),
			`cert and key belong together`},
		{"Name", "name: a b\n" + small, `name must be up to 200 letters`},
		{"LaterKeyOfKafka", with("localhost:9092, schema_registry: 'http://sr:8081'"),
			`schema_registry is not supported by this version`},
		{"LaterKeyOfAll", small + "tests: []\n", `tests is not supported by this version`},
		{"LaterFormat", small + "    format: avro\n", `format "avro" is not supported by this version of sinker; json is`},
		{"LaterCreate", small + "    create: evolve\n", `create "evolve" is not supported by this version`},
		{"LaterDelete", small + "    key: id\n    delete: op == 'd'\n",
			`is not supported by this version of sinker; tombstone deletes the row`},
		{"LaterExpression", small + "    columns: { country: upper(customer.country) }\n",
			`expressions are not supported by this version`},
		{"MergeKey", small + "  - <<: *x\n", `anchor`},
		{"MergeKeyOfAKnownAnchor", small + "    columns: &x { a: a }\n    <<: *x\n", `<< is not supported`},
		{"Tag", small + "http: !env HTTP\n", `tags such as !env are not supported; a variable is written ${NAME}`},
		{"EmptyBrokers", with("[]"), `kafka.brokers is an empty list`},
		{"EmptyTopics", strings.Replace(small, "topic: orders", "topics: []", 1), `topics is an empty list`},
		{"EmptyKey", small + "    key: []\n", `key is an empty list; give at least one, or leave the key out`},
		{"EmptyColumns", small + "    columns: {}\n", `columns must be a mapping of column: path type, not an empty one`},
		{"NoBrokersBehindAnAlias",
			"postgres: host=a\nsinks: [ { topic: a, table: b, columns: &c { start: latest } } ]\nkafka: *c\n",
			`kafka.brokers is missing`},
		{"BrokerURL", with("http://kafka:9092"),
			`"http://kafka:9092" is not host:port; a broker's address has no scheme, user or path`},
		{"BrokerPort", with("kafka:99999"), `"kafka:99999" has no port from 1 to 65535`},
		{"VariableIsNotShown", with("'${DATABASE_URL}'"), "the value of ${DATABASE_URL} is not host:port"},
		{"SSLMode", strings.Replace(small, "${DATABASE_URL}", "postgres://u:secret@h/db?sslmode=strict", 1),
			`postgres has an invalid sslmode: use disable, `},
		{"URLPort", strings.Replace(small, "${DATABASE_URL}", "postgres://u:secret@h:x/db", 1), `postgres has an invalid port`},
		{"Keywords", strings.Replace(small, "${DATABASE_URL}", "host=h password='secret", 1),
			`cannot be read as keyword=value pairs`},
		{"HTTP", small + "http: everywhere\n", `http must be host:port, such as 127.0.0.1:8080`},
		{"Instance", with("localhost:9092, instance: 'pod 7'"), `kafka.instance must be up to 240 letters`},
		{"ShareOrPercent", small + "errors: { stop_after: 1 }\n", `must be a share such as 1% or 0.01, not "1"`},
		{"WaitForName", small + "    errors: { wait_for: [foreign_key_violation] }\n", `is not a SQLSTATE`},
		{"WaitForTwice", small + "    errors: { wait_for: [23503, 23503] }\n", `23503 is given twice`},
		{"WaitTooLong", small + "    errors: { wait_for: [23503], at_most: 1h }\n",
			`errors.at_most must be a duration from 1s to 10m`},
		{"WaitForNothing", small + "    errors: { at_most: 10s }\n", `errors.at_most needs errors.wait_for`},
		{"StopAfterStop", small + "errors: { do: stop, stop_after: 1% }\n", `errors.stop_after needs do: dead_letter`},
		{"TokenInTheClear", with("'far.example:9092', sasl: { mechanism: OAUTHBEARER, token: b }"),
			`OAUTHBEARER without TLS would send the token in the clear`},
		{"LooksLikeLoopback", with("'127.0.0.1.example:9092', sasl: { mechanism: PLAIN, username: a, password: b }"),
			`in the clear`},
		{"PasswordForAToken", with("localhost:9092, sasl: { mechanism: OAUTHBEARER, token: b, password: c }"),
			`kafka.sasl.password has no effect with OAUTHBEARER, which takes token, token_file, extensions`},
		{"TwoPasswords", with("localhost:9092, sasl: { mechanism: PLAIN, username: a, password: b, password_file: c }"),
			`PLAIN needs either password or password_file`},
		{"Extension", with("localhost:9092, sasl: { mechanism: OAUTHBEARER, token: b, extensions: { auth: x } }"),
			`kafka.sasl.extensions: a name consists of letters, is not auth`},
		{"CertificateInline", with(`localhost:9092, tls: { ca: "-----BEGIN CERTIFICATE-----" }`),
			`are paths of files, not their contents`},
		{"TLSOfNothing", with("localhost:9092, tls: "), `kafka.tls must be a mapping of keys, not nothing`},
		{"RegexpOverlap", small + "  - { topic: /^ord/, table: public.orders }\n",
			`x.yaml:6:5: the sink at x.yaml:4:5 writes the same topic into the same table`},
		{"TopicTwice", strings.Replace(small, "topic: orders", "topics: [orders, orders]", 1),
			`topics "orders" is given twice`},
		{"TopicAndTopics", small + "    topics: [a]\n", `give topic or topics, not both`},
		{"RegexpAmongTopics", strings.Replace(small, "topic: orders", "topics: [a, /b/]", 1),
			`must be the sink's only topic`},
		{"NoTableForARegexp", "kafka: { brokers: 'a:1' }\npostgres: host=a\nsinks: [ { topic: /a/ } ]\n",
			`table is missing; only a sink of one topic has a default`},
		{"TableWithBlanks", strings.Replace(small, "table: orders", "table: sales . orders", 1),
			`"sales " is not made of letters, digits, _, $ and -`},
		{"ZeroByte", strings.Replace(small, "table: orders", `table: "a\0b"`, 1), `table: it must not contain a zero byte`},
		{"KeyTwice", small + "    key: [id, id]\n", `key: column "id" is given twice`},
		{"KeyMisspelled", small + "    key: idd\n    columns: { id: id }\n",
			`key column idd is not among the columns; did you mean "id"?`},
		{"MetaAndColumn", small + "    columns: { kafka_topic: a }\n    meta: topic\n",
			`meta: topic fills column kafka_topic, and so does columns`},
		{"FieldOrType", small + "    columns: { at: date }\n", "date could be a field or a type: write `date date`"},
		{"Path", small + "    columns: { at: a..b }\n", `there is nothing between two dots`},
		{"NestedVariable", small + "http: ${A:-${B}}\n", `a default must not contain another variable`},
		{"TooDeep", small + "x: " + strings.Repeat("[", 20_000) + "\n", `exceeded max depth`},
		{"TooManySinks", "kafka: { brokers: 'a:1' }\npostgres: host=a\nsinks: [" + strings.Repeat("{topic: a},", 1001) +
			"]\n", `1001 are more than the 1000 that one pipeline takes`},
		{"TooLarge", strings.Repeat("# nothing\n", 200_000), `larger than 1 MiB`},
		{"NotText", "\xff\xff", `not YAML: invalid leading UTF-8`},
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
		if !errors.As(err, &e) || len(e.Problems) != 5 || e.Problems[0].Line != 1 || e.Problems[4].Line != 2 {
			t.Errorf("want five problems in the order of the file, got %v", err)
		}
	})
	t.Run("AliasBomb", func(t *testing.T) {
		src := "x0: &x0 [x,x,x,x,x,x,x,x,x]\n"
		for i := 1; i < 12; i++ {
			src += fmt.Sprintf("x%d: &x%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d,", i-1), 9), ","))
		}
		_, err := Parse("x.yaml", []byte(strings.Replace(small, "topic: orders", "topics: *x11", 1)+src), database)
		if err == nil || len(err.Error()) > 10_000 {
			t.Errorf("want a short error, got %.1000v", err)
		}
	})
	t.Run("OneSinkThousandTimes", func(t *testing.T) {
		src := "kafka: { brokers: 'a:1' }\npostgres: host=a\nsinks: [ &s { topic: a, table: b }" +
			strings.Repeat(", *s", 999) + " ]\n"
		_, err := Parse("x.yaml", []byte(src), database)
		if err == nil || !strings.Contains(err.Error(), "and 949 more") {
			t.Errorf("%.1000v", err)
		}
	})
}

func TestExpand(t *testing.T) {
	lookup := vars("A", "1", "EMPTY", "", "EVIL", "x\nworkers: 9")
	for in, want := range map[string]string{
		"${A}": "1", "a${A}b${A}": "a1b1", "$$A": "$A", "$A": "$A", "100$": "100$", "${X:-d}": "d", "${EMPTY:-d}": "d",
		"${EMPTY}": "", "${EMPTY}x": "x", "$${A}": "${A}", "${A:-d}": "1", "${X:-a:b}": "a:b",
	} {
		if got, err := expand(in, lookup); err != nil || got != want {
			t.Errorf("expand(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"${X}", "${EMPTY:?m}", "${", "${}", "${A B}", "${A:x}", "${A:}", "${1A}", "${X:-${A}}"} {
		if got, err := expand(in, lookup); err == nil {
			t.Errorf("expand(%q) = %q, want an error", in, got)
		}
	}
	t.Run("AVariableStaysOneValue", func(t *testing.T) {
		p, err := Parse("x.yaml", []byte(with("localhost:9092, tls: { server_name: '${EVIL}' }")),
			func(n string) (string, bool) {
				if n == "DATABASE_URL" {
					return "host=a", true
				}
				return lookup(n)
			})
		if err != nil || p.Workers != 2 || p.Kafka.TLS.ServerName != "x\nworkers: 9" {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

func TestFromFlags(t *testing.T) {
	good := Flags{
		"brokers": {"localhost:9092"}, "topic": {"orders"}, "to": {"postgres://h/db"}, "table": {"sales.orders"},
		"key":    {"id"},
		"create": {"true"},
	}
	p, err := FromFlags(good, vars())
	if err != nil || p.Sinks[0].Schema != "sales" || p.Sinks[0].Rule.Key[0] != "id" || !p.Sinks[0].Create ||
		p.Name != "sinker" {
		t.Errorf("%+v, %v", p, err)
	}
	expression := Flags{"brokers": {"localhost:9092"}, "topic": {"/^a-.*/"}, "to": {"postgres://h/db"}, "table": {"t"}}
	p, err = FromFlags(expression, vars())
	if err != nil || !p.Sinks[0].Regexp().MatchString("a-b") {
		t.Errorf("a regular expression: %+v, %v", p, err)
	}
	two := Flags{"brokers": {"a:1", " b:2"}, "topic": {"t1", "${T}"}}
	p, err = FromFlags(two, vars("DATABASE_URL", "postgres://u:a$$b@h/db", "T", "t2"))
	if err != nil || len(p.Sinks) != 2 || p.Sinks[1].Table != "t2" || p.Kafka.Brokers[1] != "b:2" ||
		p.Postgres.URL.Reveal() != "postgres://u:a$$b@h/db" {
		t.Errorf("%+v, %v", p, err)
	}
	brokers, topic, to := []string{"h:1"}, []string{"a"}, []string{"postgres://h"}
	for want, f := range map[string]Flags{
		"--brokers is missing":            {"topic": topic, "to": to},
		"--topic is missing":              {"brokers": brokers, "to": to},
		"--to is missing, and DATA":       {"brokers": brokers, "topic": topic},
		"--table goes with one":           {"brokers": brokers, "topic": {"a", "b"}, "to": to, "table": {"t"}},
		"--table is missing":              {"brokers": brokers, "topic": {"/a/"}, "to": to},
		"63: choose a shorter":            {"brokers": brokers, "topic": {strings.Repeat("a", 64)}, "to": to},
		"--topic \"a;b\" cannot":          {"brokers": brokers, "topic": {"a;b"}, "to": to},
		"--topic \"a\" is given":          {"brokers": brokers, "topic": {"a", "a"}, "to": to},
		"--key: column \"id\" is given":   {"brokers": brokers, "topic": topic, "to": to, "key": {"id", "id"}},
		"--brokers: \"h\" is not":         {"brokers": {"h"}, "topic": topic, "to": to},
		"--to has an invalid":             {"brokers": brokers, "topic": topic, "to": {"postgres://h/?sslmode=x"}},
		"--table \"a b\": \"a b\" is not": {"brokers": brokers, "topic": topic, "to": to, "table": {"a b"}},
		"--name must be up to":            {"brokers": brokers, "topic": topic, "to": to, "name": {"a b"}},
		"--create must be yes":            {"brokers": brokers, "topic": topic, "to": to, "create": {"perhaps"}},
		"--name: variable X is not":       {"brokers": brokers, "topic": topic, "to": to, "name": {"${X}"}},
	} {
		if _, err := FromFlags(f, vars()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", f, err, want)
		}
	}
	if _, err := FromFlags(two, vars("DATABASE_URL", "mysql://h", "T", "t2")); err == nil ||
		!strings.Contains(err.Error(), "DATABASE_URL is not a connection URL") {
		t.Error(err)
	}
}

func TestDatabaseOnly(t *testing.T) {
	p, err := DatabaseOnly(Flags{"name": {"n"}, "brokers": {"h:1"}}, database)
	if err != nil || p.Name != "n" || p.Kafka.Brokers[0] != "h:1" ||
		p.Postgres.URL.Reveal() != "postgres://u:secret@h/db" || len(p.Sinks) > 0 {
		t.Errorf("%+v, %v", p, err)
	}
	for want, f := range map[string]Flags{"--to is missing": {},
		"--name must be": {"name": {"a/b"}, "to": {"postgres://h"}}, "--brokers: \"h\"": {"brokers": {"h"}}} {
		if _, err := DatabaseOnly(f, vars()); err == nil || !strings.Contains(err.Error(), want) {
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
			t.Fatalf("%v, %v", p, err)
		}
		if err != nil {
			return
		}
		again, err := Parse("again.yaml", []byte(p.Redacted()), vars())
		if err != nil || again.Hash() != p.Hash() {
			t.Errorf("%v\n%s", err, p.Redacted())
		}
	})
}

// Where every sink aggregates, batches may be larger: their records take no memory.
func TestBatchOfAggregates(t *testing.T) {
	const head = "kafka: { brokers: [localhost:9092] }\npostgres: postgres://localhost/shop\n"
	const sums = "  - { topic: orders, table: sums, group: { country: country }, add: { orders: 1 } }\n"
	const rows = "  - { topic: orders, table: orders }\n"
	for _, c := range []struct {
		name, yaml string
		rows       int
		bytes      int64
	}{
		{"all", head + "sinks:\n" + sums, 500_000, 128 << 20},
		{"some", head + "sinks:\n" + sums + rows, 100_000, 32 << 20},
		{"said", head + "batch: { rows: 7 }\nsinks:\n" + sums, 7, 128 << 20},
	} {
		p, err := Parse("sinker.yaml", []byte(c.yaml), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		if p.Batch.Rows != c.rows || p.Batch.Bytes != c.bytes {
			t.Errorf("%s: %d rows and %d bytes, want %d and %d", c.name, p.Batch.Rows, p.Batch.Bytes, c.rows, c.bytes)
		}
	}
}
