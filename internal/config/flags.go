package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Flags are a pipeline without a file, `sinker run --brokers … --topic … --to …`: the values by the flag's name,
// without its dashes. A flag without a value is one that is not given.
type Flags map[string][]string

// Flag is how a command line gives a key.
type Flag struct {
	Name, Usage string
	List        bool // it may have several values
	Switch      bool // it needs none
}

// PipelineFlags are the flags of the keys that have one.
func PipelineFlags() (flags []Flag) {
	root.walk(func(_ *section, k *key) {
		if k.flag != nil {
			flags = append(flags, Flag{k.flag.name, k.flag.usage, k.value.many, k.value.kind == "yes"})
		}
	})
	return flags
}

// FromFlags makes the pipeline that the flags stand for: one sink per topic. ${VAR} in a flag is replaced as in a
// file. Without --to, DATABASE_URL is read. Its errors name the flag.
func FromFlags(f Flags, lookup func(string) (string, bool)) (*Pipeline, error) {
	r := &reader{file: "command line", lookup: lookup, flags: true}
	return r.pipeline(r.tree(f))
}

// DatabaseOnly makes a pipeline of a name and a database, for commands that need no topics and may do without
// brokers.
func DatabaseOnly(f Flags, lookup func(string) (string, bool)) (*Pipeline, error) {
	r := &reader{file: "command line", lookup: lookup, flags: true, partial: true}
	return r.pipeline(r.tree(f))
}

// tree is the file that the flags stand for.
func (r *reader) tree(f Flags) *yaml.Node {
	tree, sink := &yaml.Node{Kind: yaml.MappingNode}, &yaml.Node{Kind: yaml.MappingNode}
	member(tree, "kafka")
	member(tree, "postgres")
	root.walk(func(s *section, k *key) {
		if k.flag == nil {
			return
		}
		v := flagNode(f[k.flag.name], k.value.many)
		if v == nil && k.flag.env != "" {
			if v = r.environment(k.flag.env); v != nil {
				r.instead = map[string]string{k.flag.name: k.flag.env}
			}
		}
		switch {
		case v == nil || s == &sinkSection && k.name == "topic":
		case s == &sinkSection:
			put(sink, k.name, v)
		case s.path == "":
			put(tree, k.name, v)
		default:
			put(member(tree, s.path), k.name, v)
		}
	})
	if !r.partial {
		put(tree, "sinks", r.flagSinks(f, sink))
	}
	return tree
}

// flagSinks is a sink for each topic, with what all have.
func (r *reader) flagSinks(f Flags, sink *yaml.Node) *yaml.Node {
	list, topics := &yaml.Node{Kind: yaml.SequenceNode}, f["topic"]
	if len(topics) == 0 {
		list.Content = []*yaml.Node{sink} // its topic is missing
	}
	if len(f["table"]) > 0 && len(topics) > 1 {
		r.problem(nil, "--table goes with one --topic; for several write a sinker.yaml")
	}
	for i, t := range topics {
		if slices.Contains(topics[:i], t) {
			r.problem(nil, "--topic %s is given twice", shownText(t))
			continue
		}
		one := &yaml.Node{Kind: yaml.MappingNode}
		put(one, "topic", scalarNode(t))
		one.Content = append(one.Content, sink.Content...)
		list.Content = append(list.Content, one)
	}
	return list
}

// environment is the value of a variable; nil: it is not set, or empty.
func (r *reader) environment(name string) *yaml.Node {
	text, _ := r.lookup(name)
	if text == "" {
		return nil
	}
	return scalarNode(escape(text)) // the text of a variable is not expanded again
}

// flagNode is the value of a flag; nil: it is not given.
func flagNode(values []string, many bool) *yaml.Node {
	if len(values) == 0 {
		return nil
	}
	if !many {
		return scalarNode(values[len(values)-1])
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, v := range values {
		list.Content = append(list.Content, scalarNode(strings.TrimSpace(v)))
	}
	return list
}

// member returns the mapping of a name within another, and makes it.
func member(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	m := &yaml.Node{Kind: yaml.MappingNode}
	put(n, name, m)
	return m
}

func put(n *yaml.Node, name string, v *yaml.Node) { n.Content = append(n.Content, scalarNode(name), v) }

func scalarNode(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }

// DatabaseFlag reads a command's --to, in which ${VAR} is replaced. Where it is empty it reads DATABASE_URL, so
// that no password has to stand on a command line, which every user of the machine can see. Its error holds no
// part of either.
func DatabaseFlag(to string, lookup func(string) (string, bool)) (Secret, error) {
	source, text := "--to", to
	if to == "" {
		source = "DATABASE_URL"
		if text, _ = lookup(source); text == "" {
			return "", fmt.Errorf(missingFlag, "--to", source, "--to")
		}
		text = escape(text) // the text of a variable is not expanded again
	}
	url, err := DatabaseURL(text, lookup)
	if err != nil {
		return "", fmt.Errorf("%s %w", source, err)
	}
	return url, nil
}

// missingFlag is said of a flag with a variable that can take its place.
const missingFlag = "%s is missing, and %s is not set: set it, or give %s '${NAME}' with the name of another variable"
