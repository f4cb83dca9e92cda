package txn

import (
	"iter"
	"slices"

	"sinker/internal/record"
	"sinker/internal/transform"
)

// Fit is how a sample of a topic's records and the columns of one of its tables go together. The
// names are made for people: those that anybody may choose are quoted where they are odd.
type Fit struct {
	Table    string
	Records  int       // of the sample, that are JSON objects
	Proposal *Proposal // the table does not exist, and would be made of the sample; nil otherwise
	ByName   bool      // no columns are listed
	Lacking  []string  // columns that no record has a field for
	Spare    []string  // fields of which no column takes anything
	Draws    error     // records lack a field whose default draws from a sequence that the role may not use; or nil
}

// Fits compares a topic's records with each of its tables. Check must have looked at the tables
// before; one of which it found something wrong, or of which no table can be made, is left out:
// Check and Try say what it is.
func (s *Store) Fits(topic string, records []*record.Record) (all []Fit) {
	for _, ti := range s.of(topic).tables {
		t := s.targets[ti]
		if t.plan == nil && !t.absent {
			continue
		}
		plan, proposal, err := t.tryPlan(slices.Values(records))
		if err != nil {
			continue
		}
		survey := plan.NewSurvey(t.format)
		for r := range t.sink.Rule.Unwrap(t.name, slices.Values(records)) {
			survey.Add(r)
		}
		f := Fit{Table: t.sink.Name(), Records: survey.Records, Proposal: proposal,
			ByName: len(t.sink.Rule.Columns) == 0, Draws: t.draws(plan, records)}
		for _, l := range survey.Lacking() {
			f.Lacking = append(f.Lacking, showLack(l))
		}
		for _, n := range survey.Spare() {
			f.Spare = append(f.Spare, showField(n, plan.NearColumn(n)))
		}
		all = append(all, f)
	}
	return all
}

// tryPlan is the plan that records would be written by: the table's, or that of the table which
// would be made.
func (t *target) tryPlan(sample iter.Seq[*record.Record]) (*transform.Plan, *Proposal, error) {
	if t.plan != nil || t.formatErr != nil {
		return t.plan, nil, t.formatErr
	}
	rule, proposal, err := t.propose(sample)
	if err != nil {
		return nil, nil, err
	}
	table, err := rule.Declared(t.sink.Schema, t.sink.Table)
	if err != nil {
		return nil, nil, err
	}
	proposal.with(rule, createSQL(table, rule.Key, t.mode.traits().fillfactor))
	plan, err := transform.Compile(rule, table)
	return plan, proposal, err
}

// tryEncoder is an encoder of tryPlan's plan, which knows those of the sink's other tables.
func (t *target) tryEncoder(sample iter.Seq[*record.Record]) (*transform.Encoder, error) {
	others := map[string]*transform.Encoder{}
	for _, other := range t.others {
		encoder, err := other.tryEncoder(sample)
		if err != nil {
			return nil, err
		}
		others[other.name] = encoder
	}
	plan, _, err := t.tryPlan(sample)
	if err != nil {
		return nil, err
	}
	encoder := plan.NewEncoder(t.format)
	encoder.RouteBy(func(table string) *transform.Encoder { return others[table] })
	return encoder, nil
}
