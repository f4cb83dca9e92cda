package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Redacted returns the effective configuration as YAML: every default filled in, every variable replaced, every
// secret shown as ***. It is a sinker.yaml that makes the same pipeline, but for the secrets.
func (p *Pipeline) Redacted() string {
	text, err := yaml.Marshal(root.node(p))
	if err != nil {
		return fmt.Sprintf("# cannot be shown: %v\n", err) // the tree is well-formed
	}
	return string(text)
}

// node shows the section of an owner.
func (s *section) node(owner any) *yaml.Node {
	m := &mapping{}
	for _, k := range s.keys {
		if n := k.node(owner); n != nil {
			m.add(k.name, n)
		}
	}
	return m.node()
}

// node shows the key's value; nil: as if it was not given.
func (k *key) node(owner any) *yaml.Node {
	v := k.value
	if v.section == nil {
		return v.show(owner)
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, inner := range v.owners(owner) {
		list.Content = append(list.Content, v.section.node(inner))
	}
	switch {
	case v.list:
		return list
	case len(list.Content) == 0:
		return nil
	}
	return list.Content[0]
}

// extensionsNode shows a mapping of the user's names.
func extensionsNode(values map[string]string) *yaml.Node {
	if len(values) == 0 {
		return nil
	}
	m := &mapping{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		m.addKey(name, textNode(escape(values[name])))
	}
	return m.node()
}

// mapping builds a YAML mapping in order.
type mapping struct{ content []*yaml.Node }

func (m *mapping) node() *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Content: m.content}
	if len(m.content) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

func (m *mapping) add(key string, v *yaml.Node) {
	m.content = append(m.content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, v)
}

// addKey is add for a key of the user's, which may look like another type.
func (m *mapping) addKey(key string, v *yaml.Node) {
	m.content = append(m.content, textNode(key), v)
}

// textNode is a string, in quotes where it would otherwise be read as something else.
func textNode(v string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v} }

// escape keeps a dollar sign from beginning a variable.
func escape(v string) string { return strings.ReplaceAll(v, "$", "$$") }
