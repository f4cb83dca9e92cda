package txn

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sinker/internal/local/localtest"
)

// jsonKinds are the kinds of values that decide about a column's type, a few of each. "" is a field that is not there.
var jsonKinds = [][]string{
	{`7`, `0`, `-5`, `9223372036854775807`},
	{`99999999999999999999`, `-9223372036854775809`},
	{`10.5`, `0.10`, `-0.0`},
	{`1e3`, `1E-7`, `1e500`, `123456789.123456789e20`},
	{`true`, `false`},
	{`"abc"`, `"é\n\"x\\"`, `"\ud83d\ude00"`, `"{}"`, `"null"`},
	{`"12.50"`, `"1e3"`, `"true"`},
	{`"09005"`, `"00"`},
	{`"2026-11-22"`, `"0001-01-01"`, `"2024-02-29"`},
	{`"2026-11-22T12:34:56+01:00"`, `"2026-11-22T12:34:56.123456Z"`, `"2026-11-22 12:34:56-05"`},
	{`"2026-11-22T12:34:56.5"`, `"2026-11-22 12:34"`, `"9999-12-31T23:59:59.999999"`},
	{`null`},
	{`{"a":1}`, `{}`, `{"a":{"b":[1.0,null,"x"]}}`},
	{`[1,"x",null]`, `[]`, `[[1],[]]`},
	{`""`, `" "`},
	{``},
	{`"2026-02-30"`, `"2026-11-22T25:00:00Z"`, `"2026-11-22T12:34:56.1234567Z"`, `"20261122"`, `"2026-11-22T12:34:60Z"`},
}

// combinations are all singles, pairs and triples of kinds, with one value of each, chosen by turns.
func combinations(turn int) (all [][]string) {
	pick := func(kinds ...int) {
		var c []string
		for i, k := range kinds {
			c = append(c, jsonKinds[k][(turn+i)%len(jsonKinds[k])])
		}
		all = append(all, c)
	}
	for i := range jsonKinds {
		pick(i)
		for j := range i {
			pick(j, i)
			for k := range j {
				pick(k, i, j)
			}
		}
	}
	return all
}

// TestInferLoadsItsSample makes tables of samples in which each field has another combination of kinds of values, and loads
// the samples: every record becomes a row, and every value reads back as what Postgres says that it is as the column's type.
func TestInferLoadsItsSample(t *testing.T) {
	const columns = 80 // of a table
	var fields [][]string
	for turn := range 3 {
		fields = append(fields, combinations(turn)...)
	}
	var sinks []Sink
	var claims []Claim
	for from := 0; from < len(fields); from += columns {
		tp := TopicPartition{Topic: fmt.Sprintf("t%03d", len(sinks))}
		sinks = append(sinks, orders(func(s *Sink) { s.Topics, s.Table, s.Create = []string{tp.Topic}, tp.Topic, true }))
		claims = append(claims, claim(tp, 0))
	}
	db := newDatabase(t)
	s := db.store("a", sinks...)
	var b Batch
	for i, p := range db.take(s, claims...) {
		b = append(b, rangeOf(p, sampleOf(fields[i*columns:min(len(fields), (i+1)*columns)])...))
	}
	res, err := commitBatch(context.Background(), s, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.Dead != 0 || res.Written != int64(3*len(sinks)) {
		t.Errorf("%d rows of %d records, letters %s", res.Written, 3*len(sinks),
			db.one(`SELECT coalesce(string_agg(DISTINCT column_name || ' ' || reason, '; '), '') FROM sinker.dead_letters`))
	}
	types := map[string]int{}
	for i, f := range fields {
		types[db.readsBack(fmt.Sprintf("t%03d", i/columns), fmt.Sprintf("f%d", i%columns), f)]++
	}
	t.Logf("%d combinations: %v", len(fields), types)
	if len(types) != 8 { // all but bigint, which takes a thousand records
		t.Errorf("columns became %v", types)
	}
}

// sampleOf makes three records of the fields' values; the first of them and an id are in each.
func sampleOf(fields [][]string) (records []string) {
	for n := range 3 {
		var r strings.Builder
		fmt.Fprintf(&r, `{"id":%d`, n)
		for i, values := range fields {
			if n < len(values) && values[n] != "" {
				fmt.Fprintf(&r, `,"f%d":%s`, i, values[n])
			}
		}
		records = append(records, r.String()+"}")
	}
	return records
}

// readsBack compares a column's three values with what they were, and returns the column's type.
func (db *database) readsBack(table, column string, values []string) string {
	db.t.Helper()
	typ := db.one(`SELECT coalesce((SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = $1::regclass AND attname = $2), 'none')`, table, column)
	if typ == "none" {
		if strings.Join(values, "") != "" {
			db.t.Errorf("no column was made of %q", values)
		}
		return "none"
	}
	for n := range 3 {
		var want any
		if n < len(values) && values[n] != "" && values[n] != "null" {
			want = values[n]
			var content string
			if typ != "jsonb" && json.Unmarshal([]byte(values[n]), &content) == nil {
				want = content
			}
		}
		sql := fmt.Sprintf(`SELECT %s IS NOT DISTINCT FROM $1::text::%s FROM %s WHERE id = %d`, column, typ, table, n)
		if db.one(sql, want) != "true" {
			db.t.Errorf("%q became %s: %s, want %v", values, typ, db.one(fmt.Sprintf(`SELECT coalesce(%s::text, 'NULL') FROM %s WHERE id = %d`, column, table, n)), want)
		}
	}
	return typ
}

// TestInferOddSamples: a field that cannot be a column is left out with a warning, and the others are loaded; a sample of which
// nothing can be made is refused with the reason, writes nothing, and does not keep the table from being made later.
func TestInferOddSamples(t *testing.T) {
	var log bytes.Buffer
	cfg := Config{Sinks: []Sink{orders(func(s *Sink) { s.Create = true })}, Log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, name := range []string{``, `\u0000`, `x\u0000`, `\ud800`, "\xff", strings.Repeat("x", 64), `ctid`, `xmin`, `tableoid`} {
		l := newLoader(t, "", cfg)
		log.Reset()
		res := l.mustCommit(`{"`+name+`":1,"id":1}`, `{"id":2,"`+name+`":"x"}`)
		if strings.Count(log.String(), "level=WARN") != 1 && !strings.Contains(name, `\u`) { // names with escapes are counted together
			t.Errorf("%q is warned about twice: %s", name, &log)
		}
		if res.Written != 2 || !strings.Contains(log.String(), "field cannot be a column") || !strings.Contains(log.String(), `columns="{ id: id numeric }"`) {
			t.Errorf("%q: %+v, log %s", name, res, &log)
		}
		l.want(`SELECT string_agg(id::text, ' ' ORDER BY id) FROM orders`, "1 2")
	}
	for says, values := range map[string][]string{
		"are objects without a field":         {`{}`, `{}`},
		"are JSON without fields":             {`[]`, `[1]`, `"x"`, `null`},
		"are not JSON":                        {`order 7`, ``},
		"as the records of a schema registry": {"\x00\x00\x00\x00\x07\x02abc", "\x00\x00\x00\x00\x07{\"id\":1}"},
		"Postgres has a column of that":       {`{"ctid":1}`},
	} {
		l := newLoader(t, "", cfg)
		if _, err := l.commit(values...); !isClass(err, Schema) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "list its columns with their types") {
			t.Errorf("%q: %v", values, err)
		}
		l.want(`SELECT next_offset FROM sinker.offsets`, "0")
		res := l.mustCommit(append(values, `{"id":1}`)...)
		if res.Written != 1 || res.Dead != int64(len(values)) {
			t.Errorf("%q and an object: %+v", values, res)
		}
	}
}

// TestInferInOtherEncodings: names that the database's encoding does not have are left out.
func TestInferInOtherEncodings(t *testing.T) {
	db := openMigrated(t, localtest.DatabaseOf(t, " TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"))
	db.exec(`SET client_encoding = UTF8`)
	s := db.store("a", orders(func(s *Sink) { s.Create = true }))
	p := db.take(s, claim(orders0, 0))[0]
	res, err := commitBatch(context.Background(), s, Batch{rangeOf(p, `{"id":1,"é":2,"日本":3}`)}, nil)
	if err != nil || res.Written != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	db.want(`SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0`, "id é")
	db.want(`SELECT id || ' ' || "é" FROM orders`, "1 2")
}

// TestInferWideRecords: records of more fields than a table or a row of Postgres can have are loaded without those that came last.
func TestInferWideRecords(t *testing.T) {
	long := strings.Repeat("x", 40)
	for name, value := range map[string]func(i int) string{
		"small numbers":   func(i int) string { return fmt.Sprint(i % 10) },
		"long numbers":    func(i int) string { return strings.Repeat("9", 30) + fmt.Sprint(i) },
		"fractions":       func(i int) string { return fmt.Sprintf("%d.%05d", i, i) },
		"booleans":        func(i int) string { return "true" },
		"empty texts":     func(i int) string { return `""` },
		"texts of 17":     func(i int) string { return `"` + long[:17] + `"` },
		"texts of 23":     func(i int) string { return `"` + long[:23] + `"` },
		"long texts":      func(i int) string { return fmt.Sprintf(`"%d %s"`, i, long) },
		"dates":           func(i int) string { return `"2026-11-22"` },
		"times":           func(i int) string { return `"2026-11-22T12:34:56Z"` },
		"objects":         func(i int) string { return fmt.Sprintf(`{"a":%d,"b":"%s"}`, i, long) },
		"small documents": func(i int) string { return []string{`{}`, `[1]`, `1`, `true`}[i%4] },
		"of all kinds":    func(i int) string { return []string{`1`, `true`, `"x"`, `"2026-11-22"`, `{"a":1}`, `null`, `1.5`}[i%7] },
		"few at a time":   nil,
	} {
		var records []string
		if value == nil { // 1700 fields, but each record has a hundred of them
			for r := range 17 {
				var b strings.Builder
				for i := range 100 {
					fmt.Fprintf(&b, `,"f%d":"%s"`, 100*r+i, long)
				}
				records = append(records, "{"+b.String()[1:]+"}")
			}
		} else {
			var b strings.Builder
			for i := range 1700 {
				fmt.Fprintf(&b, `,"f%d":%s`, i, value(i))
			}
			records = []string{"{" + b.String()[1:] + "}", `{"f0":` + value(0) + `}`}
		}
		l := newLoader(t, "", Config{Sinks: []Sink{orders(func(s *Sink) { s.Create = true; s.Rule.Meta = []string{"topic", "offset", "key"} })}})
		res, err := l.commit(records...)
		if err != nil || res.Dead != 0 && value != nil || res.Dead > 1 {
			t.Errorf("%s: %+v, %v, letters %s", name, res, err, l.one(`SELECT coalesce(min(reason), '') FROM sinker.dead_letters`))
			continue
		}
		t.Log(name, l.one(`SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0`), "columns")
	}
}
