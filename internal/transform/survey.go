package transform

import (
	"cmp"
	"slices"

	"sinker/internal/format"
	"sinker/internal/record"
	"sinker/internal/value"
)

// ByName says whether no columns are listed, so that the table's own are filled from fields of their names.
func (p *Plan) ByName() bool { return p.byName }

// FieldCount says in how many records a field was.
type FieldCount = format.FieldCount

// Unasked appends how often which top-level fields came since the last call that no column takes, in no order. Of a
// plan with listed columns there are none: what is not listed is not wanted.
func (e *Encoder) Unasked(dst []FieldCount) []FieldCount {
	if !e.plan.byName || e.value == nil {
		return dst
	}
	if d, ok := e.value.Decoder.(format.Noticing); ok {
		return d.Unasked(dst)
	}
	return dst
}

// Survey compares the fields that columns want with those that records have.
type Survey struct {
	plan    *Plan
	encoder *Encoder
	whole   format.Fields
	found   []bool // by column
	names   []string
	known   map[string]bool

	// Records counts the JSON objects among the records.
	Records int
}

// Lack is a column for which no record has a field.
type Lack struct {
	Column, Path string
	Near         string // a field that is there, and whose name differs in form only
}

// NewSurvey begins a survey of records whose values have the format f; nil: they are plain JSON.
func (p *Plan) NewSurvey(f format.Format) *Survey {
	e := p.NewEncoder(f)
	return &Survey{plan: p, encoder: e, found: make([]bool, len(p.columns)), known: map[string]bool{},
		whole: e.format.Fields()}
}

// Add looks at a record. Those that are not JSON objects say nothing about fields.
func (s *Survey) Add(r *record.Record) {
	if r.Value == nil || !hasFields(s.whole, r.Value) {
		return
	}
	s.Records++
	s.whole.Each(func(name string, _ *value.Value) {
		if !s.known[name] && len(s.names) < format.MostNames {
			s.known[name] = true
			s.names = append(s.names, name)
		}
	})
	read := s.encoder.value != nil && s.encoder.value.reads(r.Value)
	for i := range s.plan.columns {
		c := &s.plan.columns[i]
		switch c.origin {
		case fromField:
			s.found[i] = s.found[i] || read && s.encoder.value.values[c.node].Kind != value.Missing
		case fromKeyField, fromHeader:
			s.found[i] = s.found[i] || s.encoder.hasOther(r, c)
		default:
			s.found[i] = true
		}
	}
}

// Lacking returns the columns for which no record has had a field, in the table's order of the plan. A column that
// Postgres computes then is none of them, unless a field has nearly its name.
func (s *Survey) Lacking() (all []Lack) {
	for i := range s.plan.columns {
		c := &s.plan.columns[i]
		if s.found[i] {
			continue
		}
		l := Lack{Column: c.Name, Path: pathString(c.fields)}
		switch c.origin {
		case fromHeader:
			l.Path = "$headers." + quoteSegment(c.header)
		case fromKeyField:
			l.Path = "$key." + l.Path
		default:
			if !s.known[c.fields[0]] {
				l.Near = sameButForm(c.fields[0], s.names)
			}
		}
		if !c.omit || l.Near != "" {
			all = append(all, l)
		}
	}
	return all
}

// Spare returns the top-level fields of which no column takes anything, a thousand at most, in the order in which they
// came.
func (s *Survey) Spare() (names []string) {
	for i := range s.plan.columns {
		if s.plan.columns[i].origin == fromValue {
			return nil
		}
	}
	for _, n := range s.names {
		takes := func(c column) bool { return c.origin == fromField && c.fields[0] == n }
		if !slices.ContainsFunc(s.plan.columns, takes) {
			names = append(names, n)
		}
	}
	return names
}

// NearColumn returns the column of the plan whose name differs from a field's in form only; "" when there is none.
func (p *Plan) NearColumn(field string) string {
	names := make([]string, len(p.columns))
	for i := range p.columns {
		names[i] = p.columns[i].Name
	}
	return sameButForm(field, names)
}

// SortFields sorts by count, the most frequent first, and by name.
func SortFields(fields []FieldCount) {
	slices.SortFunc(fields, func(a, b FieldCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Field, b.Field))
	})
}
