package main

import (
	"context"
	"fmt"
)

// scenario is one line of the report, or some.
type scenario struct {
	name, about string
	run         func(ctx context.Context, e *env, s *scenario) ([]result, error)
}

// result is what a scenario found: turns of loads, or a latency.
type result struct {
	Scenario   string   `json:"scenario"`
	Rows       int64    `json:"rows,omitempty"`
	References []turns  `json:"references,omitempty"` // more than one: sinker is compared with the fastest
	Sinker     turns    `json:"sinker,omitzero"`
	Ratio      float64  `json:"ratio,omitempty"`     // sinker's rate by the reference's: median of the turns' ratios
	RatioLow   float64  `json:"ratio_low,omitempty"` // the lowest and the highest of them
	RatioHigh  float64  `json:"ratio_high,omitempty"`
	Reference  string   `json:"reference,omitempty"` // the one that Ratio is against
	Latency    *latency `json:"latency,omitempty"`
	Small      *small   `json:"small,omitempty"`
	Killed     *killed  `json:"killed,omitempty"`
}

const (
	quickRows  = 1_000_000
	partitions = 4 // of the topics, but for the scenario of many
)

// scenarios are all there are, in the order of the report.
var scenarios []*scenario

var defaultScenarios = []string{"append", "wide", "jsonb", "upsert-new", "upsert-existing", "upsert-mixed", "latency",
	"partitions", "tables"}

func init() {
	scenarios = []*scenario{
		{"append", "JSON into a table of 10 typed columns without an index", runAppend(orders, 2_000_000)},
		{"wide", "JSON of 2 kB into 100 typed columns", runAppend(wide, 300_000)},
		{"jsonb", "the whole record into one jsonb column", runAppend(whole, 2_000_000)},
		{"upsert-new", "upsert, all keys new, into a table with a primary key", runUpsertNew},
		{"upsert-existing", "upsert, all keys in the table", runUpsert("")},
		{"upsert-mixed", "upsert, every second key in the table", runUpsert("WHERE id % 2 = 0")},
		{"aggregate", "sums by 1,000 and by 50,000 groups, compared with append of the same topic", runAggregate},
		{"latency", "from produce to visible, at 1,000 and 10,000 records/s", runLatency},
		{"small", "what a steady trickle costs: transactions, CPU, WAL and latency at -rates", runSmall},
		{"catchup", "append of ten million records", runAppend(orders, 10_000_000)},
		{"peer", "Kafka Connect with Debezium's JDBC sink on the same topic and table, and both killed five times", runPeer},
		{"partitions", "append from many partitions, compared with append from four", runPartitions},
		{"tables", "append into four tables from one topic, compared with one table; rows are records", runTables},
	}
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

func findScenario(name string) *scenario {
	for _, s := range scenarios {
		if s.name == name {
			return s
		}
	}
	return nil
}

// size is the number of rows to load: -rows, or the scenario's own.
func (e *env) size(own int64) int64 {
	if e.rows > 0 {
		return e.rows
	}
	return own
}

// compare makes a result of turns, of which sinker's are the last.
func compare(name string, rows int64, all []turns) result {
	r := result{Scenario: name, Rows: rows, References: all[:len(all)-1], Sinker: all[len(all)-1]}
	best := r.References[0]
	for _, t := range r.References[1:] {
		if t.Median.RowsPerSecond > best.Median.RowsPerSecond {
			best = t
		}
	}
	r.Reference = best.Name
	var ratios []float64
	for i, m := range r.Sinker.Runs {
		ratios = append(ratios, m.RowsPerSecond/best.Runs[i].RowsPerSecond)
	}
	r.Ratio, r.RatioLow, r.RatioHigh = median(ratios), ratios[0], ratios[0]
	for _, v := range ratios {
		r.RatioLow, r.RatioHigh = min(r.RatioLow, v), max(r.RatioHigh, v)
	}
	return r
}

// lines are the lines of the sink's configuration that a data set needs beyond topic and table.
func (d *dataset) lines() []string {
	if d.sink != nil {
		return d.sink
	}
	if d.whole {
		return []string{"columns:", fmt.Sprintf("  %s: . jsonb", d.columns[0].name)}
	}
	if !d.byName {
		return append([]string{"columns:"}, d.columnLines()...)
	}
	return nil
}

// mustAgree refuses figures of a load that did not write what it should have.
func mustAgree(table string, got, want content) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%s is not what the records say: %s rows (hash %s), expected %s (hash %s)",
		table, got.Rows, got.Hash, want.Rows, want.Hash)
}
