package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

var update = flag.Bool("update", false, "write docs/configuration.md and sinker.schema.json from the declarations")

func readRoot(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestWhatIsGenerated holds the reference page and the schema to the declarations.
func TestWhatIsGenerated(t *testing.T) {
	page := []byte(readRoot(t, "docs/configuration.md"))
	reference, err := Reference(page)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"docs/configuration.md": reference, "sinker.schema.json": Schema()} {
		if *update {
			if err := os.WriteFile("../../"+name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal([]byte(readRoot(t, name)), want) {
			t.Errorf("%s is not what the declarations say: go generate ./internal/config writes it", name)
		}
	}
	for i, line := range strings.Split(string(reference), "\n") {
		if n := len([]rune(line)); n > 120 && !strings.HasPrefix(line, "|") {
			t.Errorf("docs/configuration.md:%d has %d characters", i+1, n)
		}
	}
}

// TestReferenceNamesEverySection: a section without a place on the page, or with two, is an error.
func TestReferenceNamesEverySection(t *testing.T) {
	page := readRoot(t, "docs/configuration.md")
	for name, changed := range map[string]string{
		"Missing": strings.Replace(page, "<!-- keys of kafka.tls: generated", "<!-- keys of kafka: generated", 1),
		"Unknown": strings.Replace(page, "<!-- keys of kafka.tls: generated", "<!-- keys of kafka.tlz: generated", 1),
	} {
		if _, err := Reference([]byte(changed)); err == nil || changed == page {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestExampleShowsEveryKey: sinker.example.yaml has each key, or mentions it in a comment.
func TestExampleShowsEveryKey(t *testing.T) {
	example := readRoot(t, "sinker.example.yaml")
	root.walk(func(s *section, k *key) {
		if !regexp.MustCompile(`\b` + k.name + `\b`).MatchString(example) {
			t.Errorf("sinker.example.yaml does not show %s", s.pathOf(k))
		}
	})
	for i, line := range strings.Split(example, "\n") {
		if n := len([]rune(line)); n > 120 {
			t.Errorf("sinker.example.yaml:%d has %d characters", i+1, n)
		}
	}
	page := readRoot(t, "docs/configuration.md")
	sections := []*section{&root}
	root.walk(func(_ *section, k *key) {
		if k.value.section != nil {
			sections = append(sections, k.value.section)
		}
	})
	for _, s := range sections {
		for _, k := range s.later {
			if !strings.Contains(page, k+"`") {
				t.Errorf("docs/configuration.md does not say that %s is not there yet", k)
			}
		}
	}
}

// TestTheManualsExamplesAreTaken parses what the manual shows.
func TestTheManualsExamplesAreTaken(t *testing.T) {
	blocks := regexp.MustCompile(`(?m)(^    .*\n)+`).FindAllString(readRoot(t, "docs/configuration.md"), -1)
	if len(blocks) < 2 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, b := range blocks {
		src := regexp.MustCompile(`(?m)^    `).ReplaceAllString(b, "")
		if strings.HasPrefix(src, "columns:") {
			src = small + b
		}
		if _, err := Parse("docs/configuration.md", []byte(src), database); err != nil {
			t.Error(err)
		}
	}
}

// TestTheSchemaAgreesWithTheParser tries configurations on both.
func TestTheSchemaAgreesWithTheParser(t *testing.T) {
	allows := compiledSchema(t, Schema())
	for name, c := range map[string]struct {
		src  string
		good bool
	}{
		"Small":   {small, true},
		"Example": {readRoot(t, "sinker.example.yaml"), true},
		"Variables": {small + "workers: ${N:-3}\n" +
			"batch: { rows: '${N:-3}', bytes: '${N:-3}', every: '${N:-3s}' }\n", true},
		"Forms": {with("['a:1', 'b:2'], tls: { insecure_skip_verify: true }, session_timeout: 1m30s, balancer: server") +
			"    key: id\n    meta: key\n    columns: { id: , b: '. jsonb' }\n" +
			"batch: { bytes: 500KB, every: 0 }\nerrors: { stop_after: 0.01 }\n", true},
		"Ignore":         {small + "    delete: ignore\n", true},
		"IgnoreInGroup":  {small + "    group: { g: a }\n    add: { n: 1 }\n    delete: ignore\n", true},
		"UnknownKey":     {small + "worker: 3\n", false},
		"UnknownInSink":  {small + "    tabel: 3\n", false},
		"NoKafka":        {"postgres: host=a\nsinks: [ { topic: a } ]\n", false},
		"NoTopic":        {"kafka: { brokers: 'a:1' }\npostgres: host=a\nsinks: [ { table: a } ]\n", false},
		"NoSinks":        {"kafka: { brokers: 'a:1' }\npostgres: host=a\nsinks: []\n", false},
		"WrongMechanism": {with("localhost:9092, sasl: { mechanism: GSSAPI }"), false},
		"WrongBalancer":  {with("localhost:9092, balancer: fair"), false},
		"WrongNumber":    {small + "workers: 65\n", false},
		"WrongSize":      {small + "batch: { bytes: much }\n", false},
		"WrongDuration":  {small + "batch: { every: often }\n", false},
		"WrongMeta":      {small + "    meta: [ofset]\n", false},
		"WrongBool":      {small + "    create: perhaps\n", false},
		"WrongShare":     {small + "errors: { stop_after: 1 }\n", false},
		"LaterFormat":    {small + "    format: avro\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("x.yaml", []byte(c.src), vars("DATABASE_URL", "host=a", "KAFKA_PASSWORD", "x"))
			if (err == nil) != c.good {
				t.Errorf("the parser says %v", err)
			}
			if err := allows(c.src); (err == nil) != c.good {
				t.Errorf("the schema says %v", err)
			}
		})
	}
}

// compiledSchema returns a function that tries a configuration on the schema.
func compiledSchema(t *testing.T, text []byte) func(src string) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("sinker.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("sinker.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(src string) error {
		var v any
		if err := yaml.Unmarshal([]byte(src), &v); err != nil {
			return err
		}
		asJSON, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if v, err = jsonschema.UnmarshalJSON(bytes.NewReader(asJSON)); err != nil {
			return err
		}
		return schema.Validate(v)
	}
}
