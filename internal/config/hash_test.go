package config

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// isHashed says whether a key, or the one that it is a spelling of, is part of the hash.
func isHashed(s *section, k *key) bool {
	return k.hashed || k.sameAs != "" && s.key(k.sameAs).hashed
}

// TestEveryKeyChangesTheHash: a file with a key's example has another hash than one without the key exactly if the
// key is declared to decide what is written. The list is the declarations': a new key cannot be forgotten.
func TestEveryKeyChangesTheHash(t *testing.T) {
	changed, same := 0, 0
	declared(func(s *section, k *key) {
		with := mustParse(t, fileWith(t, s, k.example))
		plain, err := Parse("x.yaml", []byte(fileWith(t, s, exampleWith(t, k, ""))), everyVariable)
		if err != nil { // the key is needed by the others of the example
			plain = mustParse(t, small)
		}
		onlyOne := k.value.kind == "one of" && len(k.value.names) == 1 // there is nothing to change it to
		if want := isHashed(s, k) && !onlyOne; (with.Hash() != plain.Hash()) != want {
			t.Errorf("%s: the hash changes: %v, want %v", s.pathOf(k), !want, want)
		}
		if with.Redacted() == plain.Redacted() && !onlyOne {
			t.Errorf("%s: the example changes nothing", s.pathOf(k))
		}
		if isHashed(s, k) {
			changed++
		} else {
			same++
		}
	})
	t.Logf("%d keys change it, %d do not", changed, same)
}

// spellings are, by kind of key, spellings of one meaning, each group another meaning than the others.
var spellings = map[string][][]string{
	"number":   {{"7", `"7"`, "07", "${SEVEN}"}, {"8"}, {"64"}},
	"duration": {{"60s", "1m", "1m0s", "60000ms", `"60s"`}, {"61s"}, {"1m1ms", "60001ms"}},
	"size": {{"1MiB", "1024KiB", "1048576", "1048576B", "1 MiB"}, {"1MB", "1000KB", "1000000"}, {"1"},
		{"1GiB", "1024MiB"}},
	"share": {{"1%", "0.01", "1.0%", "0.0100", "1e-2"}, {"0.3%", "0.003"}, {"7%", "0.07"}, {"29%", "0.29"},
		{"57%", "0.57"}, {"100%"}},
	"yes": {{"yes", "true", "on", "Yes", `"on"`}, {"no", "false", "off", "${NO}"}},
	"start": {
		{"earliest", `"earliest"`}, {"latest"}, {"2026-11-22T12:00:00Z", "2026-11-22T14:00:00+02:00",
			"2026-11-22T12:00:00.000Z"},
		{"2026-11-22T12:00:00.5Z"},
	},
	"topics":    {{"a", "[a]", `"a"`, "${A}", "&x a"}, {"b"}, {"[a, b]", "[b, a]"}, {"/a/"}, {"/^a/"}},
	"brokers":   {{"a:1", "[a:1]", `" a:1"`}, {"[a:1, b:2]", `"b:2,a:1"`, "[b:2, a:1]"}},
	"key":       {{"a", "[a]"}, {"b"}, {"[a, b]", "[b, a]"}},
	"meta":      {{"topic", "[topic]"}, {"key"}, {"[topic, key]", "[key, topic]"}},
	"sqlstates": {{"23503", "[23503]", `["23503"]`}, {"23505"}, {"[23503, 40001]", "[40001, 23503]"}},
	"table": {{"a", "public.a", `'"a"'`, `'"public"."a"'`, "${A}"}, {"A"}, {"b.a"}, {`'"b.a"'`}, {`'"a.b".c'`},
		{`'a."b.c"'`}},
	"columns": {
		{"{ ca: x.y, cb: z int }", `{ cb: "z integer", ca: '"x"."y"' }`, `{ ca: ' "x".y ', cb: z int4 }`},
		{"{ ca: x.y, cb: z bigint }"}, {"{ ca: x.y, cb: z }"}, {"{ ca: x.y }"}, {`{ ca: '"x.y"' }`}, {"{ cb: x.y }"},
		{"{ ca: y.x }"},
		{"{ ca: null, cb: bigint }", "{ ca: ca, cb: cb int8 }", "{ cb: '\"cb\" bigint', ca: null }"},
		{"{ ca: 'ca numeric(12,2)' }", "{ ca: 'ca decimal( 12 , 2 )' }",
			"{ ca: 'numeric(12,2)' }"}, {"{ ca: 'ca numeric(12,3)' }"},
		{"{ ca: timestamptz }",
			"{ ca: timestamp with time zone }"}, {"{ ca: timestamp without time zone }"}, {"{ ca: 'text[]' }"},
		{"{ ca: ca text }"},
		{"{ ca: $key }"}, {"{ ca: $key.id }",
			`{ ca: '$key."id"' }`}, {"{ ca: key.id }"}, {"{ ca: $headers }"}, {"{ ca: $headers.id }", `{ ca: '$headers."id"' }`},
		{"{ ca: $topic }"}, {`{ ca: '"$topic"' }`}, {"{ ca: . }"}, {"{ ca: $timestamp }"}, {"{ ca: $partition }"},
		{"{ ca: $offset }"}, {`{ ca: '"1"' }`},
	},
	"extensions": {{"{ a: x, b: y }", "{ b: y, a: x }"}, {"{ a: y, b: x }"}},
	// Any text is a value of its own.
	"text": {{"a", `"a"`, "'a'", "${A}"}, {"b"}, {"A"}}, "checked text": {{"off", `"off"`, "${OFF}"}}, "secret": {{"a",
		`"a"`}, {"b"}},
	"url":    {{"postgres://h/db", `"postgres://h/db"`}, {"postgres://h/other"}},
	"one of": nil, // each name is a meaning
}

// of group and add only.
var spellingsOf = map[string][][]string{
	"sinks.group": {{"{ ca: minute(x.y) }", `{ ca: 'minute( "x".y )' }`}, {"{ ca: hour(x.y) }"}, {"{ ca: day(x.y) }"},
		{"{ ca: day(x.y) date }"}, {"{ ca: minute(x) }"}},
	"sinks.add": {{"{ ca: 1 }", "{ ca: '1' }"}, {"{ ca: 1 bigint }", "{ ca: '1 int8' }"}},
}

// TestSpellings: the hash is equal for each spelling of one meaning, and differs between meanings exactly if the
// key is declared to decide what is written. The effective configuration differs between meanings for every key.
func TestSpellings(t *testing.T) {
	lookup := func(name string) (string, bool) {
		if v := map[string]string{"SEVEN": "7", "NO": "no", "A": "a", "OFF": "off"}[name]; v != "" {
			return v, true
		}
		return everyVariable(name)
	}
	tried := 0
	declared(func(s *section, k *key) {
		path := s.pathOf(k)
		groups, ok := spellings[k.value.kind]
		if !ok {
			t.Errorf("%s: no spellings of a value of the kind %q", path, k.value.kind)
		}
		groups = slices.Concat(groups, spellingsOf[path])
		if k.value.kind == "one of" {
			for _, name := range k.value.names {
				groups = append(groups, []string{name, `"` + name + `"`})
			}
		}
		byHash, byView := map[string]string{}, map[string]string{}
		for _, group := range groups {
			first := ""
			for _, spelling := range group {
				p, err := Parse("x.yaml", []byte(fileWith(t, s, exampleWith(t, k, spelling))), lookup)
				if err != nil && k.value.kind == "one of" { // another mechanism takes other keys
					continue
				}
				if err != nil {
					t.Fatalf("%s: %s: %v", path, spelling, err)
				}
				tried++
				if first == "" {
					first = p.Hash()
					if other, ok := byHash[first]; ok && isHashed(s, k) {
						t.Errorf("%s: %s has the hash of %s", path, spelling, other)
					}
					if other, ok := byView[p.Redacted()]; ok && !k.value.secret {
						t.Errorf("%s: %s is shown as %s is:\n%s", path, spelling, other, p.Redacted())
					}
					byView[p.Redacted()] = spelling
				} else if p.Hash() != first {
					t.Errorf("%s: %s has another hash than %s", path, spelling, group[0])
				}
				byHash[p.Hash()] = spelling
			}
		}
		if !isHashed(s, k) && len(byHash) > 1 {
			t.Errorf("%s decides nothing about what is written, and changes the hash: %v", path, byHash)
		}
	})
	t.Logf("%d values", tried)
}

// shuffled is the file with its mappings in another order and another style. The order of lists stays.
func shuffled(n *yaml.Node, random *rand.Rand) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	if n.Kind == yaml.MappingNode {
		pairs := slices.Collect(slices.Chunk(n.Content, 2))
		random.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
		n.Content = slices.Concat(pairs...)
	}
	if n.Kind != yaml.ScalarNode {
		n.Style = []yaml.Style{0, yaml.FlowStyle}[random.IntN(2)]
	} else if n.Tag == "!!str" {
		n.Style = []yaml.Style{0, yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle}[random.IntN(3)]
	}
	for _, c := range n.Content {
		shuffled(c, random)
	}
}

// TestTheHashSurvivesRewriting: the same configuration in another order and style, with its defaults written out,
// or as flags.
func TestTheHashSurvivesRewriting(t *testing.T) {
	example := readRoot(t, "sinker.example.yaml")
	want := mustParse(t, example)
	if again := mustParse(t, want.Redacted()); again.Hash() != want.Hash() {
		t.Errorf("with its defaults written out it has another hash:\n%s", want.Redacted())
	}
	for seed := range uint64(100) {
		file := mappingOf(t, example)
		shuffled(file, rand.New(rand.NewPCG(seed, 0)))
		text, err := yaml.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		if p := mustParse(t, string(text)); p.Hash() != want.Hash() {
			t.Fatalf("seed %d has another hash:\n%s", seed, text)
		}
	}
	flags, err := FromFlags(Flags{"brokers": {"other:9092"}, "topic": {"orders", "returns"}, "key": {"id"},
		"create": {"true"}, "name": {"n"}}, database)
	if err != nil {
		t.Fatal(err)
	}
	sinks := "sinks:\n  - { topic: orders, table: public.orders, key: id, create: on }\n" +
		"  - { topics: [returns], create: yes, key: [id], format: json }\n"
	if p := mustParse(t, strings.Replace(small, "sinks:\n  - topic: orders\n    table: orders\n", sinks,
		1)); p.Hash() != flags.Hash() {
		t.Errorf("with flags it has another hash:\n%s\n%s", flags.Redacted(), p.Redacted())
	}
}

// TestTheHashOfSinks: the order of sinks is the order in which tables are written, and a sink more or less is
// another meaning.
func TestTheHashOfSinks(t *testing.T) {
	a, b := "  - { topic: a, table: ta }\n", "  - { topic: b, table: tb }\n"
	head := "kafka: { brokers: 'a:1' }\npostgres: host=a\nsinks:\n"
	seen := map[string]string{}
	for _, sinks := range []string{a, b, a + b, b + a, "  - { topic: a, table: tb }\n",
		"  - { topics: [a, b], table: ta }\n", a + a[:len(a)-2] + ", key: id }\n"} {
		p, err := Parse("x.yaml", []byte(head+sinks), everyVariable)
		if err != nil {
			continue // twice the same table
		}
		if other, ok := seen[p.Hash()]; ok {
			t.Errorf("%s has the hash of %s", sinks, other)
		}
		seen[p.Hash()] = sinks
	}
	if len(seen) < 6 {
		t.Errorf("%d hashes", len(seen))
	}
}

// TestADefaultThatChanges: a configuration without a key whose default is another now has another hash than
// before, and one with the former default written out has the former hash.
func TestADefaultThatChanges(t *testing.T) {
	before, written, k := mustParse(t, small).Hash(), small+"    max_depth: 512\n", sinkSection.key("max_depth")
	saved := *k
	t.Cleanup(func() { *k = saved })
	k.initial, k.neutral = "100", "512"
	if got := mustParse(t, small).Hash(); got == before {
		t.Error("the hash does not change with the default")
	}
	if got := mustParse(t, written).Hash(); got != before {
		t.Error("the former default, written out, has another hash")
	}
}

const everything = `
kafka: { brokers: 'a:1', start: 2026-11-22T12:00:00Z }
postgres: host=a
errors: { stop_after: 0.5% }
sinks:
  - topics: [b, a]
    table: '"a.b".c'
    key: [id, kafka_offset]
    delete: tombstone
    columns: { id: , x: '"a.b".c text', k: $key.id int, h: $headers.trace, t: $timestamp, all: . jsonb, one: '"1"' }
    meta: [offset, topic]
    errors: { wait_for: [23503, 40001], at_most: 1m }
  - topic: /^x-.*/
    table: sums
    group: { minute: minute(at), day: day(at) date, country: customer.country text }
    add: { n: 1, total: 'amount.total numeric(14,2)' }
    max: { last: at }
    min: { first: at timestamptz }
    delete: ignore
    max_depth: 7
  - { topic: c, table: c, create: on, columns: { id: int8 } }
`

// TestTheHashIsPinned: hashes are kept in databases. One that changes here tells every user that the configuration
// changed, who then looks for a change that nobody made. If making hashes must change, change hashForm.
func TestTheHashIsPinned(t *testing.T) {
	types := "    columns:\n"
	for i, typ := range []string{"boolean", "smallint", "integer", "bigint", "real", "double precision", "numeric",
		"numeric(12,2)", "text", "varchar(9)",
		"char(3)", "char", "bytea", "uuid", "date", "time", "time(3)", "timestamp", "timestamp(3)", "timestamptz",
		"timestamptz(3)", "interval",
		"json", "jsonb", "inet", "cidr", "macaddr", "citext", "text[]", "numeric(12,2)[]"} {
		types += fmt.Sprintf("      c%d: f%d %s\n", i, i, typ)
	}
	for _, c := range []struct{ name, src, want string }{
		{"Small", small, "v2-8b892312fb08"},
		{"Types", small + types, "v2-834924ea1dd8"},
		{"Stop", small + "errors: { do: stop }\n", "v2-f4916e6fe3a3"},
		{"Latest", with("localhost:9092, start: latest"), "v2-4e0879dfa6bd"},
		{"Everything", everything, "v2-a8308b9f1f9a"},
	} {
		if got := mustParse(t, c.src).Hash(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
