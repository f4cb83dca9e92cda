package main

import (
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		in   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(test.in); got != test.want {
			t.Errorf("median(%v) = %v, want %v", test.in, got, test.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	var d []time.Duration
	for i := range 1000 {
		d = append(d, time.Duration(i)*time.Millisecond)
	}
	if got, want := newPercentiles(d), (percentiles{500, 990, 999}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := newPercentiles(nil); got != (percentiles{}) {
		t.Errorf("percentiles of nothing are %v", got)
	}
}

// rates makes turns of the given rates.
func rates(name string, all ...float64) turns {
	t := turns{Name: name}
	for _, r := range all {
		t.Runs = append(t.Runs, measure{RowsPerSecond: r})
	}
	t.Median = medians(t.Runs)
	return t
}

func TestCompare(t *testing.T) {
	slow, fast := rates("slow", 10, 20, 90), rates("fast", 50, 100, 100)
	r := compare("x", 1, []turns{slow, fast, rates("sinker", 50, 80, 60)})
	if r.Reference != "fast" || len(r.References) != 2 || r.Sinker.Name != "sinker" {
		t.Errorf("compared %s with %s of %d", r.Sinker.Name, r.Reference, len(r.References))
	}
	if r.Ratio != 0.8 || r.RatioLow != 0.6 || r.RatioHigh != 1 {
		t.Errorf("ratio %v (%v–%v), want 0.8 (0.6–1): turn by turn", r.Ratio, r.RatioLow, r.RatioHigh)
	}
}

func TestAddCommits(t *testing.T) {
	at := func(s float64) time.Time { return time.Unix(0, int64(s*1e9)) }
	m := measure{}
	m.addCommits(commits{n: 3, first: at(2), last: at(6), firstRows: 100}, 500, usage{start: at(1), end: at(6.5)})
	want := measure{Commits: 3, ToFirst: 1, FirstToLast: 4, SteadyRate: 100, ToExit: 0.5}
	if m != want {
		t.Errorf("got %+v, want %+v", m, want)
	}
	m = measure{}
	if m.addCommits(commits{}, 500, usage{}); m != (measure{}) {
		t.Errorf("no commit timestamps gave %+v", m)
	}
}

func TestParseCounters(t *testing.T) {
	page := `# HELP go_memstats_alloc_bytes_total Total
go_memstats_alloc_bytes_total 1.5e+06
go_memstats_mallocs_total 700
sinker_rows_written_total{op="insert",table="a b"} 30
sinker_rows_written_total{op="insert",table="c"} 12
sinker_rows_written_total_more 5
`
	got, err := parseCounters(strings.NewReader(page))
	if want := (counters{rows: 42, bytes: 1.5e6, objects: 700}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := parseCounters(strings.NewReader("go_memstats_mallocs_total x\n")); err == nil {
		t.Error("a value that is no number was read")
	}
}

func TestAllocations(t *testing.T) {
	s := process{first: counters{10, 1000, 10}, latest: counters{110, 1600, 35}}
	if bytes, objects := s.allocations(); bytes != 6 || objects != 0.25 {
		t.Errorf("%v bytes and %v objects a row, want 6 and 0.25", bytes, objects)
	}
	s = process{first: counters{10, 1000, 10}, latest: counters{10, 1000, 10}}
	if bytes, objects := s.allocations(); bytes != 0 || objects != 0 {
		t.Errorf("one look gave %v bytes and %v objects a row", bytes, objects)
	}
}
