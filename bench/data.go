package main

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"sinker/internal/orderdata"
)

// dataset is a sequence of generated JSON records and the table they go into. Record i is always the same.
type dataset struct {
	name    string
	size    int // bytes of a record, about
	record  func(dst []byte, i int64) []byte
	columns []column

	of       *dataset // the data set with the same records, when there is one
	whole    bool     // the table has one jsonb column, of the whole record
	byName   bool     // every column is the record's field of that name, and sinker finds that out by itself
	sink     []string // lines of configuration instead of columns and key
	key      string   // the column that is the table's primary key where there is one
	changing string   // a numeric column that older versions of a row differ in
}

// column is a column of the table and the field of the record that fills it.
type column struct {
	name, typ string
	path      []string
}

// orders are the demo's: ten fields, two of them nested, and about 210 bytes. Record i has the key i.
func orders() *dataset {
	d := &dataset{name: "orders", size: 256, record: orderdata.Order, key: "id", changing: "total"}
	for line := range strings.Lines(orderdata.Columns) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		path, typ, _ := strings.Cut(strings.TrimSpace(rest), " ")
		d.columns = append(d.columns, column{name, typ, strings.Split(path, ".")})
	}
	return d
}

// columnLines are the columns as a configuration has them.
func (d *dataset) columnLines() []string {
	var lines []string
	for _, c := range d.columns {
		lines = append(lines, fmt.Sprintf("  %s: %s %s", c.name, strings.Join(c.path, "."), c.typ))
	}
	return lines
}

// casts is the SELECT list that makes the row of a record j.
func (d *dataset) casts() string {
	if d.whole {
		return "j"
	}
	var list []string
	for _, c := range d.columns {
		list = append(list, fmt.Sprintf("(j #>> '{%s}')::%s", strings.Join(c.path, ","), c.typ))
	}
	return strings.Join(list, ", ")
}

// ddl is the table's CREATE statement. Autovacuum is off for it: it would come in the middle of somebody's turn.
func (d *dataset) ddl(table, options string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE %s %s (", options, table)
	for i, c := range d.columns {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s", c.name, c.typ)
	}
	b.WriteString(") WITH (autovacuum_enabled = off")
	if d.sink != nil {
		b.WriteString(", fillfactor = 50") // as sinker makes a table of groups
	}
	b.WriteString(")")
	return b.String()
}

// tag is the data set's name with a mark of its content: what is kept between runs must be of the same generator.
func (d *dataset) tag() string {
	h := fnv.New32a()
	for i := range int64(100) {
		h.Write(d.record(nil, i))
	}
	fmt.Fprint(h, d.columns)
	return fmt.Sprintf("%s-%08x", d.name, h.Sum32())
}

// wide are records of 100 fields and about 2 kB: twenty of each of five kinds.
func wide() *dataset {
	d := &dataset{name: "wide", size: 2200, byName: true, columns: []column{{"id", "bigint", []string{"id"}}}}
	kinds := []string{"bigint", "text", "numeric(12,2)", "timestamptz", "double precision"}
	for i := 1; i < 100; i++ {
		name := fmt.Sprintf("c%02d", i)
		d.columns = append(d.columns, column{name, kinds[i%len(kinds)], []string{name}})
	}
	d.record = func(dst []byte, i int64) []byte {
		dst = strconv.AppendInt(append(dst, `{"id":`...), i, 10)
		r := mix(uint64(i))
		for n, c := range d.columns[1:] {
			dst = append(append(append(dst, `,"`...), c.name...), `":`...)
			r = mix(r)
			dst = appendWide(dst, (n+1)%len(kinds), r)
		}
		return append(dst, '}')
	}
	return d
}

// appendWide appends a JSON value of one of wide's kinds, chosen by r.
func appendWide(dst []byte, kind int, r uint64) []byte {
	switch kind {
	case 0:
		return strconv.AppendInt(dst, int64(r%1e10), 10)
	case 1:
		return append(strconv.AppendUint(append(dst, `"item `...), r%1e9, 36), '"')
	case 2:
		dst = strconv.AppendUint(dst, r%1e6, 10)
		return append(dst, '.', '0'+byte(r>>32%10), '0'+byte(r>>40%10))
	case 3:
		dst = append(dst, `"2026-0`...)
		dst = append(dst, '1'+byte(r%9), '-', '1', '0'+byte(r>>8%10), 'T', '0'+byte(r>>16%2), '0'+byte(r>>24%10))
		dst = append(dst, ':', '0'+byte(r>>32%6), '0'+byte(r>>40%10), ':', '0'+byte(r>>48%6), '0'+byte(r>>56%10))
		return append(dst, `Z"`...)
	default:
		return strconv.AppendFloat(dst, float64(r%1e7)/1024, 'g', -1, 64)
	}
}

// mix is a good scrambling of 64 bits (the finalizer of SplitMix64), so that record i needs no state.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// whole are orders, each into one jsonb column.
func whole() *dataset {
	d := orders()
	w := *d
	w.name, w.whole, w.columns, w.of = d.name+"-jsonb", true, []column{{name: "doc", typ: "jsonb"}}, d
	return &w
}

// source is the data set whose topic holds the records.
func (d *dataset) source() *dataset {
	if d.of != nil {
		return d.of
	}
	return d
}
