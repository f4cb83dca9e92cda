package transform

import (
	"cmp"
	"slices"

	"sinker/internal/record"
)

// ByName says whether no columns are listed, so that the table's own are filled from fields of their names.
func (p *Plan) ByName() bool { return p.byName }

// FieldCount says in how many records a field was.
type FieldCount struct {
	Field string // "": those with long or odd names, and those after the first thousand
	Count int64
}

// Unasked appends how often which top-level fields came since the last call that no column takes, in no order. Of a plan with
// listed columns there are none: what is not listed is not wanted.
func (e *Encoder) Unasked(dst []FieldCount) []FieldCount {
	if !e.plan.byName || e.value == nil {
		return dst
	}
	o := &e.value.objects[0]
	for _, f := range o.unasked {
		if f.met > 0 {
			dst = append(dst, FieldCount{f.name(), f.met})
			f.met = 0
		}
	}
	if o.unknown.met > 0 {
		dst = append(dst, FieldCount{"", o.unknown.met})
		o.unknown.met = 0
	}
	return dst
}

// Survey compares the fields that columns want with those that records have.
type Survey struct {
	plan    *Plan
	encoder *Encoder
	whole   *scanner
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

// NewSurvey begins a survey of records.
func (p *Plan) NewSurvey() *Survey {
	return &Survey{plan: p, encoder: p.NewEncoder(), found: make([]bool, len(p.columns)), known: map[string]bool{},
		whole: newScanner(&document{nodes: []node{{end: 1}}}, p.maxDepth)}
}

// Add looks at a record. Those that are not JSON objects say nothing about fields.
func (s *Survey) Add(r *record.Record) {
	if r.Value == nil || !s.whole.scan(r.Value) || s.whole.values[0].kind != object {
		return
	}
	s.Records++
	s.whole.fields(func(name string, _ *value) {
		if !s.known[name] && len(s.names) < mostNames {
			s.known[name] = true
			s.names = append(s.names, name)
		}
	})
	scanned := s.encoder.value != nil && s.encoder.value.scan(r.Value)
	for i := range s.plan.columns {
		c := &s.plan.columns[i]
		switch c.origin {
		case fromField:
			s.found[i] = s.found[i] || scanned && s.encoder.value.values[c.node].kind != missing
		case fromKeyField, fromHeader:
			s.found[i] = s.found[i] || s.encoder.hasOther(r, c)
		default:
			s.found[i] = true
		}
	}
}

// Lacking returns the columns for which no record has had a field, in the table's order of the plan. A column that Postgres
// computes then is none of them, unless a field has nearly its name.
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

// Spare returns the top-level fields of which no column takes anything, a thousand at most, in the order in which they came.
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
