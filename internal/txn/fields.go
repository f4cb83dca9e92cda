package txn

import (
	"fmt"
	"strings"
	"sync"

	"sinker/internal/transform"
)

// Fields is a process's memory of which fields and columns it has warned about. The zero value is ready for use.
type Fields struct {
	mu   sync.Mutex
	said map[string]map[string]bool // by table, by "field x" or "column x"
}

// mostSaid bounds the memory of what was said about one table.
const mostSaid = 2000

// first says whether it was not said before. It is false, too, when there is no memory left.
func (f *Fields) first(table, what string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.said == nil {
		f.said = map[string]map[string]bool{}
	}
	t := f.said[table]
	if t == nil {
		t = map[string]bool{}
		f.said[table] = t
	}
	if t[what] || len(t) >= mostSaid {
		return false
	}
	t[what] = true
	return true
}

// forgetFields drops what an attempt that failed has counted.
func (s *Store) forgetFields() {
	for _, t := range s.targets {
		if t.plan != nil {
			s.buf.fields = t.encoder.Unasked(s.buf.fields[:0])
		}
	}
}

// unasked returns what the attempt has counted.
func (s *Store) unasked() (all []UnaskedField) {
	for _, t := range s.targets {
		if t.plan == nil {
			continue
		}
		s.buf.fields = t.encoder.Unasked(s.buf.fields[:0])
		for _, f := range s.buf.fields {
			all = append(all, UnaskedField{Table: t.sink.Name(), Field: f.Field, Count: f.Count})
		}
	}
	return all
}

// tellOfFields warns once of each field that no column takes, and once of the columns that have got no field.
func (s *Store) tellOfFields(b Batch, unasked []UnaskedField) {
	for _, t := range s.targets {
		if t.plan != nil {
			s.tellOfUnasked(t, unasked)
			s.tellOfLacking(t, b)
		}
	}
}

// mostNamed is how many names one message has.
const mostNamed = 20

func (s *Store) tellOfUnasked(t *target, unasked []UnaskedField) {
	var names []string
	more := 0
	for _, f := range unasked {
		if f.Table != t.sink.Name() || !s.cfg.Fields.first(f.Table, "field "+f.Field) {
			continue
		}
		if len(names) == mostNamed {
			more++
			continue
		}
		names = append(names, showField(f.Field, t.plan.NearColumn(f.Field)))
	}
	if len(names) > 0 {
		s.cfg.Log.Warn("records have fields that no column takes; their values are not loaded; add columns of these "+
			"names, or list columns with their paths", "table", t.sink.Name(), "fields", strings.Join(names, ", "), "more", more)
	}
}

func showField(name, near string) string {
	switch {
	case name == "":
		return "(long or odd names)"
	case near != "":
		return fmt.Sprintf("%s (for column %s?)", transform.ShowName(name), transform.ShowName(near))
	}
	return transform.ShowName(name)
}

// surveyed is how many records decide that a column gets no field.
const surveyed = 100

func (s *Store) tellOfLacking(t *target, b Batch) {
	sample := s.sample(b, t.index)
	if t.survey == nil || sample == nil {
		return
	}
	for r := range t.sink.Rule.Unwrap(t.name, sample) {
		if t.survey.Add(r); t.survey.Records == surveyed {
			break
		}
	}
	if t.survey.Records < surveyed {
		return
	}
	var names []string
	for _, l := range t.survey.Lacking() {
		if s.cfg.Fields.first(t.sink.Name(), "column "+l.Column) {
			names = append(names, showLack(l))
		}
	}
	t.survey = nil
	if more := len(names) - mostNamed; len(names) > 0 {
		s.cfg.Log.Warn("none of the first records has a field for these columns; list them with their paths if the "+
			"values are elsewhere", "table", t.sink.Name(), "records", surveyed, "columns",
			strings.Join(names[:min(len(names), mostNamed)], ", "), "more", max(0, more))
	}
}

func showLack(l transform.Lack) string {
	what := transform.ShowName(l.Column)
	if l.Path != l.Column {
		what += " from " + l.Path
	}
	if l.Near != "" {
		what += fmt.Sprintf(" (field %s?)", transform.ShowName(l.Near))
	}
	return what
}
