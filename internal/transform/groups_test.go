package transform

import "testing"

func groupRule() Rule {
	return Rule{
		Key:     []string{"minute", "country"},
		Columns: []Column{{"minute", "minute(created_at)", ""}, {"country", "customer.country", "text"}, {"orders", "1", ""}, {"revenue", "amount.total", "numeric(14,2)"}, {"items", "", "bigint"}, {"last", "created_at", "timestamptz"}, {"most", "amount.total", "numeric"}},
		Folds:   []Fold{Group, Group, Add, Add, Add, Max, Max},
	}
}

// TestGroupsNoAllocations: once the groups have grown, neither a record nor a group costs memory.
func TestGroupsNoAllocations(t *testing.T) {
	p := declared(t, groupRule())
	e, g, records := p.NewEncoder(nil), p.NewGroups(), orders(500)
	var tuple []byte
	var arrays [][]byte
	all := func() {
		g.Reset()
		for _, r := range records {
			var err error
			if tuple, _, err = e.Append(tuple[:0], r); err != nil {
				t.Fatal(err)
			}
			g.Add(tuple)
		}
		g.Sort()
		var bad *BadRecord
		if arrays, bad = g.Arrays(arrays, 0, g.Len()); bad != nil {
			t.Fatal(bad)
		}
	}
	all()
	if n := testing.AllocsPerRun(10, all); n != 0 {
		t.Errorf("%v allocations for %d records in %d groups", n, len(records), g.Len())
	}
}

func BenchmarkGroups(b *testing.B) {
	p := declared(b, groupRule())
	e, g, records := p.NewEncoder(nil), p.NewGroups(), orders(2000)
	var tuple []byte
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if i%50_000 == 0 {
			g.Reset()
		}
		var err error
		if tuple, _, err = e.Append(tuple[:0], records[i%len(records)]); err != nil {
			b.Fatal(err)
		}
		g.Add(tuple)
		i++
	}
}

// TestFoldProblems holds what a table cannot aggregate to its words.
func TestFoldProblems(t *testing.T) {
	for name, c := range map[string]struct {
		column Column
		fold   Fold
		want   string
	}{
		"SumOfText":     {Column{"x", "", "text"}, Add, "column x: text has no sum; add goes into smallint, integer, bigint, numeric, real and double precision"},
		"MaxOfText":     {Column{"x", "", "text"}, Max, "column x: max goes into numbers, dates and times, not into text, whose order only Postgres knows"},
		"MinOfJSON":     {Column{"x", "", "jsonb"}, Min, "column x: min goes into numbers, dates and times, not into jsonb, whose order only Postgres knows"},
		"GroupOfJSON":   {Column{"x", "", "jsonb"}, Group, "column x: type jsonb cannot be a key here, because equal values of it have several forms"},
		"GroupOfArrays": {Column{"x", "", "text[]"}, Group, "column x: an array cannot be a group"},
		"HourOfADate":   {Column{"x", "hour(at)", "date"}, Group, "column x: hour( ) gives timestamp with time zone or timestamp, and day( ) also date; the column is date"},
		"MinuteOfAnInt": {Column{"x", "minute(at)", "int"}, Group, "column x: minute( ) gives timestamp with time zone or timestamp, and day( ) also date; the column is integer"},
		"PartitionText": {Column{"x", "$partition", "uuid"}, Group, "column x: it is uuid in the table, and $partition goes only into smallint"},
	} {
		t.Run(name, func(t *testing.T) {
			r := Rule{Key: []string{"g"}, Columns: []Column{{"g", "", "bigint"}, c.column}, Folds: []Fold{Group, c.fold}}
			if c.fold == Group {
				r.Key = append(r.Key, "x")
			}
			table, err := r.Declared("public", "t")
			if err != nil {
				t.Fatal(err)
			}
			if _, err = Compile(r, table); err == nil || err.Error() != c.want {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}

// TestUnits cuts times down, also those before 2000 and those that are infinite.
func TestUnits(t *testing.T) {
	for _, c := range []struct{ path, typ, value, want string }{
		{"minute(at)", "timestamptz", "2026-11-23T12:34:56.789+01:00", "2026-11-23T11:34:00Z"},
		{"hour(at)", "timestamptz", "1969-12-31T23:59:59.999999Z", "1969-12-31T23:00:00Z"},
		{"day(at)", "timestamp", "2026-11-23T12:34:56", "2026-11-23T00:00:00"},
		{"day(at)", "date", "2026-11-23T00:30:00+01:00", "2026-11-22"},
		{"day(at)", "date", "1999-12-31T23:59:59Z", "1999-12-31"},
		{"day(at)", "date", "infinity", "infinity"},
		{"minute(at)", "timestamptz", "-infinity", "-infinity"},
		{"minute(at)", "timestamp(0)", "2026-11-23T12:34:56.789", "2026-11-23T12:34:00"},
	} {
		rule := func(path string) Rule {
			return Rule{Key: []string{"t"}, Columns: []Column{{"t", path, c.typ}, {"n", "1", ""}}, Folds: []Fold{Group, Add}}
		}
		got, _, err := declared(t, rule(c.path)).NewEncoder(nil).Append(nil, ofValue(`{"at":"`+c.value+`"}`))
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		want, _, err := declared(t, rule("at")).NewEncoder(nil).Append(nil, ofValue(`{"at":"`+c.want+`"}`))
		if err != nil || string(got) != string(want) {
			t.Errorf("%+v: %x, want %x (%v)", c, got, want, err)
		}
	}
}
