package transform

import "slices"

// document is the tree of the fields that a plan wants from one JSON text. Node 0 is the whole text. The nodes of a
// subtree lie side by side, and a node's number is also its place among the values that a scanner collects.
type document struct {
	nodes []node
}

// node is a field that is wanted itself, or has wanted fields within it.
type node struct {
	names    []string // of the wanted fields within
	children []int32  // their nodes
	end      int32    // the node after its subtree
}

// tree collects paths before they are numbered.
type tree struct {
	names    []string
	children []*tree
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
	children := make([]int32, len(t.children))
	for i, c := range t.children {
		c.number(d)
		children[i] = c.id
	}
	d.nodes[t.id].children, d.nodes[t.id].end = children, int32(len(d.nodes))
}

// find returns the node at the path, and those on the way to it without the root.
func (d *document) find(fields []string) (n int32, way []int32) {
	for i, f := range fields {
		if i > 0 {
			way = append(way, n)
		}
		n = d.nodes[n].children[slices.Index(d.nodes[n].names, f)]
	}
	return n, way
}
