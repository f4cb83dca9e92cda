package config

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// places are where keys are known, each with a configuration that has an unknown key there, and its part of the schema.
var places = map[string]string{
	"":         "unknown_key_zzzz: 1\n",
	"kafka":    "kafka: { unknown_key_zzzz: 1 }\n",
	"tls":      "kafka: { tls: { unknown_key_zzzz: 1 } }\n",
	"sasl":     "kafka: { sasl: { unknown_key_zzzz: 1 } }\n",
	"postgres": "postgres: { unknown_key_zzzz: 1 }\n",
	"batch":    "batch: { unknown_key_zzzz: 1 }\n",
	"errors":   "errors: { unknown_key_zzzz: 1 }\n",
	"sink":     "sinks: [ { unknown_key_zzzz: 1 } ]\n",

	"sink_errors": "sinks: [ { errors: { unknown_key_zzzz: 1 } } ]\n",
}

var knownAre = regexp.MustCompile(`unknown key "unknown_key_zzzz".*; known are (.*)`)

// knownKeys asks the parser which keys it knows at a place.
func knownKeys(t *testing.T, src string) []string {
	t.Helper()
	_, err := Parse("x.yaml", []byte(src), vars())
	if err == nil {
		t.Fatalf("%s was taken", src)
	}
	m := knownAre.FindStringSubmatch(err.Error())
	if m == nil {
		t.Fatalf("%s: %v names no keys", src, err)
	}
	return strings.Split(m[1], ", ")
}

func readRoot(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEveryKeyIsDocumented holds the manual, the example and the schema to what the parser knows.
func TestEveryKeyIsDocumented(t *testing.T) {
	manual, example := readRoot(t, "docs/configuration.md"), readRoot(t, "sinker.example.yaml")
	var schema jsonSchema
	if err := json.Unmarshal([]byte(readRoot(t, "sinker.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	for place, src := range places {
		keys := knownKeys(t, src)
		for _, k := range keys {
			if !strings.Contains(manual, "`"+k+"`") && !strings.Contains(manual, "\n## "+k+"\n") && !slices.Contains([]string{"kafka", "postgres", "batch", "errors", "sinks"}, k) {
				t.Errorf("docs/configuration.md does not explain %s of %q", k, place)
			}
			if !regexp.MustCompile(`\b`+k+`\b`).MatchString(example) && !slices.Contains([]string{"topics", "extensions", "insecure"}, k) {
				t.Errorf("sinker.example.yaml does not show %s of %q", k, place)
			}
		}
		part := &schema
		if place != "" {
			part = schema.Defs[place]
		}
		var inSchema []string
		for k := range part.Properties {
			inSchema = append(inSchema, k)
		}
		slices.Sort(keys)
		slices.Sort(inSchema)
		if !slices.Equal(keys, inSchema) {
			t.Errorf("%q: the parser knows %v, sinker.schema.json %v", place, keys, inSchema)
		}
	}
	for place, names := range later {
		for _, k := range names {
			if !strings.Contains(manual, k+"`") {
				t.Errorf("docs/configuration.md does not say that %s of %s is not there yet", k, place)
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
	var schema jsonSchema
	if err := json.Unmarshal([]byte(readRoot(t, "sinker.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		src  string
		good bool
	}{
		"Small":          {small, true},
		"Example":        {readRoot(t, "sinker.example.yaml"), true},
		"Variables":      {small + "workers: ${N:-3}\nbatch: { rows: '${N:-3}', bytes: '${N:-3}', every: '${N:-3s}' }\n", true},
		"Forms":          {with("['a:1', 'b:2'], tls: { insecure_skip_verify: true }, session_timeout: 1m30s, balancer: server") + "    key: id\n    meta: key\n    columns: { id: , b: '. jsonb' }\nbatch: { bytes: 500KB, every: 0 }\nerrors: { stop_after: 0.01 }\n", true},
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
			var v any
			if err := yaml.Unmarshal([]byte(c.src), &v); err != nil {
				t.Fatal(err)
			}
			if ok := schema.allows(&schema, v); ok != c.good {
				t.Errorf("the schema says %v", ok)
			}
		})
	}
}

// jsonSchema is as much of JSON Schema as sinker.schema.json uses.
type jsonSchema struct {
	Ref           string                 `json:"$ref"`
	Defs          map[string]*jsonSchema `json:"$defs"`
	Type          any                    `json:"type"`
	Enum          []any                  `json:"enum"`
	Pattern       string                 `json:"pattern"`
	Minimum       *float64               `json:"minimum"`
	Maximum       *float64               `json:"maximum"`
	MinItems      int                    `json:"minItems"`
	MinProperties int                    `json:"minProperties"`
	Required      []string               `json:"required"`
	Properties    map[string]*jsonSchema `json:"properties"`
	Additional    json.RawMessage        `json:"additionalProperties"`
	Items         *jsonSchema            `json:"items"`
	AnyOf         []*jsonSchema          `json:"anyOf"`
}

func (s *jsonSchema) allows(root *jsonSchema, v any) bool {
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok && !root.Defs[name].allows(root, v) {
		return false
	}
	if len(s.AnyOf) > 0 && !slices.ContainsFunc(s.AnyOf, func(o *jsonSchema) bool { return o.allows(root, v) }) {
		return false
	}
	if !s.allowsType(v) || len(s.Enum) > 0 && !slices.ContainsFunc(s.Enum, func(e any) bool { return e == v || e == asFloat(v) }) {
		return false
	}
	switch v := v.(type) {
	case string:
		return s.Pattern == "" || regexp.MustCompile(s.Pattern).MatchString(v)
	case []any:
		return len(v) >= s.MinItems && (s.Items == nil || !slices.ContainsFunc(v, func(e any) bool { return !s.Items.allows(root, e) }))
	case map[string]any:
		return s.allowsMapping(root, v)
	}
	n, isNumber := asFloat(v).(float64)
	return !isNumber || (s.Minimum == nil || n >= *s.Minimum) && (s.Maximum == nil || n <= *s.Maximum)
}

func (s *jsonSchema) allowsMapping(root *jsonSchema, v map[string]any) bool {
	for _, k := range s.Required {
		if _, ok := v[k]; !ok {
			return false
		}
	}
	for k, e := range v {
		if p := s.Properties[k]; p != nil {
			if !p.allows(root, e) {
				return false
			}
			continue
		}
		var other jsonSchema
		if string(s.Additional) == "false" || s.Additional != nil && (json.Unmarshal(s.Additional, &other) != nil || !other.allows(root, e)) {
			return false
		}
	}
	return len(v) >= s.MinProperties
}

func (s *jsonSchema) allowsType(v any) bool {
	allowed, _ := s.Type.([]any)
	if one, ok := s.Type.(string); ok {
		allowed = []any{one}
	}
	is := ""
	switch v.(type) {
	case nil:
		is = "null"
	case string:
		is = "string"
	case bool:
		is = "boolean"
	case int, int64, uint64:
		is = "integer"
	case float64:
		is = "number"
	case []any:
		is = "array"
	case map[string]any:
		is = "object"
	}
	return allowed == nil || slices.Contains(allowed, any(is)) || is == "integer" && slices.Contains(allowed, any("number"))
}

func asFloat(v any) any {
	switch n := v.(type) {
	case int:
		return float64(n)
	case int64:
		return float64(n)
	}
	return v
}
