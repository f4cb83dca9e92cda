package transform

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sinker/internal/record"
)

// TestInferTakesItsSample: whatever the records, those that any column can take go into the table made of them. The producers
// that the shapes of fields are like: ORMs (camel case, zones), change data capture (envelopes), sensors (numbers as texts),
// logs (mixed), exports of CSV (everything a text), statistics (exponents).
func TestInferTakesItsSample(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	values := []func() string{
		func() string { return fmt.Sprint(rng.Int64N(1000) - 500) },
		func() string { return fmt.Sprint(rng.Int64() - rng.Int64()) },
		func() string { return strings.Repeat("9", 1+rng.IntN(40)) },
		func() string { return fmt.Sprintf("%d.%d", rng.IntN(1000), rng.IntN(1000)) },
		func() string { return fmt.Sprintf("%dE%d", rng.IntN(10), rng.IntN(800)-400) },
		func() string {
			return []string{"1e131071", "1e131072", "1e-16383", "1e-16384", "1e999999999", "-0", "0e5"}[rng.IntN(7)]
		},
		func() string { return []string{"true", "false"}[rng.IntN(2)] },
		func() string { return "null" },
		func() string { return fmt.Sprintf(`"%0*d"`, 1+rng.IntN(8), rng.IntN(1000)) },
		func() string { return fmt.Sprintf(`"%04d-%02d-%02d"`, rng.IntN(10000), rng.IntN(14), rng.IntN(33)) },
		func() string {
			return fmt.Sprintf(`"%04d-%02d-%02d%c%02d:%02d:%02d%s%s"`, rng.IntN(10000), 1+rng.IntN(12), 1+rng.IntN(28), "Tt "[rng.IntN(3)], rng.IntN(25), rng.IntN(60), rng.IntN(61),
				[]string{"", ".5", ".123456", ".1234567", ".1234560"}[rng.IntN(5)], []string{"", "Z", "z", "+01", "-05:30", "+0530", "+15:00", "+99"}[rng.IntN(8)])
		},
		func() string {
			return []string{`"infinity"`, `"now"`, `"today"`, `"epoch"`, `"0044-03-15 BC"`, `"2026-11-22T12:34:56 BC"`, `"12345-01-01"`}[rng.IntN(7)]
		},
		func() string {
			return []string{`""`, `"\u0041"`, `"\ud83d\ude00"`, `"\n"`, `"ünï"`, `"\"x\""`}[rng.IntN(6)]
		},
		func() string {
			return []string{`{}`, `[]`, `{"a":[1,{"b":null}]}`, `[1e300,"x"]`, `[ 1 , 2 ]`, `{"a":1,"a":2}`}[rng.IntN(6)]
		},
	}
	types := map[string]int{}
	for range 4000 {
		few := make([]func() string, 1+rng.IntN(3)) // kinds of one field
		names := []string{"id", "customerId", "a.b", "$key", `q\"`, "ctid", "", "é"}
		var records []*record.Record
		key := Rule{}
		if rng.IntN(3) == 0 {
			key.Key = []string{"id"}
		}
		kinds := map[string][]func() string{}
		for _, n := range names {
			for i := range few {
				few[i] = values[rng.IntN(len(values))]
			}
			kinds[n] = append([]func() string{}, few...)
		}
		for range 1 + rng.IntN(6) {
			var fields []string
			for _, n := range names {
				if rng.IntN(5) > 0 || n == "id" {
					v := kinds[n][rng.IntN(len(few))]()
					if n == "id" && v == "null" {
						v = "1"
					}
					fields = append(fields, `"`+n+`":`+v)
				}
			}
			records = append(records, ofValue("{"+strings.Join(fields, ",")+"}"))
		}
		in, err := Infer(key, nil, slices.Values(records))
		if err != nil {
			t.Fatalf("%v of %s", err, records[0].Value)
		}
		for _, c := range in.Columns {
			types[c.Type]++
		}
		key.Columns = in.Columns
		e := declared(t, key).NewEncoder(nil)
		for _, r := range records {
			if _, _, err := e.Append(nil, r); err != nil {
				t.Fatalf("%s does not go into the table made of it: %v\n%+v", r.Value, err, in.Columns)
			}
		}
	}
	t.Log(types)
}
