package format

import "slices"

// Form is how a column wants a value. A path may be wanted in several forms.
type Form uint8

// The forms.
const (
	AsScalar     Form = iota // one value; an object or a list comes as its JSON text
	AsJSON                   // the JSON text, whatever it is; null stays null
	AsList                   // the elements of a list, and of the lists in it
	AsListOfJSON             // the elements of a list as their JSON texts
	Forms                    // how many there are
)

// Paths is the tree of the fields that a plan wants of a record, before it is numbered. The zero Paths wants nothing; a
// field of no names is the whole record.
type Paths struct {
	names    []string
	children []*Paths
	forms    [Forms]bool
	id       int32
}

// Want adds a field in a form.
func (p *Paths) Want(fields []string, f Form) { p.add(fields).forms[f] = true }

func (p *Paths) add(fields []string) *Paths {
	if len(fields) == 0 {
		return p
	}
	i := slices.Index(p.names, fields[0])
	if i < 0 {
		i = len(p.names)
		p.names, p.children = append(p.names, fields[0]), append(p.children, &Paths{})
	}
	return p.children[i].add(fields[1:])
}

// Document numbers the fields.
func (p *Paths) Document() *Document {
	d := &Document{}
	p.number(d)
	return d
}

func (p *Paths) number(d *Document) {
	p.id = int32(len(d.nodes))
	d.nodes = append(d.nodes, node{names: p.names})
	for f := AsJSON; f < Forms; f++ {
		if p.forms[f] {
			n := int32(len(d.nodes))
			d.nodes = append(d.nodes, node{end: n + 1})
			d.nodes[p.id].forms[f] = n
		}
	}
	children := make([]int32, len(p.children))
	for i, c := range p.children {
		c.number(d)
		children[i] = c.id
	}
	d.nodes[p.id].children, d.nodes[p.id].end = children, int32(len(d.nodes))
}

// Document is the tree of the fields that a plan wants of one record. Node 0 is the whole record. The nodes of a
// subtree lie next to each other, and a node's number is also the place of its value among those that a decoder fills.
// A form in which a field is wanted, other than AsScalar, is a node of its own that follows.
type Document struct {
	nodes []node
}

// node is a field that is wanted itself, or has wanted fields within it.
type node struct {
	names    []string     // of the wanted fields within
	children []int32      // their nodes
	end      int32        // the node after its subtree
	forms    [Forms]int32 // the nodes of other forms; 0: that is not wanted
}

// Len is how many values a decoder fills.
func (d *Document) Len() int { return len(d.nodes) }

// Find returns the place of the value at the path in a form, and the places on the way to it, the whole record's left
// out. Path and form must be wanted.
func (d *Document) Find(fields []string, f Form) (n int32, way []int32) {
	for i, name := range fields {
		if i > 0 {
			way = append(way, n)
		}
		n = d.nodes[n].children[slices.Index(d.nodes[n].names, name)]
	}
	if f != AsScalar {
		n = d.nodes[n].forms[f]
	}
	return n, way
}

// inner says whether there is more to a value of the node than one scalar.
func (n *node) inner() bool { return len(n.children) > 0 || n.forms != [Forms]int32{} }

// list is the form in which the elements of a list are read first.
func (n *node) list() Form {
	switch {
	case n.forms[AsList] > 0:
		return AsList
	case n.forms[AsListOfJSON] > 0:
		return AsListOfJSON
	}
	return AsScalar
}
