package txn

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sinker/internal/record"
)

// SinkCheck is what a look at one sink's table found.
type SinkCheck struct {
	Table   string
	Columns []string // that would be written
	Mode    string   // the mode's name, or that the table will be made
	Err     error
	// Warnings are about a table that can be served.
	Warnings []string
}

// Check looks at every sink's table without changing anything: a table that `create: yes` would
// make is not made.
func (s *Store) Check(ctx context.Context) ([]SinkCheck, error) {
	conn, err := s.session(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var out []SinkCheck
	for _, t := range s.targets {
		c := SinkCheck{Table: t.sink.Name(), Mode: t.mode.traits().name}
		oid, err := lookup(ctx, conn, t.sink.Schema, t.sink.Table)
		switch {
		case err != nil:
			c.Err = wrap(record.StepCheck, c.Table, err)
		case oid == 0 && t.sink.Create:
			t.absent = true
			c.Mode = "will be made"
			c.Err = wrap(record.StepCheck, c.Table, refuseCreate(ctx, conn, t.sink))
		default:
			c.Err = wrap(record.StepCheck, c.Table, t.prepare(ctx, s, conn, nil))
			c.Warnings = t.warnings
		}
		if t.plan != nil {
			for _, col := range t.plan.Columns() {
				c.Columns = append(c.Columns, col.Name)
			}
		}
		if c.Err == nil && needSchema(ctx, conn) == nil {
			late, err := t.late(ctx, s, conn, t.plan != nil)
			if c.Err = wrap(record.StepCheck, c.Table, err); late != "" {
				c.Warnings = append(c.Warnings, late)
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// Try encodes records as a commit would, writes nothing, and returns how many would become rows and
// what is wrong with the first of the others. Sinks whose table does not exist yet are tried
// against the table they would make.
func (s *Store) Try(topic string, records []*record.Record) (good int, bad int, first error) {
	failed := map[int]bool{} // of several sinks one is enough
	for _, ti := range s.of(topic).sinks {
		t := s.targets[ti]
		if err := t.fetchSample(slices.Values(records)); err != nil {
			return 0, len(records), err
		}
		encoder, err := t.tryEncoder(slices.Values(records))
		if err != nil {
			return 0, len(records), err
		}
		for i, r := range records {
			if _, _, err := encoder.Encode(nil, r, nil); err != nil {
				failed[i] = true
				if first == nil {
					first = fmt.Errorf("%s/%d@%d: %w", r.Topic, r.Partition, r.Offset, err)
				}
			}
		}
	}
	return len(records) - len(failed), len(failed), first
}

// CheckSchema says whether schema sinker is there.
func (s *Store) CheckSchema(ctx context.Context) error {
	conn, err := s.session(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = needSchema(ctx, conn)
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return wrap(record.StepCheck, "", err)
}
