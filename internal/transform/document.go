package transform

import "slices"

// document is the tree of the fields that a plan wants from one JSON text. Node 0 is the whole text. The nodes of a
// subtree lie side by side, and a node's number is also its place among the values that a scanner collects. A form in
// which a field is wanted, other than the first, is a node of its own that follows.
type document struct {
	nodes []node
}

// node is a field that is wanted itself, or has wanted fields within it.
type node struct {
	names    []string     // of the wanted fields within
	children []int32      // their nodes
	end      int32        // the node after its subtree
	forms    [forms]int32 // the nodes of other forms; 0: that is not wanted
}

// inner says whether there is more to a value of the node than one scalar.
func (n *node) inner() bool { return len(n.children) > 0 || n.forms != [forms]int32{} }

// list is the form in which the elements of a list are read first.
func (n *node) list() form {
	switch {
	case n.forms[asList] > 0:
		return asList
	case n.forms[asListOfJSON] > 0:
		return asListOfJSON
	}
	return asScalar
}

// tree collects paths before they are numbered.
type tree struct {
	names    []string
	children []*tree
	forms    [forms]bool
	id       int32
}

func (t *tree) add(fields []string) *tree {
	if len(fields) == 0 {
		return t
	}
	i := slices.Index(t.names, fields[0])
	if i < 0 {
		i = len(t.names)
		t.names, t.children = append(t.names, fields[0]), append(t.children, &tree{})
	}
	return t.children[i].add(fields[1:])
}

// document numbers the nodes.
func (t *tree) document() *document {
	d := &document{}
	t.number(d)
	return d
}

func (t *tree) number(d *document) {
	t.id = int32(len(d.nodes))
	d.nodes = append(d.nodes, node{names: t.names})
	for f := asJSON; f < forms; f++ {
		if t.forms[f] {
			n := int32(len(d.nodes))
			d.nodes = append(d.nodes, node{end: n + 1})
			d.nodes[t.id].forms[f] = n
		}
	}
	children := make([]int32, len(t.children))
	for i, c := range t.children {
		c.number(d)
		children[i] = c.id
	}
	d.nodes[t.id].children, d.nodes[t.id].end = children, int32(len(d.nodes))
}

// find returns the node at the path in a form, and those on the way to it without the root.
func (d *document) find(fields []string, f form) (n int32, way []int32) {
	for i, name := range fields {
		if i > 0 {
			way = append(way, n)
		}
		n = d.nodes[n].children[slices.Index(d.nodes[n].names, name)]
	}
	if f != asScalar {
		n = d.nodes[n].forms[f]
	}
	return n, way
}
