package transform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"sinker/internal/record"
)

// orders are records like those of the demo: all different, so that no length or digit is learned by heart.
func orders(n int) []*record.Record {
	rng := rand.New(rand.NewPCG(1, 2))
	status := []string{"new", "paid", "packed", "shipped", "delivered", "returned"}
	country := []string{"DE", "FR", "US", "JP", "BR", "IN"}
	notes := []string{"leave at the door", "grüße aus Köln", `say \"hello\" first`, "gift wrap, no invoice", "ring twice", "二階の受付まで", ""}
	at := time.Date(2026, 11, 22, 12, 34, 56, 789012000, time.UTC)
	records := make([]*record.Record, n)
	for i := range records {
		at = at.Add(time.Duration(rng.IntN(1e9)) * time.Microsecond)
		v := fmt.Sprintf(`{"id":%d,"customer":{"id":%d,"country":"%s"},"status":"%s","amount":{"total":%d.%02d},"items":%d,"express":%v,"note":"%s","created_at":"%s","ref":"%08x-%04x-4%03x-a%03x-%012x"}`,
			100000+i, 1+rng.IntN(50000), country[rng.IntN(len(country))], status[rng.IntN(len(status))], rng.IntN(2000), rng.IntN(100), 1+rng.IntN(12), rng.IntN(4) == 0,
			notes[rng.IntN(len(notes))], at.Format("2006-01-02T15:04:05.000000Z07:00"), rng.Uint32(), rng.IntN(1<<16), rng.IntN(1<<12), rng.IntN(1<<12), rng.Int64N(1<<48))
		records[i] = &record.Record{TopicPartition: record.TopicPartition{Topic: "orders"}, Offset: int64(i), Timestamp: at.UnixMilli(), Value: []byte(v)}
	}
	return records
}

// wide are records of 100 fields and about two kilobytes.
func wide(n int) ([]*record.Record, []Column) {
	rng := rand.New(rand.NewPCG(3, 4))
	var columns []Column
	for i := range 100 {
		columns = append(columns, Column{Name: fmt.Sprintf("field_%02d", i), Type: []string{"bigint", "text", "numeric(12,2)", "boolean", "timestamptz"}[i%5]})
	}
	records := make([]*record.Record, n)
	for i := range records {
		var b bytes.Buffer
		for j, c := range columns {
			b.WriteString(map[bool]string{true: "{", false: ","}[j == 0])
			fmt.Fprintf(&b, "%q:", c.Name)
			switch j % 5 {
			case 0:
				fmt.Fprint(&b, rng.Int64N(1e9))
			case 1:
				fmt.Fprintf(&b, `"text %x"`, rng.Uint32())
			case 2:
				fmt.Fprintf(&b, "%d.%02d", rng.IntN(10000), rng.IntN(100))
			case 3:
				fmt.Fprint(&b, rng.IntN(2) == 0)
			case 4:
				fmt.Fprintf(&b, `"2026-%02d-%02dT12:%02d:56Z"`, 1+rng.IntN(12), 1+rng.IntN(28), rng.IntN(60))
			}
		}
		b.WriteString("}")
		records[i] = &record.Record{Value: b.Bytes()}
	}
	return records, columns
}

// encodeAll is one benchmark: the records again and again into one buffer.
func encodeAll(b *testing.B, p *Plan, records []*record.Record) {
	e := p.NewEncoder(nil)
	var dst []byte
	var fx []Effect
	size, i := 0, 0
	for _, r := range records {
		size += len(r.Value)
	}
	b.ReportAllocs()
	b.SetBytes(int64(size / len(records)))
	for b.Loop() {
		if len(dst) > 1<<20 {
			dst = dst[:0]
		}
		var err error
		if dst, fx, err = e.Encode(dst, records[i%len(records)], fx[:0]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// declared compiles a rule for the table that it declares.
func declared(tb testing.TB, r Rule) *Plan {
	tb.Helper()
	t, err := r.Declared("public", "t")
	if err != nil {
		tb.Fatal(err)
	}
	p, err := Compile(r, t)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func orderRule() Rule {
	return Rule{Columns: []Column{
		{"id", "", "bigint"}, {"customer_id", "customer.id", "int"}, {"country", "customer.country", "text"},
		{"status", "", "text"}, {"total", "amount.total", "numeric(12,2)"}, {"items", "", "int"}, {"express", "", "bool"},
		{"note", "", "text"}, {"created_at", "", "timestamptz"}, {"ref", "", "uuid"},
	}}
}

func BenchmarkOrder(b *testing.B) { encodeAll(b, declared(b, orderRule()), orders(2000)) }

// BenchmarkReference is what the standard library takes only to check the syntax of the orders: a measure of the machine.
func BenchmarkReference(b *testing.B) {
	records, i := orders(2000), 0
	for b.Loop() {
		if !json.Valid(records[i%len(records)].Value) {
			b.Fatal("not JSON")
		}
		i++
	}
}

func BenchmarkOrderOtherOrder(b *testing.B) {
	r := orderRule()
	for i, j := range rand.New(rand.NewPCG(5, 6)).Perm(len(r.Columns)) {
		r.Columns[i], r.Columns[j] = r.Columns[j], r.Columns[i]
	}
	encodeAll(b, declared(b, r), orders(2000))
}

// BenchmarkOrderSpaced has spaces behind colons and commas, as some producers write JSON.
func BenchmarkOrderSpaced(b *testing.B) {
	records := orders(2000)
	for _, r := range records {
		r.Value = bytes.ReplaceAll(bytes.ReplaceAll(r.Value, []byte(`,"`), []byte(`, "`)), []byte(`":`), []byte(`": `))
	}
	encodeAll(b, declared(b, orderRule()), records)
}

// BenchmarkOrderShapes mixes records of which fields are left out or come in another order.
func BenchmarkOrderShapes(b *testing.B) {
	records := orders(2000)
	rng := rand.New(rand.NewPCG(7, 8))
	for _, r := range records {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(r.Value, &fields); err != nil {
			b.Fatal(err)
		}
		switch rng.IntN(3) {
		case 0:
			delete(fields, "note")
		case 1:
			delete(fields, "customer")
		}
		var err error
		if r.Value, err = json.Marshal(fields); err != nil { // sorted by name
			b.Fatal(err)
		}
	}
	encodeAll(b, declared(b, orderRule()), records)
}

func BenchmarkWholeRecord(b *testing.B) {
	encodeAll(b, declared(b, Rule{Columns: []Column{{"doc", ".", "jsonb"}}, Meta: []string{"partition", "offset"}}), orders(2000))
}

func BenchmarkWide(b *testing.B) {
	records, columns := wide(500)
	encodeAll(b, declared(b, Rule{Columns: columns}), records)
}

// BenchmarkOrderByName has a table of three columns for records of nine fields.
func BenchmarkOrderByName(b *testing.B) {
	p, err := Compile(Rule{}, columns(b, "id bigint", "status text", "items int"))
	if err != nil {
		b.Fatal(err)
	}
	encodeAll(b, p, orders(2000))
}
