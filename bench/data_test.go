package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestDatasets(t *testing.T) {
	for _, test := range []struct {
		data            func() *dataset
		columns         int
		smallest, large int // bytes of a record
	}{{orders, 10, 150, 260}, {wide, 100, 1700, 2400}, {whole, 1, 150, 260}} {
		d := test.data()
		t.Run(d.name, func(t *testing.T) {
			if len(d.columns) != test.columns {
				t.Errorf("%d columns, want %d", len(d.columns), test.columns)
			}
			for i := range int64(1000) {
				b := d.record(nil, i)
				if !bytes.Equal(b, d.record(nil, i)) {
					t.Fatalf("record %d is not always the same", i)
				}
				if len(b) < test.smallest || len(b) > test.large {
					t.Fatalf("record %d has %d bytes: %s", i, len(b), b)
				}
				var fields map[string]json.RawMessage
				if err := json.Unmarshal(b, &fields); err != nil {
					t.Fatalf("record %d is not JSON: %v\n%s", i, err, b)
				}
				for _, c := range d.columns {
					if !d.whole && fields[c.path[0]] == nil {
						t.Fatalf("record %d has nothing for column %s: %s", i, c.name, b)
					}
				}
			}
		})
	}
}

// The latency scenario finds a record by its key, and the topics keep a key's records in one partition by it.
func TestOrderKeyIsItsNumber(t *testing.T) {
	d := orders()
	for _, i := range []int64{0, 1, 12345} {
		var r struct{ ID int64 }
		if err := json.Unmarshal(d.record(nil, i), &r); err != nil || r.ID != i {
			t.Errorf("record %d has key %d (%v)", i, r.ID, err)
		}
	}
}
