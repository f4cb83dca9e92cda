package e2e

import (
	"errors"
	"iter"
	"testing"
)

// The checker must see what it is there to see.
func TestCompare(t *testing.T) {
	want := []Place{{0, 0, 10}, {0, 1, 11}, {0, 5, 12}, {1, 0, 13}}
	for _, test := range []struct {
		name string
		have []Place
		want Differences
	}{
		{"Equal", want, Differences{}},
		{"Missing/First", want[1:], Differences{Missing: 1}},
		{"Missing/Last", want[:3], Differences{Missing: 1}},
		{"Missing/All", nil, Differences{Missing: 4}},
		{"Doubled", []Place{{0, 0, 10}, {0, 1, 11}, {0, 1, 11}, {0, 5, 12}, {1, 0, 13}, {1, 0, 13}, {1, 0, 13}}, Differences{Doubled: 3}},
		{"Foreign/InAGap", []Place{{0, 0, 10}, {0, 1, 11}, {0, 3, 99}, {0, 5, 12}, {1, 0, 13}}, Differences{Foreign: 1}},
		{"Foreign/AtTheEnd", []Place{{0, 0, 10}, {0, 1, 11}, {0, 5, 12}, {1, 0, 13}, {2, 0, 99}}, Differences{Foreign: 1}},
		{"Changed", []Place{{0, 0, 10}, {0, 1, 99}, {0, 5, 12}, {1, 0, 13}}, Differences{Changed: 1}},
		{"OneLostOneDoubled", []Place{{0, 0, 10}, {0, 0, 10}, {0, 5, 12}, {1, 0, 13}}, Differences{Missing: 1, Doubled: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, rows, err := compare(want, stream(test.have, nil))
			if err != nil || rows != int64(len(test.have)) {
				t.Fatalf("compare: %d rows, error %v", rows, err)
			}
			if (d.Example != "") != (test.want != Differences{}) {
				t.Errorf("example %q", d.Example)
			}
			d.Example = ""
			if d != test.want {
				t.Errorf("found %+v, want %+v", d, test.want)
			}
		})
	}
	t.Run("AnErrorIsNoAgreement", func(t *testing.T) {
		if _, _, err := compare(want, stream(want, errors.New("connection lost"))); err == nil {
			t.Error("no error")
		}
	})
}

func stream(places []Place, err error) iter.Seq2[Place, error] {
	return func(yield func(Place, error) bool) {
		for _, p := range places {
			if !yield(p, nil) {
				return
			}
		}
		if err != nil {
			yield(Place{}, err)
		}
	}
}

func TestExpected(t *testing.T) {
	truth := []Record{
		{Partition: 0, Offset: 0, Key: "a", ID: 1}, {Partition: 0, Offset: 2, Key: "b", ID: 2},
		{Partition: 0, Offset: 3, Key: "a", ID: 3}, {Partition: 0, Offset: 7, Key: "b", Tombstone: true},
		{Partition: 1, Offset: 0, Key: "c", ID: 4}, {Partition: 1, Offset: 1, Key: "c", ID: 5},
	}
	starts := map[int32]int64{0: 0, 1: 1}
	for _, test := range []struct {
		name       string
		upsert     bool
		rows, dead int
		first      Place
	}{
		{"Append: a record without a value is a dead letter", false, 4, 1, Place{0, 0, 1}},
		{"Upsert: the last record of each key, and deletions", true, 2, 0, Place{0, 3, 3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, dead := expected(truth, starts, test.upsert)
			if len(rows) != test.rows || len(dead) != test.dead || rows[0] != test.first {
				t.Errorf("rows %v, dead %v", rows, dead)
			}
		})
	}
}

// Each of the totals is held: a wrong one is a problem of its own.
func TestTotals(t *testing.T) {
	truth := []Record{{Partition: 0, Offset: 4, ID: 1}, {Partition: 0, Offset: 6, ID: 2}, {Partition: 0, Offset: 7, Tombstone: true}}
	ends := map[int32]int64{0: 9}
	good := position{partition: 0, start: 4, next: 9, consumed: 3, written: 2, dead: 1, rows: 2, letters: 1}
	stopped := "because"
	for _, test := range []struct {
		name   string
		change func(p *position)
		want   int
	}{
		{"Good", func(p *position) {}, 0},
		{"Stopped", func(p *position) { p.stopped = &stopped }, 1},
		{"BelowTheEnd", func(p *position) { p.next = 8 }, 1},
		{"ConsumedTooMuch", func(p *position) { p.consumed, p.filtered = 4, 1 }, 1},
		{"SumIsWrong", func(p *position) { p.filtered = 1 }, 1},
		{"LettersAreMissing", func(p *position) { p.letters = 0 }, 1},
		{"RowsAreMissing", func(p *position) { p.rows = 1 }, 1},
		{"NoRow", func(p *position) { p.partition = 1 }, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, r := good, &Report{}
			test.change(&p)
			Check{}.totals(r, []position{p}, truth, ends)
			if len(r.Problems) < test.want || test.want == 0 && len(r.Problems) > 0 {
				t.Errorf("problems %q, want %d", r.Problems, test.want)
			}
		})
	}
}
