package main

import (
	"fmt"
	"strconv"
	"strings"
)

// dataset is a sequence of generated JSON records and the table they go into. Record i is always the same.
type dataset struct {
	name    string
	size    int // bytes of a record, about
	record  func(dst []byte, i int64) []byte
	columns []column

	of       *dataset // the data set with the same records, when there is one
	whole    bool     // the table has one jsonb column, of the whole record
	key      string   // the column that is the table's primary key where there is one
	changing string   // a numeric column that older versions of a row differ in
}

// column is a column of the table, filled from the record's field of the same name.
type column struct{ name, typ string }

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
	b.WriteString(") WITH (autovacuum_enabled = off)")
	return b.String()
}

// wide are records of 100 fields and about 2 kB: twenty of each of five kinds.
func wide() *dataset {
	d := &dataset{name: "wide", size: 2200, columns: []column{{"id", "bigint"}}}
	kinds := []string{"bigint", "text", "numeric(12,2)", "timestamptz", "double precision"}
	for i := 1; i < 100; i++ {
		d.columns = append(d.columns, column{fmt.Sprintf("c%02d", i), kinds[i%len(kinds)]})
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

// inWhole is the same records, into a table of one jsonb column.
func (d *dataset) inWhole() *dataset {
	w := *d
	w.name, w.whole, w.columns, w.of = d.name+"-jsonb", true, []column{{"doc", "jsonb"}}, d
	return &w
}

// source is the data set whose topic holds the records.
func (d *dataset) source() *dataset {
	if d.of != nil {
		return d.of
	}
	return d
}
