package app

import (
	"fmt"
	"strings"

	"sinker/internal/printable"
	"sinker/internal/transform"
	"sinker/internal/txn"
)

// fit reports how a sample of a topic's records and a table's columns go together.
func (c *checker) fit(topic string, f txn.Fit) {
	if p := f.Proposal; p != nil {
		c.say("table "+f.Table, nil, fmt.Sprintf("would be made from %s as follows; `run` makes it from "+
			"its first batch, unless you list the columns:\n%s\ncolumns:\n  %s",
			printable.Count(p.Records, "sampled record"), p.DDL, strings.Join(p.Columns, "\n  ")))
		for _, l := range p.LeftOut {
			c.warn("table "+f.Table, fmt.Sprintf("the field %s cannot be a column and is not loaded, because %s; list a "+
				"column with its path to load it", transform.ShowName(l.Field), l.Reason))
		}
	}
	if f.Draws != nil {
		c.say("table "+f.Table, f.Draws, "")
	}
	if len(f.Lacking) > 0 {
		c.warn("table "+f.Table, fmt.Sprintf("none of %s has a field for %s",
			printable.Count(f.Records, "sampled record"), firstNames(f.Lacking)))
	}
	if len(f.Spare) == 0 || f.Proposal != nil {
		return
	}
	what := "no column of " + f.Table + " takes " + firstNames(f.Spare)
	if f.ByName {
		c.warn("topic "+topic, what+": their values are not loaded")
	} else {
		c.say("topic "+topic, nil, what)
	}
}

// firstNames lists names, up to twenty.
func firstNames(names []string) string {
	const most = 20
	s := strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}
