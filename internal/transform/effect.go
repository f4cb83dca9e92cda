package transform

import (
	"errors"
	"fmt"
	"iter"

	"sinker/internal/record"
)

// Effect is what a record does to one table: one tuple.
type Effect struct {
	Op    Op    // Write or Delete
	Shape Shape // of a Write: the columns that the tuple lacks, by the encoder of Table
	// Table is the table that the change names; "" is the encoder's own.
	Table    string
	From, To int // the tuple, within the bytes that Encode returns
}

// Change is what a record says about one row. It is encoded like a record of its own: with the
// value and the key below, and with the topic, partition, offset, timestamp and headers of the
// record that says it.
type Change struct {
	Table      string // "": the sink's own table
	Value, Key []byte // a Value of nil deletes the row of Key, as a tombstone does
}

// Envelope is how records say what they do to rows. A rule without one takes each record for one
// change: plain.
//
// Changes appends the changes of a record to dst, in the order in which they happen; none, if the
// record is about no row. With an error dst comes back as it was, and the record is a dead letter.
// The changes may share the record's bytes. It may be called from several goroutines.
type Envelope interface {
	Changes(dst []Change, r *record.Record) ([]Change, *BadRecord)
}

// RouteBy tells the encoder where to find those of the tables that changes name. find returns nil
// for a table that there is none of.
func (e *Encoder) RouteBy(find func(table string) *Encoder) { e.find = find }

// Several says whether a record can have another number of effects than one.
func (p *Plan) Several() bool { return p.envelope != nil }

// Encode appends the tuples of all effects of a record to dst, as Append does, and the effects to
// fx. A record has none, one or several. With an error there is none of them: dst and fx come back
// as they were. For its errors see Append.
func (e *Encoder) Encode(dst []byte, r *record.Record, fx []Effect) ([]byte, []Effect, error) {
	if e.plan.envelope != nil {
		return e.encodeChanges(dst, r, fx)
	}
	from := len(dst)
	dst, op, err := e.Append(dst, r)
	if op != Filter {
		fx = append(fx, Effect{Op: op, Shape: e.shape, From: from, To: len(dst)})
	}
	return dst, fx, err
}

func (e *Encoder) encodeChanges(dst []byte, r *record.Record, fx []Effect) ([]byte, []Effect, error) {
	changes, bad := e.plan.envelope.Changes(e.changes[:0], r)
	e.changes = changes[:0]
	if bad != nil {
		return dst, fx, bad
	}
	base, before := len(dst), len(fx)
	e.one = *r
	for i := range changes {
		c, to := &changes[i], e
		if c.Table != "" {
			if to = e.encoderOf(c.Table); to == nil {
				return dst[:base], fx[:before], noTable(c.Table)
			}
		}
		e.one.Value, e.one.Key = c.Value, c.Key
		from := len(dst)
		var op Op
		var err error
		if dst, op, err = to.Append(dst, &e.one); err != nil {
			return dst[:base], fx[:before], inTable(err, c.Table)
		}
		if op != Filter {
			fx = append(fx, Effect{Op: op, Shape: to.shape, Table: c.Table, From: from, To: len(dst)})
		}
	}
	return dst, fx, nil
}

func (e *Encoder) encoderOf(table string) *Encoder {
	if e.find == nil {
		return nil
	}
	return e.find(table)
}

func noTable(table string) *BadRecord {
	return &BadRecord{Code: record.CodeNoTable,
		Reason: fmt.Sprintf("it has a change for table %s, which the sink does not have", glimpse([]byte(table))),
		Shown:  "no_table: it has a change for a table that the sink does not have"}
}

// inTable notes the table of a change that is bad.
func inTable(err error, table string) error {
	var b *BadRecord
	if errors.As(err, &b) {
		b.Table = table
	}
	return err
}

// Unwrap gives the changes of the records for one table, each as a record of its own: a sample by
// which fields and types are judged. Records that say nothing are left out.
func (r Rule) Unwrap(table string, records iter.Seq[*record.Record]) iter.Seq[*record.Record] {
	if r.Envelope == nil || records == nil {
		return records
	}
	return func(yield func(*record.Record) bool) {
		var changes []Change
		for rec := range records {
			var bad *BadRecord
			if changes, bad = r.Envelope.Changes(changes[:0], rec); bad != nil {
				continue
			}
			for _, c := range changes {
				one := *rec
				one.Value, one.Key = c.Value, c.Key
				if c.Table == table && !yield(&one) {
					return
				}
			}
		}
	}
}
