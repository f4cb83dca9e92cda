package txn

import (
	"time"
)

// sent notes how many rows a statement was given and how many Postgres says it wrote. It is fewer
// where a trigger of the table returned NULL, or a rule did something else: such rows are no error,
// and are counted.
func (w *writer) sent(rows int, affected int64) {
	w.result.Rows += affected
	w.result.Suppressed += max(0, int64(rows)-affected)
}

// suppress attributes the rows that the tables suppressed to ranges. Postgres says how many of a
// statement there were, not which. So with several ranges the first ones that have that many are
// charged. A record that has one table only was not written then: it counts as filtered.
func (s *Store) suppress(b Batch, res *Result) {
	for _, t := range s.buf.tables {
		res.Suppressed += t.Suppressed
		left := t.Suppressed
		for i := 0; i < len(b) && left > 0; i++ {
			route, c := s.of(b[i].Topic).tables, &s.buf.tally[i]
			if !s.goesTo(route, t.Table) {
				continue
			}
			n := min(left, c.written)
			if len(route) == 1 && s.targets[route[0]].rowPerRecord() {
				c.written, c.filtered = c.written-n, c.filtered+n
			}
			c.suppressed, left = c.suppressed+n, left-n
		}
	}
}

func (s *Store) goesTo(route []int, table string) bool {
	for _, ti := range route {
		if s.targets[ti].sink.Name() == table {
			return true
		}
	}
	return false
}

const suppressedGap = 30 * time.Second // between two warnings about one table

// suppressions is what one table has suppressed since it was last said.
type suppressions struct {
	rows int64
	said time.Time
}

// warnSuppressed says that rows were suppressed, once per table and gap.
func (s *Store) warnSuppressed(res *Result) {
	for _, t := range res.Tables {
		if t.Suppressed == 0 {
			continue
		}
		n := s.suppressed[t.Table]
		if n == nil {
			n = &suppressions{}
			s.suppressed[t.Table] = n
		}
		n.rows += t.Suppressed
		if now := time.Now(); now.Sub(n.said) >= suppressedGap {
			s.cfg.Log.Warn("the table's triggers or rules took rows away (a BEFORE trigger that returns NULL?): "+
				"they are not in it unless these put them elsewhere; counted as suppressed",
				"table", t.Table, "rows", n.rows)
			*n = suppressions{said: now}
		}
	}
}
