// Package verify proves a pipeline against Kafka: the ledger tiles the log up to the position, the records of every
// range are still what the ledger says, and the tables hold each of them once where their columns can tell. It only
// reads.
package verify

import (
	"context"
	"fmt"

	"sinker/internal/consume"
	"sinker/internal/record"
	"sinker/internal/txn"

	"github.com/dustin/go-humanize/english"
)

// Report is what was found of one partition.
type Report struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Position  int64  `json:"position"`
	Ranges    int    `json:"ranges"`     // in the ledger
	Compared  int    `json:"compared"`   // of these, read again
	Records   int64  `json:"records"`    // of these, read again
	TableRows int64  `json:"table_rows"` // counted by their provenance columns
	// Suppressed are rows that the tables' triggers or rules took away, as far as they are counted for this partition.
	Suppressed int64 `json:"suppressed"`

	Differences []string `json:"differences"`
	Notes       []string `json:"notes"` // what could not be compared, and why
}

func (r *Report) differ(format string, args ...any) {
	r.Differences = append(r.Differences, fmt.Sprintf(format, args...))
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// Verifier is what a verification needs.
type Verifier struct {
	Kafka consume.Config
	Store *txn.Store
	Books *txn.BookReader
}

// Partition verifies one partition at the position it has now; what is committed meanwhile is left for the next time.
func (v *Verifier) Partition(ctx context.Context, tp record.TopicPartition) (Report, error) {
	rep := Report{Topic: tp.Topic, Partition: tp.Partition, Differences: []string{}}
	books, err := v.Books.Read(ctx, tp)
	if err != nil {
		return rep, err
	}
	rep.Position, rep.Ranges = books.Row.NextOffset, len(books.Ledger)
	checkTiles(&rep, books)
	if err := v.reread(ctx, &rep, tp, books.Ledger); err != nil {
		return rep, err
	}
	return rep, v.countRows(ctx, &rep, tp, books)
}

// checkTiles looks for gaps and overlaps that nobody made by hand.
func checkTiles(rep *Report, books txn.Books) {
	ledger, row := books.Ledger, books.Row
	jumped := map[txn.Jump]bool{}
	for _, j := range books.Jumps {
		jumped[j] = true
	}
	step := func(from, to int64, what string) {
		if from != to && !jumped[txn.Jump{From: from, To: to}] {
			rep.differ("the ledger goes from %d to %d %s", from, to, what)
		}
	}
	if len(ledger) == 0 {
		if row.NextOffset != row.StartOffset {
			rep.note("the ledger has no rows of it (pruned, or changed by hand): nothing to compare")
		}
		return
	}
	if first := ledger[0].From; first != row.StartOffset {
		rep.note("the ledger begins at %d: what is below has been pruned", first)
	}
	for i := 1; i < len(ledger); i++ {
		step(ledger[i-1].To, ledger[i].From, "between two ranges")
	}
	step(ledger[len(ledger)-1].To, row.NextOffset, "at the position")
}

// reread holds the ranges against the records that Kafka has now.
func (v *Verifier) reread(ctx context.Context, rep *Report, tp record.TopicPartition, ledger []txn.LedgerRow) error {
	if len(ledger) == 0 {
		return nil
	}
	bounds, err := consume.LookAtTopic(ctx, v.Kafka, tp.Topic)
	if err != nil {
		return err
	}
	start := bounds[tp.Partition].Start
	var runs [][]txn.LedgerRow // ranges in a row, each run in rising order
	for _, r := range ledger {
		if r.From < start {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1][len(runs[n-1])-1].To <= r.From {
			runs[n-1] = append(runs[n-1], r)
			continue
		}
		runs = append(runs, []txn.LedgerRow{r})
	}
	for _, run := range runs {
		if err := v.compareRun(ctx, rep, tp, run); err != nil {
			return err
		}
	}
	if skipped := len(ledger) - rep.Compared; skipped > 0 {
		rep.note("%s below offset %d, where Kafka's log starts now: not compared",
			english.Plural(skipped, "range begins", "ranges begin"), start)
	}
	return nil
}

// compareRun reads a run of ranges once, summing each up.
func (v *Verifier) compareRun(ctx context.Context, rep *Report, tp record.TopicPartition, run []txn.LedgerRow) error {
	sums := make([]txn.Checksum, len(run))
	at := 0
	err := consume.Reread(ctx, v.Kafka, tp, run[0].From, run[len(run)-1].To, func(r *record.Record) {
		for at < len(run) && r.Offset >= run[at].To {
			at++
		}
		if at < len(run) && r.Offset >= run[at].From {
			sums[at].Add(r)
		}
	})
	if err != nil {
		return err
	}
	compacted := 0
	for i, r := range run {
		rep.Compared++
		rep.Records += sums[i].Records
		switch {
		case sums[i] == r.Checksum:
		case sums[i].Records < r.Records:
			compacted++
		default:
			rep.differ("range [%d, %d): the ledger has %s; Kafka has %s", r.From, r.To, sumText(r.Checksum), sumText(sums[i]))
		}
	}
	if compacted > 0 {
		rep.note("%s fewer records in Kafka now than when sinker wrote them (compaction?): not comparable",
			english.Plural(compacted, "range has", "ranges have"))
	}
	return nil
}

func sumText(c txn.Checksum) string {
	return fmt.Sprintf("%s, %s, checksum %016x", english.Plural(int(c.Records), "record", ""),
		english.Plural(int(c.Bytes), "byte", ""), c.Sum)
}

func off(a, b int64) int64 { return max(a-b, b-a) }

// countRows holds the tables against the totals, where provenance columns tell which rows came from where.
func (v *Verifier) countRows(ctx context.Context, rep *Report, tp record.TopicPartition, books txn.Books) error {
	row, sinks := books.Row, v.Store.SinksOf(tp.Topic)
	rep.Suppressed = row.Suppressed
	if books.Suppressed > 0 {
		rep.note("triggers or rules of the topic's tables suppressed %s (%d counted for this partition): its row counts "+
			"may differ from the totals by as many", english.Plural(int(books.Suppressed), "row", ""), row.Suppressed)
	}
	for _, sink := range sinks {
		n, why, err := v.Store.CountRows(ctx, sink, tp, row.NextOffset)
		if err != nil {
			return err
		}
		name := v.Store.SinkName(sink)
		if n.Absent {
			absent(rep, name, row.Written, len(sinks))
			continue
		}
		if why != "" {
			rep.note("%s %s", name, why)
			continue
		}
		rep.TableRows += n.Rows
		if n.Rows != n.Offsets {
			rep.differ("%s has %s from %s: some are there more than once", name,
				english.Plural(int(n.Rows), "row", ""), english.Plural(int(n.Offsets), "offset", ""))
		}
		switch {
		case len(books.Jumps) > 0:
			rep.note("the position was changed by hand: the rows of %s are not compared with the totals", name)
		case len(sinks) == 1 && off(n.Rows-n.Beyond, row.Written) > books.Suppressed &&
			off(n.Rows, row.Written) > books.Suppressed:
			rep.differ("%s has %s below the position, sinker wrote %d", name, english.Plural(int(n.Rows-n.Beyond), "row", ""),
				row.Written)
		}
	}
	return nil
}

// absent is about a table of `create: yes` that is not there. The records of a topic that has this table alone went
// nowhere else.
func absent(rep *Report, name string, written int64, sinks int) {
	switch {
	case written == 0:
		rep.note("%s does not exist yet: sinker has written no record of this partition", name)
	case sinks == 1:
		rep.differ("%s does not exist, and sinker wrote %s of this partition into it", name,
			english.Plural(int(written), "row", ""))
	default:
		rep.note("%s does not exist: none of its rows could be counted", name)
	}
}
