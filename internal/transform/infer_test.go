package transform

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestInfer(t *testing.T) {
	records := []*kgo.Record{
		{}, record(`[1]`), record(`not JSON`),
		record(`{"id":1,"big":1,"mixed":1,"ok":true,"at":"2026-11-22T12:34:56Z","when":"2026-11-22T12:34:56","doc":{"a":1},"never":null,"any":1,"twice":"x","twice":1,"od.d \"$\"":1}`),
		record(`{"late":[1],"id":-5,"big":99999999999999999999,"mixed":1.5,"ok":null,"at":"2026-11-22T12:34:56.5+01:00","any":"x","exp":1e3,"max":9223372036854775807,"text":"2026-11-22T12:34:56Z"}`),
		record(`{"text":"x","nano":"2026-11-22T12:34:56.123456789Z"}`),
	}
	columns, err := Infer(records)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range columns {
		got = append(got, c.Name+" "+c.Path+" "+c.Type)
	}
	want := []string{"id id bigint", "big big numeric", "mixed mixed numeric", "ok ok boolean", "at at timestamp with time zone", "when when text", "doc doc jsonb", "never never jsonb", "any any jsonb",
		"twice twice bigint", `od.d "$" "od.d \"$\"" bigint`, "late late jsonb", "exp exp numeric", "max max bigint", "text text text", "nano nano text"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	e := declared(t, Rule{Columns: columns}).NewEncoder()
	for _, r := range records[3:] {
		if _, _, err := e.Append(nil, r); err != nil {
			t.Errorf("%s does not go into the table made of it: %v", r.Value, err)
		}
	}
}

func TestInferErrors(t *testing.T) {
	many := new(strings.Builder)
	for i := range 1601 {
		many.WriteString(`,"f` + strings.Repeat("x", i%40) + string(rune('a'+i/40)) + `":1`)
	}
	for value, says := range map[string]string{
		`[1]`:                                   "none of the 1 sampled records is a JSON object",
		`{}`:                                    "no field",
		`{"` + strings.Repeat("x", 64) + `":1}`: "has 64 bytes",
		`{"":1}`:                                "empty name",
		`{"\u0000":1}`:                          `\u0000`,
		`{"\ud800":1}`:                          "surrogate",
		"{\"\xff\":1}":                          "UTF-8",
		"{" + many.String()[1:] + "}":           "have 1601 fields and a table 1600 columns",
	} {
		if _, err := Infer([]*kgo.Record{record(value)}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.40q: %v, want %s", value, err, says)
		}
	}
}
