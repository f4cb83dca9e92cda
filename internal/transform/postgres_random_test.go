package transform_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"sinker/internal/record"
	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
)

// TestRandomValuesArrive encodes thousands of random values of each type and lets Postgres compare what it received with
// what it makes of the same text. None of the values may be refused.
func TestRandomValuesArrive(t *testing.T) {
	const each = 3000
	pg := connect(t)
	for _, g := range generators {
		t.Run(g.typ, func(t *testing.T) {
			pg := &postgres{t, pg.conn}
			rng := rand.New(rand.NewPCG(1, 2))
			pg.exec("DROP TABLE IF EXISTS sent, v; CREATE TABLE sent (n int, input text); CREATE TABLE v (n int, v " + g.typ + ")")
			encoder := numberedEncoder(t, g.typ)
			var tuples []byte
			var sent [][]any
			for i := range each {
				value, input := g.make(rng)
				sent = append(sent, []any{i, input})
				var err error
				if tuples, _, err = encoder.Append(tuples, &record.Record{Offset: int64(i), Value: []byte(`{"v":` + value + `}`)}); err != nil {
					t.Fatalf("%s: %v", value, err)
				}
			}
			if _, err := pg.conn.CopyFrom(context.Background(), pgx.Identifier{"sent"}, []string{"n", "input"}, pgx.CopyFromRows(sent)); err != nil {
				t.Fatal(err)
			}
			pg.copy("v (n, v)", tuples)
			differs := g.differs
			if differs == "" {
				differs = "v::text IS DISTINCT FROM (input::" + g.typ + ")::text"
			}
			from := " FROM sent LEFT JOIN v USING (n) WHERE " + differs
			if n := pg.one("SELECT count(*)::text" + from); n != "0" {
				t.Errorf("%s of %d values differ: %s", n, each, pg.one("SELECT format('%s is %s', input, coalesce(v::text, 'NULL'))"+from+" LIMIT 1"))
			}
		})
	}
}

// numberedEncoder encodes v as a type, behind the record's offset as n.
func numberedEncoder(t testing.TB, typ string) *transform.Encoder {
	t.Helper()
	r := transform.Rule{Columns: []transform.Column{{Name: "n", Path: "$offset", Type: "int"}, {Name: "v", Type: typ}}}
	table, err := r.Declared("public", "v")
	if err != nil {
		t.Fatal(err)
	}
	p, err := transform.Compile(r, table)
	if err != nil {
		t.Fatal(err)
	}
	return p.NewEncoder(nil)
}

type generator struct {
	typ     string
	differs string                                 // a condition in SQL, where comparing the texts is not it
	make    func(*rand.Rand) (value, input string) // the JSON, and the text for Postgres
}

var generators = []generator{
	{typ: "boolean", make: func(r *rand.Rand) (string, string) { return same(strconv.FormatBool(r.IntN(2) == 0)) }},
	{typ: "smallint", make: func(r *rand.Rand) (string, string) { return same(strconv.Itoa(int(int16(r.Uint32())) >> r.IntN(16))) }},
	{typ: "integer", make: func(r *rand.Rand) (string, string) { return same(strconv.Itoa(int(int32(r.Uint32())) >> r.IntN(32))) }},
	{typ: "bigint", make: func(r *rand.Rand) (string, string) {
		return maybeQuoted(r, strconv.FormatInt(int64(r.Uint64())>>r.IntN(64), 10))
	}},
	{typ: "real", make: func(r *rand.Rand) (string, string) {
		for {
			if f := math.Float32frombits(r.Uint32()); f == f && !math.IsInf(float64(f), 0) && f != 0 {
				return maybeQuoted(r, strconv.FormatFloat(float64(f), 'g', 6+r.IntN(5), 32))
			}
		}
	}},
	{typ: "double precision", make: func(r *rand.Rand) (string, string) {
		if r.IntN(2) == 0 {
			return maybeQuoted(r, randomDecimal(r, 25, 25))
		}
		for {
			if f := math.Float64frombits(r.Uint64()); f == f && !math.IsInf(f, 0) && f != 0 && math.Abs(f) < 1e308 {
				return maybeQuoted(r, strconv.FormatFloat(f, "ge"[r.IntN(2)], -1+r.IntN(3)*9, 64))
			}
		}
	}},
	{typ: "numeric", make: func(r *rand.Rand) (string, string) {
		return maybeQuoted(r, randomDecimal(r, 60, 60)+randomExponent(r, 60))
	}},
	{typ: "numeric(12,2)", make: func(r *rand.Rand) (string, string) {
		s := strconv.FormatInt(r.Int64N(1e10)>>r.IntN(34), 10)
		s = []string{"", "-"}[r.IntN(2)] + s + []string{"", ".5", ".05", ".50", fmt.Sprintf(".%02d", r.IntN(100)), fmt.Sprintf(".%02d000", r.IntN(100))}[r.IntN(6)]
		return maybeQuoted(r, s)
	}},
	{typ: "numeric(40,15)", make: func(r *rand.Rand) (string, string) { return maybeQuoted(r, randomDecimal(r, 25, 15)) }},
	{typ: "text", differs: "v IS DISTINCT FROM input", make: randomString},
	{typ: "bytea", make: func(r *rand.Rand) (string, string) {
		b := make([]byte, r.IntN(40))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		digits := hex.EncodeToString(b)
		if r.IntN(2) == 0 {
			return `"` + base64.StdEncoding.EncodeToString(b) + `"`, `\x` + digits
		}
		return `"\\x` + digits + `"`, `\x` + digits
	}},
	{typ: "uuid", make: func(r *rand.Rand) (string, string) {
		s := fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<16), r.IntN(1<<16), r.Int64N(1<<48))
		if r.IntN(2) == 0 {
			s = strings.ToUpper(s)
		}
		return `"` + s + `"`, s
	}},
	{typ: "date", make: func(r *rand.Rand) (string, string) { return quoted(randomDay(r, 5_000_000)) }},
	{typ: "time without time zone", make: func(r *rand.Rand) (string, string) { return quoted(randomClock(r)) }},
	{typ: "timestamp without time zone", make: func(r *rand.Rand) (string, string) {
		return quoted(randomDay(r, 290_000) + "T "[r.IntN(2):][:1] + randomClock(r))
	}},
	{typ: "timestamp with time zone", make: func(r *rand.Rand) (string, string) {
		year := 1_000
		if r.IntN(4) == 0 {
			year = 290_000
		}
		zone := "Z"
		if r.IntN(2) == 0 {
			zone = fmt.Sprintf("%c%02d:%02d", "+-"[r.IntN(2)], r.IntN(15), r.IntN(60))
		}
		return quoted(randomDay(r, 1999+r.IntN(year)) + "T "[r.IntN(2):][:1] + randomClock(r) + zone)
	}},
	{typ: "interval", make: func(r *rand.Rand) (string, string) { return quoted(randomInterval(r)) }},
	{typ: "json", make: func(r *rand.Rand) (string, string) { return same(randomJSON(r, 4)) }},
	{typ: "jsonb", make: func(r *rand.Rand) (string, string) { return same(randomJSON(r, 4)) }},
	{typ: "inet", make: func(r *rand.Rand) (string, string) {
		if r.IntN(2) == 0 {
			return quoted(fmt.Sprintf("%d.%d.%d.%d/%d", r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(33)))
		}
		groups := make([]string, 8)
		for i := range groups {
			groups[i] = strconv.FormatInt(r.Int64N(1<<16)>>r.IntN(20), 16)
		}
		at := r.IntN(7)
		if r.IntN(2) == 0 {
			return quoted(strings.Join(groups[:at], ":") + "::" + strings.Join(groups[at+1:7], ":"))
		}
		return quoted(strings.Join(groups, ":"))
	}},
	{typ: "bigint[]", differs: "to_jsonb(v) IS DISTINCT FROM input::jsonb", make: func(r *rand.Rand) (string, string) {
		return same(randomArray(r, func() string { return strconv.FormatInt(int64(r.Uint64())>>r.IntN(64), 10) }))
	}},
	{typ: "text[]", differs: "to_jsonb(v) IS DISTINCT FROM input::jsonb", make: func(r *rand.Rand) (string, string) {
		return same(randomArray(r, func() string { s, _ := randomString(r); return s }))
	}},
	{typ: "jsonb[]", differs: "to_jsonb(v) IS DISTINCT FROM coalesce(nullif(input, '[]'), '[]')::jsonb", make: func(r *rand.Rand) (string, string) {
		n := r.IntN(4)
		elems := make([]string, n)
		for i := range elems {
			elems[i] = randomJSON(r, 3)
		}
		return same("[" + strings.Join(elems, " , ") + "]")
	}},
}

func same(s string) (string, string)   { return s, s }
func quoted(s string) (string, string) { return `"` + s + `"`, s }

func maybeQuoted(r *rand.Rand, s string) (string, string) {
	if r.IntN(4) == 0 {
		return quoted(s)
	}
	return s, s
}

func randomDecimal(r *rand.Rand, whole, fraction int) string {
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "0123456789000"[r.IntN(13)]
		}
		return string(b)
	}
	s := strings.TrimLeft(digits(r.IntN(whole)), "0")
	if s == "" {
		s = "0"
	}
	if r.IntN(3) > 0 {
		s += "." + digits(1+r.IntN(fraction))
	}
	return []string{"", "-"}[r.IntN(2)] + s
}

func randomExponent(r *rand.Rand, most int) string {
	if r.IntN(2) == 0 {
		return ""
	}
	return []string{"e", "E", "e+", "e-"}[r.IntN(4)] + strconv.Itoa(r.IntN(most))
}

// randomString makes a JSON string with every kind of escape, and what it means.
func randomString(r *rand.Rand) (value, content string) {
	var in, out strings.Builder
	in.WriteByte('"')
	for range r.IntN(40) {
		c := rune(' ' + r.IntN(95))
		switch r.IntN(12) {
		case 0:
			c = rune(1 + r.IntN(0xd7ff))
		case 1:
			c = rune(0x10000 + r.IntN(0xfffff))
		}
		out.WriteRune(c)
		switch short, ok := map[rune]string{'\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '"': `\"`, '\\': `\\`, '/': `\/`}[c]; {
		case ok && r.IntN(4) > 0:
			in.WriteString(short)
		case c < ' ' || c == '"' || c == '\\' || r.IntN(10) == 0:
			if c < 0x10000 {
				fmt.Fprintf(&in, `\u%04x`, c)
			} else {
				fmt.Fprintf(&in, `\u%04X\u%04x`, 0xd800+(c-0x10000)>>10, 0xdc00+(c-0x10000)&0x3ff)
			}
		default:
			in.WriteRune(c)
		}
	}
	in.WriteByte('"')
	return in.String(), out.String()
}

func randomDay(r *rand.Rand, years int) string {
	year := 1 + r.IntN(years)
	month := 1 + r.IntN(12)
	last := time.Date(2000+year%400, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return fmt.Sprintf("%04d-%02d-%02d", year, month, 1+r.IntN(last))
}

func randomClock(r *rand.Rand) string {
	s := fmt.Sprintf("%02d:%02d", r.IntN(24), r.IntN(60))
	if r.IntN(8) == 0 {
		return s
	}
	s += fmt.Sprintf(":%02d", r.IntN(60))
	if n := r.IntN(9); n > 0 {
		s += "." + (fmt.Sprintf("%06d", r.IntN(1e6)) + "00")[:n]
	}
	return s
}

func randomInterval(r *rand.Rand) string {
	n := func() int { return r.IntN(2000) - 500 }
	if r.IntN(2) == 0 {
		s := "P" + fmt.Sprintf("%dY%dM%dD", n(), n(), n())
		if r.IntN(2) == 0 {
			s += fmt.Sprintf("T%dH%dM%d.%06dS", n(), n(), n(), r.IntN(1e6))
		}
		return s
	}
	s := fmt.Sprintf("%d years %d mons %d days", n(), n(), n())
	if r.IntN(2) == 0 {
		s += fmt.Sprintf(" %s%02d:%02d:%02d.%d", []string{"", "-", "+"}[r.IntN(3)], r.IntN(500), r.IntN(60), r.IntN(60), r.IntN(1000))
	}
	return s
}

// randomArray makes a JSON array, of two dimensions now and then.
func randomArray(r *rand.Rand, element func() string) string {
	elems := func(n int) string {
		list := make([]string, n)
		for i := range list {
			if list[i] = element(); r.IntN(8) == 0 {
				list[i] = "null"
			}
		}
		return "[" + strings.Join(list, []string{",", " , "}[r.IntN(2)]) + "]"
	}
	if r.IntN(4) > 0 {
		return elems(r.IntN(5))
	}
	rows, n := make([]string, 1+r.IntN(4)), 1+r.IntN(4)
	for i := range rows {
		rows[i] = elems(n)
	}
	return "[" + strings.Join(rows, ",") + "]"
}

func randomJSON(r *rand.Rand, depth int) string {
	space := func() string { return []string{"", "", " ", "\n\t"}[r.IntN(4)] }
	switch n := r.IntN(8); {
	case depth > 0 && n < 3:
		members := make([]string, r.IntN(5))
		for i := range members {
			name, _ := randomString(r)
			members[i] = space() + name + space() + ":" + space() + randomJSON(r, depth-1) + space()
		}
		return "{" + strings.Join(members, ",") + "}"
	case depth > 0 && n < 5:
		members := make([]string, r.IntN(5))
		for i := range members {
			members[i] = space() + randomJSON(r, depth-1)
		}
		return "[" + strings.Join(members, ",") + "]"
	case n < 6:
		return []string{"true", "false"}[r.IntN(2)]
	case n < 7:
		return randomDecimal(r, 20, 20) + randomExponent(r, 99)
	}
	s, _ := randomString(r)
	if !json.Valid([]byte(s)) {
		panic(s)
	}
	return s
}
