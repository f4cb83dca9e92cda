package transform

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"

	"sinker/internal/pgbin"
)

// Groups folds the tuples of a plan that aggregates into one row a group. Its memory is used again after Reset, so that
// neither a record nor a group costs an allocation once it has grown; it holds no more than a batch's group values.
type Groups struct {
	plan  *Plan
	folds []foldColumn
	slots []int32 // hash table of indexes (plus one) into groups
	list  []group
	cells []pgbin.Sum // len(folds) a group
	bytes []byte      // the groups' key columns, and the largest and smallest numerics
	large map[int]*pgbin.Large
}

// group is one row to be.
type group struct {
	hash     uint64
	prefix   uint64 // of the key, for sorting
	from, to int    // the key columns within bytes
	cells    int    // the place of its first cell
}

// foldColumn is how the tuples' column behind the group columns is folded. What a group's has come to is a pgbin.Sum,
// its cell. Of Max and Min, which add nothing up, it has the field itself in Low; or, of a numeric, its place in bytes
// and its size in Low and High.
type foldColumn struct {
	fold  Fold
	of    pgbin.Kind
	adder pgbin.Adder
}

// NewGroups makes the groups of a plan that aggregates.
func (p *Plan) NewGroups() *Groups {
	g := &Groups{plan: p, slots: make([]int32, 64), large: map[int]*pgbin.Large{}}
	for i := range p.columns[p.keys:] {
		c := &p.columns[p.keys+i]
		g.folds = append(g.folds, foldColumn{c.fold, c.Of.Kind, pgbin.NewAdder(&c.Encoding)})
	}
	return g
}

// Reset empties the groups.
func (g *Groups) Reset() {
	clear(g.slots)
	clear(g.large)
	g.list, g.cells, g.bytes = g.list[:0], g.cells[:0], g.bytes[:0]
}

// Len is the number of groups.
func (g *Groups) Len() int { return len(g.list) }

// KeySize is the size of the i-th group's values.
func (g *Groups) KeySize(i int) int { return g.list[i].to - g.list[i].from }

// Add folds a tuple made by Append into its group.
func (g *Groups) Add(tuple []byte) {
	key := g.plan.KeyOf(tuple)
	at := g.find(key)
	rest := tuple[2+len(key):]
	for i := range g.folds {
		size := int(int32(binary.BigEndian.Uint32(rest)))
		rest = rest[4:]
		f, c := &g.folds[i], &g.cells[at+i]
		if f.fold == counted {
			f.adder.Count(c)
			continue
		}
		if size < 0 {
			continue
		}
		field := rest[:size]
		rest = rest[size:]
		if f.fold != Add {
			g.extreme(f, c, field)
		} else if !f.adder.Add(c, field) {
			g.addLarge(at+i, field)
		}
	}
}

var groupSeed = maphash.MakeSeed()

// find returns the place of the first cell of a key's group, which it makes if it is new.
func (g *Groups) find(key []byte) int {
	hash := maphash.Bytes(groupSeed, key)
	mask := len(g.slots) - 1
	slot := int(hash) & mask
	for ; g.slots[slot] > 0; slot = (slot + 1) & mask {
		if have := &g.list[g.slots[slot]-1]; have.hash == hash && string(g.bytes[have.from:have.to]) == string(key) {
			return have.cells
		}
	}
	n := group{hash: hash, from: len(g.bytes), to: len(g.bytes) + len(key), cells: len(g.cells)}
	var first [8]byte
	copy(first[:], key[4:])
	n.prefix = binary.BigEndian.Uint64(first[:])
	g.bytes = append(g.bytes, key...)
	g.list = append(g.list, n)
	for range g.folds {
		g.cells = append(g.cells, pgbin.Sum{})
	}
	g.slots[slot] = int32(len(g.list))
	if 2*len(g.list) > len(g.slots) {
		g.grow()
	}
	return n.cells
}

func (g *Groups) grow() {
	g.slots = make([]int32, 2*len(g.slots))
	mask := len(g.slots) - 1
	for i := range g.list {
		slot := int(g.list[i].hash) & mask
		for g.slots[slot] > 0 {
			slot = (slot + 1) & mask
		}
		g.slots[slot] = int32(i + 1)
	}
}

// addLarge adds a numeric that is too long for the cell at a place.
func (g *Groups) addLarge(at int, field []byte) {
	if g.large[at] == nil {
		g.large[at] = &pgbin.Large{}
	}
	g.large[at].Add(field)
}

// extreme keeps the larger or the smaller value. Numerics lie in bytes, where a cell has their place.
func (g *Groups) extreme(f *foldColumn, c *pgbin.Sum, field []byte) {
	isNumeric := f.of == pgbin.Numeric
	if c.Seen {
		var have []byte
		var fix [8]byte
		if isNumeric {
			have = g.bytes[c.Low : c.Low+c.High]
		} else {
			have = binary.BigEndian.AppendUint64(fix[:0], c.Low)[8-len(field):]
		}
		if d := pgbin.Compare(field, have, f.of); d == 0 || (d > 0) != (f.fold == Max) {
			return
		}
	}
	c.Seen = true
	if !isNumeric {
		c.Low = uint64(pgbin.Fixed(field))
		return
	}
	if int(c.High) < len(field) { // a place of its own, or a larger one
		c.Low = uint64(len(g.bytes))
		g.bytes = append(g.bytes, field...)
	}
	c.High = uint64(copy(g.bytes[c.Low:], field))
}

// Sort puts the groups into an order that every worker has in common, so that two that write the same rows lock them in
// the same order.
func (g *Groups) Sort() {
	slices.SortFunc(g.list, func(a, b group) int {
		if c := cmp.Compare(a.prefix, b.prefix); c != 0 {
			return c
		}
		return bytes.Compare(g.bytes[a.from:a.to], g.bytes[b.from:b.to])
	})
	clear(g.slots) // they hold the old places
}

// Arrays appends to dst, an element a column of the plan, the columns of the groups [from, to) as binary arrays. Its
// error is of the column whose sum is larger than its type holds.
func (g *Groups) Arrays(dst [][]byte, from, to int) ([][]byte, *BadRecord) {
	dst = dst[:0]
	for i := range g.plan.columns {
		if len(dst) < cap(dst) {
			dst = dst[:i+1]
		} else {
			dst = append(dst, nil)
		}
		dst[i] = pgbin.AppendArrayHeader(dst[i][:0], g.plan.columns[i].Type, to-from)
	}
	for _, n := range g.list[from:to] {
		key := g.bytes[n.from:n.to]
		for i := range g.plan.keys {
			size := 4 + binary.BigEndian.Uint32(key)
			dst[i] = append(dst[i], key[:size]...)
			key = key[size:]
		}
		for i := range g.folds {
			at := g.plan.keys + i
			var err *BadRecord
			if dst[at], err = g.result(dst[at], n.cells+i, &g.folds[i]); err != nil {
				err.Column = g.plan.columns[at].Name
				return dst, err
			}
		}
	}
	return dst, nil
}

// result writes what a cell has come to as a field.
func (g *Groups) result(dst []byte, at int, f *foldColumn) ([]byte, *BadRecord) {
	c := &g.cells[at]
	switch {
	case f.fold == Add || f.fold == counted:
		return f.adder.Append(dst, c, g.large[at])
	case !c.Seen:
		return appendInt32(dst, -1), nil
	case f.of == pgbin.Numeric:
		return append(appendInt32(dst, int32(c.High)), g.bytes[c.Low:c.Low+c.High]...), nil
	}
	return pgbin.AppendFixed(dst, int64(c.Low), f.of), nil
}
