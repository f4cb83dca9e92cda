package main

import "strconv"

// orders are flat records of ten fields and about 210 bytes. Record i has the key i.
func orders() *dataset {
	d := &dataset{name: "orders", size: 256, key: "id", changing: "amount", columns: []column{
		{"id", "bigint"}, {"customer", "bigint"}, {"country", "text"}, {"status", "text"}, {"amount", "numeric(12,2)"},
		{"quantity", "integer"}, {"weight", "double precision"}, {"paid", "boolean"}, {"created_at", "timestamptz"}, {"note", "text"}}}
	d.record = func(dst []byte, i int64) []byte {
		r := mix(uint64(i))
		dst = strconv.AppendInt(append(dst, `{"id":`...), i, 10)
		dst = strconv.AppendInt(append(dst, `,"customer":`...), int64(r%1e6), 10)
		dst = append(append(append(dst, `,"country":"`...), "DEFRITES"[r>>8%4*2:r>>8%4*2+2]...), `","status":"shipped","amount":`...)
		dst = appendWide(dst, 2, mix(r))
		dst = strconv.AppendInt(append(dst, `,"quantity":`...), int64(r>>20%100), 10)
		dst = appendWide(append(dst, `,"weight":`...), 4, mix(r))
		dst = append(dst, `,"paid":true,"created_at":`...)
		dst = appendWide(dst, 3, r)
		return append(dst, `,"note":"leave it at the door, thank you"}`...)
	}
	return d
}

// whole are the same records, each into one jsonb column.
func whole() *dataset { return orders().inWhole() }
