package config

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sinker/internal/format"

	"go.yaml.in/yaml/v4"
)

// declared calls f for every key that is not a section, with its section.
func declared(f func(s *section, k *key)) {
	root.walk(func(s *section, k *key) {
		if k.value.section == nil {
			f(s, k)
		}
	})
}

// everyVariable is set.
func everyVariable(name string) (string, bool) {
	if name == "DATABASE_URL" {
		return "postgres://u:secret@h/db", true
	}
	return "x", true
}

// mappingOf parses lines of YAML.
func mappingOf(t *testing.T, text string) *yaml.Node {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return doc.Content[0]
}

// sectionIn returns the mapping of a section in a file, and makes it where it is missing.
func sectionIn(file *yaml.Node, s *section) *yaml.Node {
	at := file
	for part := range strings.SplitSeq(s.path, ".") {
		switch {
		case part == "":
		case part == "sinks":
			at = member(at, part).Content[0]
		default:
			m := member(at, part)
			if m.Kind != yaml.MappingNode { // postgres: URL
				*m = yaml.Node{Kind: yaml.MappingNode}
			}
			at = m
		}
	}
	return at
}

// without takes a key out of a mapping.
func without(n *yaml.Node, name string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}

// unstyled writes mappings and lists in lines, not in braces.
func unstyled(n *yaml.Node) {
	if n.Kind != yaml.ScalarNode {
		n.Style = 0
	}
	for _, c := range n.Content {
		unstyled(c)
	}
}

// fileWith is the small pipeline with lines in the place of a section's keys.
func fileWith(t *testing.T, s *section, lines string) string {
	t.Helper()
	file := mappingOf(t, small)
	unstyled(file)
	into := sectionIn(file, s)
	from := mappingOf(t, lines)
	for i := 0; i+1 < len(from.Content); i += 2 {
		name := from.Content[i].Value
		for _, k := range s.keys {
			if k.name == name || k.sameAs == name || s.key(name) != nil && s.key(name).sameAs == k.name {
				without(into, k.name)
			}
		}
		put(into, name, from.Content[i+1])
	}
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// exampleWith is the key's example with another value, written as in the file; "" leaves the key out.
func exampleWith(t *testing.T, k *key, value string) string {
	t.Helper()
	var lines []string
	found := false
	for line := range strings.SplitSeq(k.example, "\n") {
		name, _, _ := strings.Cut(line, ":")
		if name == k.name {
			found = true
			if value == "" {
				continue
			}
			line = name + ": " + value
		}
		lines = append(lines, line)
	}
	if !found {
		t.Fatalf("the example of %s does not have it: %s", k.name, k.example)
	}
	if len(lines) == 0 {
		return "{}"
	}
	return strings.Join(lines, "\n")
}

func mustParse(t *testing.T, src string) *Pipeline {
	t.Helper()
	p, err := Parse("x.yaml", []byte(src), everyVariable)
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	return p
}

// TestDeclarations: every key is declared with all that is needed, and its example is taken, by the parser and by
// the schema.
func TestDeclarations(t *testing.T) {
	allows := compiledSchema(t, Schema())
	seen := map[string]bool{}
	keys := 0
	root.walk(func(s *section, k *key) {
		path := s.pathOf(k)
		if seen[path] {
			t.Errorf("%s is declared twice", path)
		}
		seen[path] = true
		keys++
		if k.doc == "" || !strings.HasSuffix(k.doc, ".") || k.example == "" {
			t.Errorf("%s needs a doc that ends with a full stop, and an example", path)
		}
		says := k.initial != "" || k.unsaid != "" || k.required || k.sameAs != "" || k.value.section != nil
		if !says || k.initial != "" && k.unsaid != "" {
			t.Errorf("%s: what happens without it must be said once: initial, unsaid or required", path)
		}
		if k.value.section == nil && (k.value.takes == "" || k.value.schema == nil || k.value.kind == "") {
			t.Errorf("%s: its kind lacks a name, what it takes or a schema", path)
		}
		if (k.hashed || k.neutral != "") && k.value.section != nil {
			t.Errorf("%s: a section is not hashed; its keys are", path)
		}
		soundsSecret := regexp.MustCompile(`password|token|secret|url`).MatchString(k.name) &&
			!strings.HasSuffix(k.name, "_file")
		if soundsSecret != k.value.secret && k.value.section == nil {
			t.Errorf("%s: its kind is secret: %v", path, k.value.secret)
		}
		if k.value.secret && k.value.lines != showNothing {
			t.Errorf("%s: a secret is not shown in an error's line", path)
		}
		src := fileWith(t, s, k.example)
		mustParse(t, src)
		if err := allows(src); err != nil {
			t.Errorf("%s: the schema does not allow the example: %v\n%s", path, err, src)
		}
	})
	t.Logf("%d keys", keys)
}

// TestEveryKeyRefusesWhatItIsNot: a mapping, a list, nothing and a zero byte in the place of a value, and a name
// close to the key's own, are refused at their place, by the parser and, but for the zero byte, by the schema.
func TestEveryKeyRefusesWhatItIsNot(t *testing.T) {
	allows := compiledSchema(t, Schema())
	tried := 0
	declared(func(s *section, k *key) {
		wrong := []string{`{ zzzz: [1] }`, `[[1]]`, `null`, `"a\0b"`}
		if k.value.names != nil || k.value.kind == "number" || k.value.kind == "duration" || k.value.kind == "size" ||
			k.value.kind == "share" || k.value.kind == "yes" {
			wrong = append(wrong, "zzzz", "-1")
		}
		for _, value := range wrong {
			tried++
			src := fileWith(t, s, exampleWith(t, k, value))
			_, err := Parse("x.yaml", []byte(src), everyVariable)
			if err == nil || !regexp.MustCompile(`^x\.yaml:\d+:\d+: `).MatchString(err.Error()) {
				t.Errorf("%s: %s gives %v", s.pathOf(k), value, err)
			}
			if strings.Contains(value, `\0`) || k.value.kind == "checked text" || k.value.kind == "text" {
				continue
			}
			if allows(src) == nil {
				t.Errorf("%s: the schema allows %s", s.pathOf(k), value)
			}
		}
		near := k.name + "z"
		_, err := Parse("x.yaml", []byte(fileWith(t, s, near+": 1")), everyVariable)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("unknown key %q in %s; did you mean %q?", near, s.place,
			k.name)) {
			t.Errorf("%s: %v", near, err)
		}
		if k.required {
			src := strings.Replace(fileWith(t, s, k.example), k.name+":", near+":", 1)
			_, err = Parse("x.yaml", []byte(src), everyVariable)
			if err == nil || !strings.Contains(err.Error(), "did you mean") || strings.Contains(err.Error(), k.name+" is missing") {
				t.Errorf("%s: misspelled and missing? %v", s.pathOf(k), err)
			}
		}
		twice := strings.Replace(fileWith(t, s, exampleWith(t, k, "TWICE")), "TWICE", "x\nTWICE", 1)
		at := regexp.MustCompile(`(?m)^([ -]*)` + k.name + `: x\nTWICE`).FindStringSubmatch(twice)
		if at == nil {
			t.Fatalf("%s is not where it was put:\n%s", k.name, twice)
		}
		twice = strings.Replace(twice, "x\nTWICE", "x\n"+strings.Repeat(" ", len(at[1]))+k.name+": x", 1)
		if _, err := Parse("x.yaml", []byte(twice), everyVariable); err == nil ||
			!strings.Contains(err.Error(), k.name+" is given twice; first on line") {
			t.Errorf("%s twice: %v\n%s", k.name, err, twice)
		}
	})
	t.Logf("%d values", tried)
}

// TestEverySecretKey: a secret value is in no error, no printed form and no hash, whichever key holds it.
func TestEverySecretKey(t *testing.T) {
	secrets := 0
	declared(func(s *section, k *key) {
		if !k.value.secret {
			return
		}
		secrets++
		value := mark
		if k.value.kind == "url" {
			value = "postgres://u:" + mark + "@h/db"
		}
		src := fileWith(t, s, exampleWith(t, k, value))
		p := mustParse(t, src)
		for how, text := range map[string]string{"Redacted": p.Redacted(), "Hash": p.Hash(), "%+v": fmt.Sprintf("%+v", p),
			"%#v": fmt.Sprintf("%#v", p)} {
			if strings.Contains(text, mark) {
				t.Errorf("%s: %s shows it:\n%s", s.pathOf(k), how, text)
			}
		}
		if !strings.Contains(p.Redacted(), k.name+": ") || !strings.Contains(p.Redacted(), hidden) {
			t.Errorf("%s is not in the redacted configuration:\n%s", s.pathOf(k), p.Redacted())
		}
		for name, wrong := range map[string]string{
			"Misspelled": strings.Replace(src, k.name+":", k.name+"z:", 1),
			"InAList":    strings.Replace(src, value, "["+value+"]", 1),
			"NextToIt":   regexp.MustCompile(`(?m)^( *)(`+k.name+`:.*)$`).ReplaceAllString(src, "$1$2\n${1}zzzz: 1"),
			"Wrong":      strings.Replace(src, value, "\""+value+"\\0\"", 1),
		} {
			_, err := Parse("x.yaml", []byte(wrong), everyVariable)
			if err == nil || strings.Contains(err.Error(), mark) {
				t.Errorf("%s, %s: %v", s.pathOf(k), name, err)
			}
		}
	})
	if secrets < 4 {
		t.Errorf("only %d secret keys", secrets)
	}
}

// TestANewKeyIsOneDeclaration adds keys of the most different kinds to the declarations, and nothing else, and
// looks for what must follow.
func TestANewKeyIsOneDeclaration(t *testing.T) {
	var p struct {
		number int
		secret Secret
		word   string
	}
	for _, c := range []struct {
		at                     *section
		key                    key
		said, shown, otherwise string // in the file, and in the redacted configuration; without it
		wrong, problem         string
		got                    func() bool
	}{
		{
			&root, key{
				name: "frobs", value: of(number(1, 9), func(*Pipeline) *int { return &p.number }), initial: "3", hashed: true,
				flag: &option{name: "frobs", usage: "how many frobs"}, doc: "Most frobs per worker.", example: "frobs: 4",
			}, "5", "frobs: 5", "frobs: 3", "10", `frobs must be a whole number from 1 to 9, not "10"`,
			func() bool { return p.number == 5 },
		},
		{
			&kafkaSection, key{
				name: "frob_secret", value: of(secret("a secret"), func(*Kafka) *Secret { return &p.secret }), unsaid: "none",
				doc: "What the frobs prove themselves with.", example: "frob_secret: ${FROB}",
			}, mark, "frob_secret: '***'", "", "[a]", "kafka.frob_secret must be a single value, not a list",
			func() bool { return p.secret == mark },
		},
		{
			&sinkSection, key{
				name: "frobbing", value: of(oneOf("eager", "lazy"),
					func(*Sink) *string { return &p.word }), initial: "eager", hashed: true,
				doc: "When records are frobbed.", example: "frobbing: lazy",
			}, "lazy", "frobbing: lazy", "frobbing: eager", "lasy",
			`frobbing must be eager or lazy, not "lasy"; did you mean "lazy"?`,
			func() bool { return p.word == "lazy" },
		},
	} {
		t.Run(c.key.name, func(t *testing.T) {
			before := c.at.keys
			hash := mustParse(t, small).Hash()
			c.at.keys = append(slices.Clip(before), c.key)
			t.Cleanup(func() { c.at.keys = before })
			plain := mustParse(t, small)
			if plain.Hash() != hash {
				t.Error("a new key that nobody gives changes the hash")
			}
			if !strings.Contains(plain.Redacted(), c.otherwise) || c.otherwise == "" &&
				strings.Contains(plain.Redacted(), c.key.name) {
				t.Errorf("the default is not %q:\n%s", c.otherwise, plain.Redacted())
			}
			given := mustParse(t, fileWith(t, c.at, c.key.name+": "+c.said))
			if !c.got() || !strings.Contains(given.Redacted(), c.shown) {
				t.Errorf("%+v\n%s", p, given.Redacted())
			}
			if (given.Hash() != hash) != c.key.hashed {
				t.Errorf("the hash changes: %v", given.Hash() != hash)
			}
			_, err := Parse("x.yaml", []byte(fileWith(t, c.at, c.key.name+": "+c.wrong)), database)
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("got %v, want %s", err, c.problem)
			}
			_, err = Parse("x.yaml", []byte(fileWith(t, c.at, c.key.name+"s: 1")), database)
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("did you mean %q?", c.key.name)) {
				t.Errorf("the nearest name: %v", err)
			}
			page, err := Reference([]byte(readRoot(t, "docs/configuration.md")))
			if err != nil || !bytes.Contains(page, []byte("- **`"+c.key.name+"`**: "+c.key.facts())) ||
				!bytes.Contains(page, []byte(c.key.doc)) {
				t.Errorf("it is not documented: %v", err)
			}
			if listed := bytes.Contains(page, []byte("`"+c.at.pathOf(&c.key)+"`")); listed != c.key.hashed {
				t.Errorf("among the hashed keys: %v", listed)
			}
			allows := compiledSchema(t, Schema())
			if err := allows(fileWith(t, c.at, c.key.name+": "+c.said)); err != nil {
				t.Errorf("the schema: %v", err)
			}
			if allows(fileWith(t, c.at, c.key.name+": "+c.wrong)) == nil {
				t.Errorf("the schema allows %s", c.wrong)
			}
			if c.key.flag == nil {
				return
			}
			isIt := func(f Flag) bool { return f == Flag{Name: c.key.flag.name, Usage: c.key.flag.usage} }
			if !slices.ContainsFunc(PipelineFlags(), isIt) {
				t.Errorf("no flag: %+v", PipelineFlags())
			}
			f := Flags{"brokers": {"localhost:9092"}, "topic": {"orders"}, c.key.flag.name: {c.said}}
			if flags, err := FromFlags(f, database); err != nil || flags.Hash() != given.Hash() {
				t.Errorf("with flags: %v", err)
			}
			f[c.key.flag.name] = []string{c.wrong}
			if _, err := FromFlags(f, database); err == nil || !strings.Contains(err.Error(), "--"+c.problem) {
				t.Errorf("with flags: %v", err)
			}
		})
	}
}

// TestANewFormatIsTaken: a format that is registered can be named, for rows and for groups, and its name is part
// of the hash.
func TestANewFormatIsTaken(t *testing.T) {
	plain, name := mustParse(t, small), fmt.Sprint("froth", len(format.Names()))
	src := small + "    format: " + name + "\n"
	_, err := Parse("x.yaml", []byte(src), database)
	if err == nil || !strings.Contains(err.Error(), `x.yaml:6:13: format must be json, not "froth`) {
		t.Fatalf("a format that is not known: %v", err)
	}
	format.Register(name, func(o format.Options) (format.Format, error) { return format.New(format.Default, o) })
	for _, mode := range []string{"", "    key: id\n", "    group: { g: a }\n    add: { n: 1 }\n"} {
		p := mustParse(t, src+mode)
		if p.Sinks[0].Rule.Format != name || p.Hash() == mustParse(t, small+mode).Hash() {
			t.Errorf("%q: the format is %q", mode, p.Sinks[0].Rule.Format)
		}
	}
	if plain.Sinks[0].Rule.Format != format.Default || mustParse(t, small).Hash() != plain.Hash() {
		t.Errorf("the default is %q", plain.Sinks[0].Rule.Format)
	}
}
