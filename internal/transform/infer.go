package transform

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"sinker/internal/format"
	"sinker/internal/nearest"
	"sinker/internal/record"
	"sinker/internal/value"

	"github.com/dustin/go-humanize/english"
)

// Inference is the columns that records of which nothing is configured propose.
type Inference struct {
	Records int // looked at
	Columns []Column
	LeftOut []LeftOut // fields that cannot be columns; their values are not loaded
}

// LeftOut is a field that cannot be a column of its name.
type LeftOut struct{ Field, Reason string }

// enoughWhole is how many whole numbers a field must have had, and nothing else, to become bigint.
const enoughWhole = 1000

// Infer proposes columns for a rule without any: one for each top-level field of the JSON objects among the records, in
// the order in which the fields first appear, with the field's name. A type is chosen so that every value of the sample
// fits, and most that may come later:
//
//   - numbers: numeric; bigint where there were at least 1,000 and all are whole and fit;
//   - booleans: boolean;
//   - strings: text; date, timestamp or timestamp with time zone where all are ISO 8601 dates,
//     times without or with a zone;
//   - objects and arrays: jsonb;
//   - strings and numbers or booleans, and what was always null: text;
//   - any other mixture: jsonb, in a key column text.
//
// A field whose name cannot be a column's is left out. Records that are not JSON objects are passed over; if no field
// is left, or a key column has none, that is an error.
//
// f reads the records; nil: as plain JSON. An error of the world's (see format.Decoder) is returned as it is.
func Infer(r Rule, f format.Format, records iter.Seq[*record.Record]) (Inference, error) {
	meta, err := r.metaColumns()
	if err != nil {
		return Inference{}, err
	}
	in := newInference(r, f)
	for rec := range records {
		if err := in.record(rec); err != nil {
			return Inference{}, err
		}
	}
	out := Inference{Records: in.records}
	for i := range in.fields {
		f := &in.fields[i]
		reason := notAColumn(f.name, meta)
		switch {
		case reason != "":
		case len(out.Columns)+len(meta) == mostColumns:
			reason = fmt.Sprintf("a table has %d columns at most", mostColumns)
		case f.tooWide:
			reason = "with it a row would not fit into a page of Postgres; a column of the whole record would: `record: . jsonb`"
		}
		if reason != "" {
			out.LeftOut = append(out.LeftOut, LeftOut{f.name, reason})
			continue
		}
		typ := f.typeName(slices.Contains(r.Key, f.name))
		out.Columns = append(out.Columns, Column{Name: f.name, Path: quoteSegment(f.name), Type: typ})
	}
	if len(out.Columns) == 0 {
		return out, in.nothing(out.LeftOut)
	}
	return out, checkKeys(r.Key, out, meta)
}

// systemColumns are in every table.
var systemColumns = []string{"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}

// notAColumn says why a table cannot have a column of the name; "" when it can.
func notAColumn(name string, meta []Column) string {
	switch {
	case name == "":
		return "its name is empty"
	case len(name) > mostName:
		return fmt.Sprintf("its name has %d bytes and Postgres keeps %d", len(name), mostName)
	case !isPostgresText([]byte(name)):
		return "its name is not text for Postgres: it is not valid UTF-8, or holds a zero byte or half of a surrogate pair"
	case slices.Contains(systemColumns, name):
		return "Postgres has a column of that name in every table"
	case slices.ContainsFunc(meta, func(c Column) bool { return c.Name == name }):
		return "meta fills the column of that name"
	}
	return ""
}

// checkKeys refuses a table whose key no field fills.
func checkKeys(keys []string, in Inference, meta []Column) error {
	names := make([]string, len(in.Columns))
	for i, c := range in.Columns {
		names[i] = c.Name
	}
	for _, k := range keys {
		if slices.Contains(names, k) || slices.ContainsFunc(meta, func(c Column) bool { return c.Name == k }) {
			continue
		}
		if i := slices.IndexFunc(in.LeftOut, func(l LeftOut) bool { return l.Field == k }); i >= 0 {
			return fmt.Errorf("key column %s cannot be made: %s", ShowName(k), in.LeftOut[i].Reason)
		}
		near := sameButForm(k, names)
		if near == "" {
			near = nearest.Name(k, names)
		}
		if near != "" {
			near = " (did you mean " + ShowName(near) + "?)"
		}
		return fmt.Errorf("no sampled record has a field for the key column %s%s; they have %s",
			ShowName(k), near, few(names))
	}
	return nil
}

// inference is what a sample's fields have been so far.
type inference struct {
	fields []inferred
	byName map[string]int
	last   map[int]saw // of the record at present, by field
	order  []int       // scratch: the fields of the record at present
	format format.Fields
	out    []byte // scratch

	records, tombstones, noJSON, tooDeep, noObject, empty int

	looks string // like what, of the first record that is not JSON and looks like something
}

// saw is one value's shape, and how many bytes of a row it takes at most.
type saw struct {
	shape, unfit shape
	width        int
}

func newInference(r Rule, f format.Format) *inference {
	return &inference{byName: map[string]int{}, last: map[int]saw{}, format: formatOr(f, r.MaxDepth).Fields()}
}

// formatOr returns the format, or that of plain JSON.
func formatOr(f format.Format, maxDepth int) format.Format {
	if f == nil {
		return format.JSON(maxDepth)
	}
	return f
}

// record takes note of a record's fields. Of a repeated field the last one counts.
func (in *inference) record(r *record.Record) error {
	in.records++
	if r.Value == nil {
		in.tombstones++
		return nil
	}
	kind, bad, err := in.format.Read(r.Value)
	switch {
	case err != nil:
		return err
	case bad != nil:
		in.refused(bad, r.Value)
		return nil
	case kind != value.Object:
		in.noObject++
		return nil
	}
	clear(in.last)
	in.format.Each(func(name string, v *value.Value) {
		id, known := in.byName[name]
		if !known {
			id = len(in.fields)
			in.byName[name] = id
			in.fields = append(in.fields, inferred{name: name})
		}
		in.last[id] = in.look(v)
	})
	if len(in.last) == 0 {
		in.empty++
	}
	in.note()
	return nil
}

// refused counts a record that cannot be read.
func (in *inference) refused(bad *BadRecord, b []byte) {
	if bad.Code == CodeTooDeep {
		in.tooDeep++
		return
	}
	in.noJSON++
	if in.looks == "" {
		in.looks = format.LooksLike(b)
	}
}

// mostWidth is how many bytes of a row the values may take: a page of Postgres less what else is in it and in the row,
// the columns of Meta among them.
const mostWidth = 7700

// note adds up a record's values. Of a row that would be too wide the fields that came last are left out.
func (in *inference) note() {
	in.order = slices.AppendSeq(in.order[:0], maps.Keys(in.last))
	slices.Sort(in.order)
	width := 0
	for _, id := range in.order {
		f, s := &in.fields[id], in.last[id]
		f.add(s)
		if f.tooWide {
			continue
		}
		if width += s.width; width > mostWidth {
			width -= s.width
			f.tooWide = true
		}
	}
}

// nothing explains a sample of which no table can be made.
func (in *inference) nothing(left []LeftOut) error {
	if len(left) > 0 {
		f := left[0]
		return fmt.Errorf("none of the fields of %s can be a column; the first: %s, because %s",
			english.Plural(in.records, "sampled record", ""), ShowName(f.Field), f.Reason)
	}
	notJSON := ""
	if in.looks != "" {
		notJSON = " (of one of them: " + in.looks + ")"
	}
	var what []string
	for _, c := range []struct {
		n         int
		one, many string
	}{
		{in.noJSON, "is not JSON" + notJSON, "are not JSON" + notJSON},
		{in.tooDeep, "is nested deeper than max_depth", "are nested deeper than max_depth"},
		{in.noObject, "is JSON without fields, such as an array", "are JSON without fields, such as an array"},
		{in.empty, "is an object without a field", "are objects without a field"},
		{in.tombstones, "has a null value", "have a null value"},
	} {
		if c.n > 0 {
			what = append(what, english.Plural(c.n, c.one, c.many))
		}
	}
	return fmt.Errorf("none of %s is a JSON object with a field, so there is nothing to make columns of: %s",
		english.Plural(in.records, "sampled record", ""), strings.Join(what, "; "))
}
