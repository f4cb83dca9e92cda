package transform

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

const orderJSON = `{"id":123456,"customer":{"id":4711,"country":"DE"},"status":"paid","amount":{"total":129.95},"items":3,"express":false,"note":"some text é \"quoted\"","created_at":"2026-11-22T12:34:56.789012Z","ref":"5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5b"}`

func orderPlan(tb testing.TB) *Plan {
	tb.Helper()
	r := Rule{Columns: []Column{
		{"id", "", "bigint"}, {"customer_id", "customer.id", "int"}, {"country", "customer.country", "text"},
		{"status", "", "text"}, {"total", "amount.total", "numeric(12,2)"}, {"items", "", "int"}, {"express", "", "bool"},
		{"note", "", "text"}, {"created_at", "", "timestamptz"}, {"ref", "", "uuid"},
	}}
	t, err := r.Declared("public", "orders")
	if err != nil {
		tb.Fatal(err)
	}
	p, err := Compile(r, t)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func BenchmarkOrder(b *testing.B) {
	e := orderPlan(b).NewEncoder()
	r := &kgo.Record{Value: []byte(orderJSON)}
	var dst []byte
	b.ReportAllocs()
	b.SetBytes(int64(len(r.Value)))
	for b.Loop() {
		var err error
		if dst, _, err = e.Append(dst[:0], r); err != nil {
			b.Fatal(err)
		}
	}
}

func TestOrder(t *testing.T) {
	e := orderPlan(t).NewEncoder()
	out, op, err := e.Append(nil, &kgo.Record{Value: []byte(orderJSON)})
	t.Logf("%q %v %v", out, op, err)
}
