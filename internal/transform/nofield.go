package transform

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sinker/internal/format"
	"sinker/internal/record"
	"sinker/internal/value"
)

// sought is Plan.sought of the columns.
func sought(columns []column) (n int) {
	for i := range columns {
		switch c := &columns[i]; c.origin {
		case fromField:
			n++
		case fromValue, fromTopic, fromPartition, fromOffset, fromTimestamp:
			if c.listed {
				return -1
			}
		}
	}
	if n == 0 {
		return -1
	}
	return n
}

// foundNothing says whether the record whose value was scanned fills none of the plan's columns: it has none of the
// fields, and nothing for the listed columns that come from its key and headers. A default, and what Meta adds, fill no
// column; a null does.
func (e *Encoder) foundNothing(r *record.Record) bool {
	if e.plan.sought < 0 {
		return false
	}
	for i := range e.plan.columns {
		switch c := &e.plan.columns[i]; {
		case c.origin == fromField:
			if e.value.values[c.node].Kind != value.Missing {
				return false
			}
		case c.listed && e.hasOther(r, c):
			return false
		}
	}
	return true
}

// hasOther says whether the record has what a column takes from its key or headers.
func (e *Encoder) hasOther(r *record.Record, c *column) bool {
	switch c.origin {
	case fromKey:
		return r.Key != nil
	case fromKeyField:
		return r.Key != nil && e.key.read(r.Key) == nil && e.key.values[0].Kind == value.Object &&
			e.key.values[c.node].Kind != value.Missing
	case fromHeader:
		return slices.ContainsFunc(r.Headers(), func(h record.Header) bool { return h.Key == c.header })
	case fromHeaders:
		return len(r.Headers()) > 0
	}
	return false
}

// noField is the refusal of a record that fills no column. It names fields that the record has and fields that columns
// want.
func (e *Encoder) noField(src []byte) *BadRecord {
	var has, inner []string
	if s := e.format.Fields(); hasFields(s, src) {
		s.Each(func(name string, v *value.Value) {
			has = append(has, name)
			if v.Kind == value.Object && len(inner) == 0 {
				inner = e.within(name, v.B)
			}
		})
	}
	var wants []string
	for i := range e.plan.columns {
		if c := &e.plan.columns[i]; c.origin == fromField {
			wants = append(wants, pathString(c.fields))
		}
	}
	what := "the record has no field"
	if len(has) > 0 {
		what = "the record has none of the fields that fill a column; it has " + few(has)
	}
	reason := what + ", the columns want " + few(wants)
	for _, w := range wants {
		if near := sameButForm(w, has); near != "" {
			reason += fmt.Sprintf("; the names differ in form only: list the column as `%s: %s`", w, quoteSegment(near))
			break
		}
	}
	if len(inner) > 0 {
		reason += fmt.Sprintf("; %s is within %s: list such columns with their paths, `%s: %s`",
			inner[1], ShowName(inner[0]), inner[1], pathString(inner))
	}
	return bad(CodeNoField, reason)
}

// hasFields reads a record and says whether it has fields.
func hasFields(s format.Fields, b []byte) bool {
	kind, bad, err := s.Read(b)
	return kind == value.Object && bad == nil && err == nil
}

// within looks in the JSON text of an object for the first field that a column wants at the top, and returns its path.
func (e *Encoder) within(name string, object []byte) (path []string) {
	s := e.json.Fields()
	if !hasFields(s, object) {
		return nil
	}
	s.Each(func(inner string, _ *value.Value) {
		wanted := func(c column) bool { return c.origin == fromField && len(c.fields) == 1 && c.fields[0] == inner }
		if path == nil && slices.ContainsFunc(e.plan.columns, wanted) {
			path = []string{name, inner}
		}
	})
	return path
}

// few lists the first names.
func few(names []string) string {
	const most = 5
	shown := make([]string, min(len(names), most))
	for i := range shown {
		shown[i] = ShowName(names[i])
	}
	s := strings.Join(shown, ", ")
	if n := len(names) - most; n > 0 {
		s += fmt.Sprintf(" and %d more", n)
	}
	return s
}

// ShowName shows a field's name, which anybody may have chosen: as it is, or in quotes and cut where it is long or odd.
func ShowName(name string) string {
	if len(name) <= 40 && strconv.Quote(name) == `"`+name+`"` && name != "" && !strings.ContainsAny(name, " ,;") {
		return name
	}
	return glimpse([]byte(name))
}

// pathString is a path as a configuration has it.
func pathString(fields []string) string {
	quoted := make([]string, len(fields))
	for i, f := range fields {
		quoted[i] = quoteSegment(f)
	}
	return strings.Join(quoted, ".")
}

// sameButForm returns the first of the candidates that differs from a name only in case, underscores, dashes, blanks
// and dots: customerId, CustomerID, customer-id and customer_id are one. It returns "" when there is none.
func sameButForm(name string, candidates []string) string {
	plain := formless(name)
	for _, c := range candidates {
		if c != name && plain != "" && formless(c) == plain {
			return c
		}
	}
	return ""
}

func formless(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("_- .", r) {
			return -1
		}
		return r
	}, strings.ToLower(name))
}
