package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Every key of sinker.yaml is declared once, as a key of a section (keys_*.go). The parser, the defaults, the
// flags, the effective configuration, the hash, what an error may show of its line, docs/configuration.md and
// sinker.schema.json all follow from the declaration. After a change `go generate ./internal/config` writes
// the page and the schema.

//go:generate go test . -run TestWhatIsGenerated -update

// section is a mapping of the file. Its owner is the value that its keys fill: a *Kafka, a *Sink.
type section struct {
	path  string // of its keys, such as kafka.tls; sinks for the keys of one sink
	place string // how a message names the mapping, such as "a sink"
	lead  string // what a message puts before the name of a key: "kafka.tls."
	keys  []key
	later []string // keys that are refused as not supported yet, so that they do not look like misspellings
	// check is asked once every key was read, also when some were wrong. It reports what only the whole mapping tells.
	check func(r *reader, n *yaml.Node, owner any, g given)
	// onlyClean leaves out check, and what is missing, when a key was wrong: what seems to be missing may be misspelled.
	onlyClean bool
}

// key is the declaration of one key. What its values look like, and where they go, is its value.
type key struct {
	name  string
	value value
	// initial is the default, as the file would have it: a new owner has it. A key without one has no default, or
	// one that only the whole configuration tells; then unsaid says in Markdown what happens without the key.
	initial, unsaid string
	required        bool   // the mapping is refused without it
	sameAs          string // another key of the section that this one is a spelling of: one of the two may be given
	// hashed keys decide what is written: the configuration hash changes with them. The hash leaves out what is
	// equal to neutral, or to initial when there is no neutral. A default that changes keeps its first value as
	// neutral, so that the hash of a configuration without the key changes exactly when its meaning does.
	hashed  bool
	neutral string
	flag    *option // how a command line gives it without a file; nil: not at all
	doc     string  // what it does, in Markdown; the first sentence says the most
	example string  // lines of the section that give the key another value than its default, with the keys that it needs
}

// option is the spelling of a key on a command line, as a flag.
type option struct {
	name, usage string
	env         string // a variable that is read when the flag is not given
}

// value reads, shows and describes the values of a key. Its functions take the section's owner.
type value struct {
	shape
	section *section // where the value is a mapping, or a list of mappings, of declared keys; nil: anything else
	list    bool     // the value is a list of mappings
	owners  func(owner any) []any
	read    func(r *reader, n *yaml.Node, what string, owner any)
	show    func(owner any) *yaml.Node // nil: as if the key was not given
	canon   func(owner any) string     // equal for equal meanings; "" as if the key was not given
	canonOf func(text string) string   // canon of an owner that was given the text
}

// shape is what is known of a key's values without reading one.
type shape struct {
	kind    string // a short name, by which the tests know what to try
	takes   string // in words, for messages and the reference page: "a duration from 1s to 30m"
	such    string // examples, for messages: ", such as 500ms or 2s"
	many    bool   // a value may be a list
	names   []string
	later   []string // names that are refused as not supported yet
	instead string   // what to use in place of those
	schema  any
	secret  bool
	lines   visible
}

// visible is how much of a value the source line in an error may show.
type visible uint8

const (
	showNothing visible = iota
	showScalar          // a single value, or each of a list
	showNames           // also a mapping whose keys and values are the user's own names
)

// kind is the shape of values of the type V, and the functions on them.
type kind[V any] struct {
	shape
	parse func(text string) (V, error) // of one value; errTakes: it is not what takes says
	read  func(r *reader, n *yaml.Node, what string, dst *V)
	text  func(V) string // as the file would have it, without quotes; "" as if the key was not given
	plain bool           // text is no string: numbers, durations
	show  func(V) *yaml.Node
	canon func(V) string
}

// of is a key whose values are of the kind, and where the owner keeps them.
func of[T, V any](k kind[V], at func(*T) *V) value {
	canon := k.canon
	if canon == nil {
		canon = k.text
	}
	return value{
		shape: k.shape,
		read:  func(r *reader, n *yaml.Node, what string, owner any) { k.readInto(r, n, what, at(owner.(*T))) },
		show:  func(owner any) *yaml.Node { return k.node(*at(owner.(*T))) },
		canon: func(owner any) string { return canon(*at(owner.(*T))) },
		canonOf: func(text string) string {
			var v V
			k.readInto(&reader{}, &yaml.Node{Kind: yaml.ScalarNode, Value: text}, "", &v)
			return canon(v)
		},
	}
}

// sub is a key whose value is the mapping s. at returns the mapping's owner; nil if there is none and create is
// false. short reads the value where the file has a single one in place of the mapping; nil: it must be a mapping.
func sub[T, V any](s *section, at func(o *T, create bool) *V, short *shortForm[T]) value {
	v := value{shape: shape{kind: "mapping"}, section: s}
	if short != nil {
		v.shape = short.shape
	}
	v.read = func(r *reader, n *yaml.Node, what string, owner any) {
		o := owner.(*T)
		if short != nil && n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
			short.read(r, n, what, o)
			return
		}
		isNew := at(o, false) == nil
		inner := at(o, true)
		if isNew {
			s.fill(inner)
		}
		r.mapping(n, s, inner)
	}
	v.owners = func(owner any) []any {
		if inner := at(owner.(*T), false); inner != nil {
			return []any{inner}
		}
		return nil
	}
	return v
}

// shortForm is a single value that stands for a mapping: `postgres: URL`, `tls: yes`.
type shortForm[T any] struct {
	shape
	read func(r *reader, n *yaml.Node, what string, owner *T)
}

// within is the place of a section that its owner always has.
func within[T, V any](at func(*T) *V) func(*T, bool) *V {
	return func(o *T, _ bool) *V { return at(o) }
}

// checked makes a section's check of a function that knows the owner's type.
func checked[T any](f func(r *reader, n *yaml.Node, owner *T, g given)) func(*reader, *yaml.Node, any, given) {
	return func(r *reader, n *yaml.Node, owner any, g given) { f(r, n, owner.(*T), g) }
}

// given are the keys that a mapping has, by name.
type given map[string]*yaml.Node

// key returns the declaration of a key; nil: there is none of that name.
func (s *section) key(name string) *key {
	if i := slices.IndexFunc(s.keys, func(k key) bool { return k.name == name }); i >= 0 {
		return &s.keys[i]
	}
	return nil
}

func (s *section) names() []string {
	names := make([]string, len(s.keys))
	for i, k := range s.keys {
		names[i] = k.name
	}
	return names
}

// fill gives a new owner the defaults of the section's keys, and of the sections within that it always has.
func (s *section) fill(owner any) {
	r := &reader{}
	for _, k := range s.keys {
		if k.initial != "" {
			k.value.read(r, &yaml.Node{Kind: yaml.ScalarNode, Value: k.initial}, k.name, owner)
		}
		if k.value.section != nil && !k.value.list {
			for _, inner := range k.value.owners(owner) {
				k.value.section.fill(inner)
			}
		}
	}
	if len(r.problems) > 0 {
		panic("config: the default of a key of " + s.place + " is refused: " + r.problems[0].Message)
	}
}

// walk visits the keys of the section and of those within, each section after the key that leads to it.
func (s *section) walk(visit func(*section, *key)) {
	for i := range s.keys {
		k := &s.keys[i]
		visit(s, k)
		if k.value.section != nil {
			k.value.section.walk(visit)
		}
	}
}

// pathOf is the key's unique name: kafka.tls.ca, sinks.table.
func (s *section) pathOf(k *key) string { return strings.TrimPrefix(s.path+"."+k.name, ".") }
