package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// compareLines counts the rows that do not say what their line of the file says, field by field. It uses Postgres' own
// JSON form of a row and the standard library's reading of the line; numbers are compared as numbers, times as times.
func (d *demo) compareLines(ctx context.Context, lines *lineSource) (changed int64, err error) {
	rows, err := d.conn.Query(ctx, `SELECT kafka_partition, kafka_offset, row_to_json(o)::text FROM orders o`)
	if err != nil {
		return 0, err
	}
	var partition int32
	var offset int64
	var row string
	var line []byte
	_, err = pgx.ForEachRow(rows, []any{&partition, &offset, &row}, func() (err error) {
		i := recordAt(partition, offset)
		if i < 0 || i >= lines.count() {
			changed++
			return nil
		}
		if line, err = lines.at(line[:0], i); err != nil {
			return err
		}
		if !sameFields([]byte(row), line) {
			changed++
		}
		return nil
	})
	return changed, err
}

// sameFields reports whether a row, as Postgres writes it in JSON, has what a record says, in the columns it has.
func sameFields(row, record []byte) bool {
	var got, want map[string]any
	if decode(row, &got) != nil || decode(record, &want) != nil {
		return false
	}
	for name, g := range got {
		if name != "kafka_partition" && name != "kafka_offset" && !sameValue(g, want[name]) {
			return false
		}
	}
	return true
}

func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(v)
}

// sameValue compares a column's value with a field's. A column of text may hold a number's digits, one of numbers
// what a string has said, so values of different kinds are the same if they are written the same.
func sameValue(got, want any) bool {
	switch g := got.(type) {
	case nil:
		return want == nil
	case []any:
		w, ok := want.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range g {
			if !sameValue(g[i], w[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		w, ok := want.(map[string]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for k, v := range g {
			other, ok := w[k]
			if !ok || !sameValue(v, other) {
				return false
			}
		}
		return true
	}
	a, okA := written(got)
	b, okB := written(want)
	return okA && okB && (a == b || sameNumber(got, want, a, b) || sameTime(a, b))
}

func sameNumber(got, want any, a, b string) bool {
	_, ok1 := got.(json.Number)
	_, ok2 := want.(json.Number)
	return (ok1 || ok2) && plainDecimal(a) != "" && plainDecimal(a) == plainDecimal(b)
}

// plainDecimal writes a JSON number in the one way in which equal numbers are written the same, whatever their size:
// digits without zeros at either end, and an exponent. It returns nothing for what is no number.
func plainDecimal(s string) string {
	s, negative := strings.CutPrefix(s, "-")
	mantissa, e, _ := strings.Cut(strings.ToLower(s), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	exponent := int64(0)
	if e != "" {
		var err error
		if exponent, err = strconv.ParseInt(e, 10, 64); err != nil {
			return ""
		}
	}
	exponent -= int64(len(fraction))
	short := strings.TrimRight(digits, "0")
	exponent += int64(len(digits) - len(short))
	if short = strings.TrimLeft(short, "0"); short == "" {
		return "0"
	}
	if negative {
		short = "-" + short
	}
	return short + "e" + strconv.FormatInt(exponent, 10)
}

// written is a plain value's text.
func written(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

func sameTime(a, b string) bool {
	t, err1 := time.Parse(time.RFC3339Nano, a)
	u, err2 := time.Parse(time.RFC3339Nano, strings.ToUpper(b))
	return err1 == nil && err2 == nil && t.Equal(u)
}
