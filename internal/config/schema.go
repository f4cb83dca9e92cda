package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// object is a JSON object whose members stay in order.
type object []property

type property struct {
	name  string
	value any
}

// MarshalJSON writes the members on one line.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		value, err := plainJSON(m.value)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", m.name, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// plainJSON leaves < > & as they are.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// ref stands for one of definitions, or for a section by its path.
func ref(name string) object { return object{{"$ref", "#/$defs/" + name}} }

func anyOf(alternatives ...any) object { return object{{"anyOf", alternatives}} }

// definitions are the shapes that several keys share.
var definitions = object{
	{"variable", object{{"type", "string"}, {"pattern", `\$\{`}}},
	{"yes", anyOf(object{{"type", "boolean"}}, object{{"enum", []string{"yes", "no", "on", "off", "true", "false"}}},
		ref("variable"))},
	{"duration", anyOf(object{{"type", "string"}, {"pattern", "^([0-9.]+(ns|us|µs|ms|s|m|h))+$"}},
		object{{"enum", []int{0}}}, ref("variable"))},
	{"names", anyOf(object{{"type", "string"}},
		object{{"type", "array"}, {"minItems", 1}, {"items", object{{"type", "string"}}}})},
	{"sqlstate", anyOf(object{{"type", "string"}, {"pattern", "^[0-9A-Z]{5}$"}},
		object{{"type", "integer"}, {"minimum", 10000}, {"maximum", 99999}}, ref("variable"))},
}

// Schema is the JSON Schema of sinker.yaml, for editors: sinker.schema.json.
func Schema() []byte {
	var defs []string
	for _, d := range definitions {
		defs = append(defs, fmt.Sprintf("    %q: %s", d.name, mustJSON(d.value)))
	}
	root.walk(func(_ *section, k *key) {
		if s := k.value.section; s != nil {
			defs = append(defs, fmt.Sprintf("    %q: {\n%s\n    }", s.path, s.schema("      ")))
		}
	})
	return []byte("{\n" +
		`  "$schema": "https://json-schema.org/draft/2020-12/schema",` + "\n" +
		`  "title": "sinker.yaml",` + "\n" +
		`  "description": "Kafka topics into Postgres tables, exactly once. For editors: sinker check checks more.",` + "\n" +
		root.schema("  ") + ",\n" +
		"  \"$defs\": {\n" + strings.Join(defs, ",\n") + "\n  }\n}\n")
}

// schema is the inside of the section's object, a key per line.
func (s *section) schema(indent string) string {
	var properties, required []string
	var either []any
	for i := range s.keys {
		k := &s.keys[i]
		properties = append(properties, fmt.Sprintf("%s  %q: %s", indent, k.name, mustJSON(k.schema())))
		if !k.required {
			continue
		}
		alternatives := []any{object{{"required", []string{k.name}}}}
		for _, other := range s.keys {
			if other.sameAs == k.name {
				alternatives = append(alternatives, object{{"required", []string{other.name}}})
			}
		}
		if len(alternatives) > 1 {
			either = append(either, alternatives...)
			continue
		}
		required = append(required, k.name)
	}
	out := []string{indent + `"type": "object"`, indent + `"additionalProperties": false`}
	if len(required) > 0 {
		out = append(out, indent+`"required": `+mustJSON(required))
	}
	if len(either) > 0 {
		out = append(out, indent+`"anyOf": `+mustJSON(either))
	}
	return strings.Join(append(out, indent+"\"properties\": {\n"+strings.Join(properties, ",\n")+"\n"+indent+"}"), ",\n")
}

// schema is what an editor may know of a key: the shape of its values, its default and its documentation.
func (k *key) schema() any {
	shape := k.value.schema
	if s := k.value.section; s != nil {
		inner := ref(s.path)
		switch {
		case k.value.list:
			shape = object{{"type", "array"}, {"minItems", 1}, {"items", inner}}
		case shape != nil:
			shape = anyOf(shape, inner)
		default:
			shape = inner
		}
	}
	out := append(object{}, shape.(object)...)
	if k.initial != "" && k.value.section == nil {
		var initial any = k.initial
		if n, err := strconv.Atoi(k.initial); err == nil {
			initial = n
		}
		out = append(out, property{"default", initial})
	}
	return append(out, property{"description", plainText(k.doc)})
}

var (
	link  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	marks = strings.NewReplacer("`", "", "*", "")
)

// plainText is Markdown without its marks.
func plainText(markdown string) string { return marks.Replace(link.ReplaceAllString(markdown, "$1")) }

func mustJSON(v any) string {
	b, err := plainJSON(v)
	if err != nil {
		panic("config: a schema cannot be written: " + err.Error())
	}
	return string(b)
}
