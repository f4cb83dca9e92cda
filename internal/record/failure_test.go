package record_test

import (
	"errors"
	"fmt"
	"testing"

	"sinker/internal/record"
)

type failed struct{ record.Failure }

func (f failed) Error() string          { return "failed" }
func (f failed) Failed() record.Failure { return f.Failure }

func TestFailureOf(t *testing.T) {
	orders := func(topic string) bool { return topic == "orders" }
	want := failed{record.Failure{Class: record.Schema, Step: record.StepWrite, Topics: orders}}
	for name, err := range map[string]error{
		"Itself": want, "Wrapped": fmt.Errorf("x: %w", want), "Joined": errors.Join(errors.New("x"), want),
	} {
		f, ok := record.FailureOf(err)
		if !ok || f.Class != record.Schema || f.Step != record.StepWrite || !f.HoldsUp("orders") || f.HoldsUp("others") {
			t.Errorf("%s: %+v, %v", name, f, ok)
		}
	}
	for _, err := range []error{nil, errors.New("x"), record.ErrSpent, &record.StopError{}, &record.MissError{}} {
		if f, ok := record.FailureOf(err); ok {
			t.Errorf("%v is taken for a failure: %+v", err, f)
		}
	}
	if !(record.Failure{}).HoldsUp("any") {
		t.Error("a failure that names no topics holds up all of them")
	}
}

// TestNames: every step, class and kind of miss has a name of its own.
func TestNames(t *testing.T) {
	names := map[string]bool{}
	add := func(s fmt.Stringer) {
		if name := fmt.Sprintf("%T %s", s, s); s.String() == "" || names[name] {
			t.Errorf("%q names nothing, or two", name)
		} else {
			names[name] = true
		}
	}
	for s := record.StepConnect; s <= record.StepMigrate; s++ {
		add(s)
	}
	for c := record.Retry; c <= record.Auth; c++ {
		add(c)
	}
	for k := record.Already; k <= record.Ahead; k++ {
		add(k)
	}
}
