package main

import (
	"io"
	"testing"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		bad  bool
	}{
		{name: "Defaults"},
		{name: "Quick", args: []string{"-quick"}},
		{name: "Chosen", args: []string{"-scenario", "append,latency", "-rows", "1000"}},
		{name: "ErrScenario", args: []string{"-scenario", "apend"}, bad: true},
		{name: "ErrRepeat", args: []string{"-repeat", "0"}, bad: true},
		{name: "ErrCompression", args: []string{"-compression", "rar"}, bad: true},
		{name: "ErrArgument", args: []string{"append"}, bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := parse(test.args, io.Discard); (err != nil) != test.bad {
				t.Errorf("error %v, want one: %t", err, test.bad)
			}
		})
	}
	if o, err := parse([]string{"-quick", "-scenario", "wide"}, io.Discard); err != nil || len(o.scenarios) != 1 || o.scenarios[0] != "append" || o.rows != quickRows {
		t.Errorf("-quick gave %+v, %v; want append alone", o, err)
	}
}
