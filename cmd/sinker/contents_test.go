package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"sinker/internal/local/localtest"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// canary is in every record's value, key and header: what it must not do is come out anywhere but in sinker.dead_letters.
const canary = "c4n4ry"

// hostile acts on a terminal, and looks like a command of ours.
const hostile = canary + "\\u001b[2J\\u009b31m\\u202e`sinker offsets set --topic t`"

// contentsCase is a table, a record that cannot become a row of it, and who refuses.
type contentsCase struct {
	name, ddl, value string
}

// raise is a table whose trigger raises the SQLSTATE with the row in the message.
func raise(state, timing string) string {
	return fmt.Sprintf(`CREATE FUNCTION %%[1]s_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
RAISE EXCEPTION 'refused: %%%%', NEW.note USING ERRCODE = '%s', DETAIL = NEW.note, HINT = NEW.note; END $$;
CREATE TABLE %%[1]s (id int, note text); CREATE %s FOR EACH ROW EXECUTE FUNCTION %%[1]s_f()`, state, fmt.Sprintf(timing, "%[1]s"))
}

const (
	before   = `TRIGGER x BEFORE INSERT ON %s`
	deferred = `CONSTRAINT TRIGGER x AFTER INSERT ON %s DEFERRABLE INITIALLY DEFERRED`
)

// contentsCases are the ways in which a record is refused: every code of transform, every kind of constraint, whatever a
// function may raise.
func contentsCases() []contentsCase {
	good := `{"id":1,"note":"` + hostile + `"}`
	two := func(ddl string) string { return `CREATE TABLE %[1]s (id int, note text); ` + ddl }
	list := []contentsCase{
		{"not_json", two(""), `{"id":1,"note":"` + canary},
		{"not_object", two(""), `["` + hostile + `"]`},
		{"no_field", two(""), `{"a\u001b[2J\u009b\u202e":"` + hostile + `"}`},
		{"too_deep", `CREATE TABLE %[1]s (id int, note jsonb)`, `{"id":1,"note":` + strings.Repeat("[", 600) + `"` + canary + `"` + strings.Repeat("]", 600) + `}`},
		{"missing", `CREATE TABLE %[1]s (id int NOT NULL, note text)`, `{"note":"` + hostile + `"}`},
		{"wrong_type", two(""), `{"id":{"x":"` + hostile + `"}}`},
		{"invalid", two(""), `{"id":"` + hostile + `"}`},
		{"invalid_uuid", `CREATE TABLE %[1]s (id int, note uuid)`, good},
		{"invalid_time", `CREATE TABLE %[1]s (id int, note timestamptz)`, good},
		{"invalid_array", `CREATE TABLE %[1]s (id int, note int[])`, `{"id":1,"note":["` + hostile + `"]}`},
		{"invalid_inet", `CREATE TABLE %[1]s (id int, note inet)`, good},
		{"invalid_interval", `CREATE TABLE %[1]s (id int, note interval)`, good},
		{"invalid_enum", `CREATE TYPE %[1]s_e AS ENUM ('a'); CREATE TABLE %[1]s (id int, note %[1]s_e)`, good},
		{"too_long", `CREATE TABLE %[1]s (id int, note varchar(3))`, good},
		{"nul", two(""), `{"id":1,"note":"` + canary + `\u0000"}`},
		{"surrogate", two(""), `{"id":1,"note":"` + canary + `\ud800"}`},
		{"invalid_utf8", two(""), "{\"id\":1,\"note\":\"" + canary + "\xff\"}"},
		{"unique", two(`ALTER TABLE %[1]s ADD UNIQUE (note); INSERT INTO %[1]s VALUES (9, 'HOSTILE')`), good},
		{"check", two(`ALTER TABLE %[1]s ADD CHECK (id > 5)`), good},
		{"foreign", `CREATE TABLE %[1]s_p (note text PRIMARY KEY); CREATE TABLE %[1]s (id int, note text REFERENCES %[1]s_p)`, good},
		{"foreign_deferred", `CREATE TABLE %[1]s_p (note text PRIMARY KEY); CREATE TABLE %[1]s (id int, note text REFERENCES %[1]s_p DEFERRABLE INITIALLY DEFERRED)`, good},
		{"exclusion", two(`ALTER TABLE %[1]s ADD EXCLUDE (note WITH =); INSERT INTO %[1]s VALUES (9, 'HOSTILE')`), good},
		{"domain", `CREATE DOMAIN %[1]s_d AS text CHECK (value = 'a'); CREATE TABLE %[1]s (id int, note %[1]s_d)`, good},
		{"partition", `CREATE TABLE %[1]s (id int, note text) PARTITION BY LIST (note); CREATE TABLE %[1]s_a PARTITION OF %[1]s FOR VALUES IN ('a')`, good},
		{"generated", `CREATE TABLE %[1]s (id int, note text, n int GENERATED ALWAYS AS (note::int) STORED)`, good},
		{"index_expression", two(`CREATE INDEX ON %[1]s ((note::int))`), good},
		{"function_of_check", `CREATE FUNCTION %[1]s_f(t text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM t::int; RETURN true; END $$;
CREATE TABLE %[1]s (id int, note text CHECK (public.%[1]s_f(note)))`, good},
		{"too_large_for_index", two(`CREATE INDEX ON %[1]s (note)`), `{"id":1,"note":"` + canary + random(9000) + `"}`},
		{"jsonb_encoding", `CREATE TABLE %[1]s (id int, note text CHECK ((note::jsonb) IS NOT NULL))`, good},
		{"raise_deferred", raise("P0001", deferred), good},
	}
	for _, state := range []string{"P0001", "23505", "22P02", "22023", "U0001", "45000", "42501", "28000", "55000", "XX000", "21000", "0A000"} {
		list = append(list, contentsCase{"raise_" + strings.ToLower(state), raise(state, before), good})
	}
	for i := range list {
		list[i].name = "t_" + list[i].name
	}
	return list
}

// random is text that does not compress.
func random(n int) string {
	var b strings.Builder
	for x := uint32(1); b.Len() < n; {
		x = x*1664525 + 1013904223
		b.WriteByte("abcdefghijklmnopqrstuvwxyz0123456789"[x>>16%36])
	}
	return b.String()
}

// TestContentsStayInTheDeadLetters: a record that cannot become a row, for whatever reason, shows in sinker.dead_letters
// and nowhere else, whether it becomes a dead letter or stops its partition: not in the log at its most talkative, not
// over HTTP, not in status, check, verify or the list of offsets.
func TestContentsStayInTheDeadLetters(t *testing.T) {
	for _, do := range []string{"dead_letter", "stop"} {
		t.Run(do, func(t *testing.T) { contentsStay(t, do, contentsCases()) })
	}
}

func contentsStay(t *testing.T, do string, cases []contentsCase) {
	ctx := context.Background()
	var topics []string
	for _, c := range cases {
		topics = append(topics, c.name)
	}
	s := &stage{t: t, kafka: localtest.Kafka(t, kfake.SeedTopics(1, topics...)), url: localtest.Database(t), file: filepath.Join(t.TempDir(), "sinker.yaml")}
	s.brokers = s.kafka.ListenAddrs()[0]
	var err error
	if s.conn, err = pgx.Connect(ctx, s.url); err != nil {
		t.Fatal(err)
	}
	defer s.conn.Close(ctx)
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.brokers))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	text := "sinks:\n"
	raw := strings.NewReplacer(`\u001b`, "\x1b", `\u009b`, "\u009b", `\u202e`, "\u202e").Replace(hostile)
	for _, c := range cases {
		s.exec(strings.ReplaceAll(fmt.Sprintf(c.ddl, c.name), "HOSTILE", raw))
		text += "  - { topic: " + c.name + ", table: " + c.name + " }\n"
		r := &kgo.Record{Topic: c.name, Value: []byte(c.value), Key: []byte(canary), Headers: []kgo.RecordHeader{{Key: canary, Value: []byte(canary)}}}
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	at := deadPort(t)
	s.configure(text + "errors: { do: " + do + " }\n")
	ran := s.runService(at, func() bool {
		if s.one(`SELECT to_regclass('sinker.offsets') IS NOT NULL`) != "true" {
			return false
		}
		return s.one(map[string]string{"dead_letter": `SELECT count(DISTINCT topic) FROM sinker.dead_letters`,
			"stop": `SELECT count(*) FROM sinker.offsets WHERE stopped IS NOT NULL`}[do]) == fmt.Sprint(len(cases))
	})
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"offsets", "list"}, {"offsets", "list", "--json"}, {"check"}, {"check", "--json"}, {"verify"}} {
		r := s.sinker(append(args, "-c", s.file)...)
		ran[strings.Join(args, " ")] = r.out + r.errors
	}
	for where, text := range ran {
		if i := strings.Index(text, canary); i >= 0 {
			t.Errorf("%s shows contents: …%q…", where, text[max(0, i-200):min(len(text), i+100)])
		}
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Bidi_Control) }); i >= 0 {
			t.Errorf("%s has a control character: %q", where, text[max(0, i-100):min(len(text), i+20)])
		}
	}
	for _, c := range cases {
		if !strings.Contains(ran["status"], c.name) {
			t.Errorf("status does not name %s", c.name)
		}
		if do == "stop" {
			continue
		}
		if s.one(`SELECT position('`+canary+`'::bytea IN value) > 0 AND reason <> '' FROM sinker.dead_letters WHERE topic = '`+c.name+`'`) != "true" {
			t.Errorf("the dead letter of %s does not hold the record", c.name)
		}
	}
	t.Logf("%d kinds of refusals, %d outputs", len(cases), len(ran))
}

// runService runs the service until done, asks all its pages, and returns what it said, by place.
func (s *stage) runService(at string, done func() bool) map[string]string {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var out lockedBuffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"run", "-c", s.file, "--http", at, "--log-level", "debug", "--log-format", "json"}, &out, &out)
	}()
	defer func() {
		if s.t.Failed() {
			os.WriteFile(filepath.Join(os.TempDir(), "service.log"), []byte(out.String()), 0o600)
		}
	}()
	s.eventually("the end of the work", func() bool { return len(code) > 0 || done() })
	if len(code) > 0 {
		s.t.Fatalf("it ended at once:\n%s", out.String())
	}
	said := map[string]string{}
	client := http.Client{Timeout: 10 * time.Second}
	for _, path := range []string{"/status", "/readyz", "/livez", "/metrics", "/"} {
		resp, err := client.Get("http://" + at + path)
		if err != nil {
			s.t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			s.t.Fatal(err)
		}
		said[path] = string(body)
	}
	cancel()
	if c := <-code; c != exitOK {
		s.t.Errorf("exit code %d", c)
	}
	said["log"] = out.String()
	return said
}
