package transform

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"math"
	"math/bits"
	"slices"
)

// Groups folds the tuples of a plan that aggregates into one row a group. Its memory is used again after Reset, so that
// neither a record nor a group costs an allocation once it has grown; it holds no more than a batch's group values.
type Groups struct {
	plan  *Plan
	folds []foldColumn
	slots []int32 // hash table of indexes (plus one) into groups
	list  []group
	cells []cell // len(folds) a group
	bytes []byte // the groups' key columns, and the largest and smallest numerics
	large map[int]*largeSum
	text  []byte // scratch of a sum's digits
}

// group is one row to be.
type group struct {
	hash     uint64
	prefix   uint64 // of the key, for sorting
	from, to int    // the key columns within bytes
	cells    int    // the place of its first cell
}

// cell is what one column of a group has come to. A sum is a number of 128 bits: of units, or for numeric of the
// column's last group of four digits. That can not overflow within a batch; what the column can not hold shows at the end.
type cell struct {
	low, high uint64
	shown     uint16 // numeric: digits after the point
	seen      bool
}

// foldColumn is how the tuples' column behind the group columns is folded.
type foldColumn struct {
	encoding
	fold     Fold
	fraction int // numeric sums: groups of four digits after the point that a cell holds
}

// NewGroups makes the groups of a plan that aggregates.
func (p *Plan) NewGroups() *Groups {
	g := &Groups{plan: p, slots: make([]int32, 64), large: map[int]*largeSum{}}
	for _, c := range p.columns[p.keys:] {
		f := foldColumn{encoding: c.encoding, fold: c.fold, fraction: 3}
		if c.precision > 0 {
			f.fraction = (max(0, c.scale) + 3) / 4
		}
		g.folds = append(g.folds, f)
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
			g.count(f, c)
			continue
		}
		if size < 0 {
			continue
		}
		value := rest[:size]
		rest = rest[size:]
		if f.fold == Add {
			g.sum(f, c, at+i, value)
		} else {
			g.extreme(f, c, value)
		}
		c.seen = true
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
		g.cells = append(g.cells, cell{})
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

func (c *cell) add(n int64) {
	var carry uint64
	c.low, carry = bits.Add64(c.low, uint64(n), 0)
	c.high, _ = bits.Add64(c.high, uint64(n>>63), carry)
}

// numericOne is 1 as a numeric.
var numericOne = []byte{0, 1, 0, 0, 0, 0, 0, 0, 0, 1}

func (g *Groups) count(f *foldColumn, c *cell) {
	c.seen = true
	switch f.of.Kind {
	case Float4, Float8:
		c.low = math.Float64bits(math.Float64frombits(c.low) + 1)
	case Numeric:
		c.addNumeric(numericOne, f.fraction)
	default:
		c.add(1)
	}
}

func (g *Groups) sum(f *foldColumn, c *cell, at int, value []byte) {
	switch f.of.Kind {
	case Float4, Float8:
		c.low = math.Float64bits(math.Float64frombits(c.low) + floatOf(value))
	case Numeric:
		c.shown = max(c.shown, binary.BigEndian.Uint16(value[6:]))
		if !c.addNumeric(value, f.fraction) {
			g.addLarge(at, value)
		}
	default:
		c.add(fixed(value))
	}
}

// extreme keeps the larger or the smaller value. Numerics lie in bytes, where a cell has their place.
func (g *Groups) extreme(f *foldColumn, c *cell, value []byte) {
	isNumeric := f.of.Kind == Numeric
	if c.seen {
		var have []byte
		var fix [8]byte
		if isNumeric {
			have = g.bytes[c.low : c.low+c.high]
		} else {
			have = binary.BigEndian.AppendUint64(fix[:0], c.low)[8-len(value):]
		}
		if d := compareFields(value, have, f.of.Kind); d == 0 || (d > 0) != (f.fold == Max) {
			return
		}
	}
	if !isNumeric {
		c.low = uint64(fixed(value))
		return
	}
	if int(c.high) < len(value) { // a place of its own, or a larger one
		c.low = uint64(len(g.bytes))
		g.bytes = append(g.bytes, value...)
	}
	c.high = uint64(copy(g.bytes[c.low:], value))
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
		dst[i] = AppendArrayHeader(dst[i][:0], g.plan.columns[i].Type, to-from)
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

// AppendArrayHeader begins a binary array of one dimension, which may hold NULLs. Its elements are fields as Append
// writes them.
func AppendArrayHeader(dst []byte, element Type, size int) []byte {
	dst = appendInt32(appendInt32(dst, 1), 1)
	return appendInt32(appendInt32(appendInt32(dst, int32(element.OID)), int32(size)), 1)
}

// result writes what a cell has come to as a field.
func (g *Groups) result(dst []byte, at int, f *foldColumn) ([]byte, *BadRecord) {
	c := &g.cells[at]
	switch {
	case f.fold == Add || f.fold == counted:
		return g.total(dst, at, f)
	case !c.seen:
		return appendInt32(dst, -1), nil
	case f.of.Kind == Numeric:
		return append(appendInt32(dst, int32(c.high)), g.bytes[c.low:c.low+c.high]...), nil
	}
	return appendFixed(dst, int64(c.low), f.of.Kind), nil
}

// appendFixed writes a field of the kind's two, four or eight bytes.
func appendFixed(dst []byte, n int64, k Kind) []byte {
	switch k {
	case Int2:
		return append(dst, 0, 0, 0, 2, byte(n>>8), byte(n))
	case Int4, Float4, Date:
		return appendInt32(appendInt32(dst, 4), int32(n))
	}
	return binary.BigEndian.AppendUint64(appendInt32(dst, 8), uint64(n))
}
