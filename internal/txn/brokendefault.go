package txn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sinker/internal/printable"
	"sinker/internal/record"
	"sinker/internal/transform"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A default depends on no column of its row. So one that Postgres cannot compute for want of a name
// or a privilege, or because its sequence is at its end, is no record's fault: the records that
// lack the field would become dead letters, one by one, until somebody looks.

const sequenceEnded = pgerrcode.SequenceGeneratorLimitExceeded

// mayBeDefault says whether a refusal can come from computing a default that will be computed when
// names, privileges or a sequence are right. What a default's own value is refused for (22012, a
// RAISE) makes a dead letter, as documented.
func mayBeDefault(err error) bool {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || raised(pe) {
		return false
	}
	switch pe.Code {
	case sequenceEnded, pgerrcode.NumericValueOutOfRange: // or past what its column holds
		return true
	}
	return !ofRow(err)
}

// brokenDefault computes the defaults of the columns that rows of the item's shape lack, and
// returns an error of class Schema if one of them meets what a row met. Nothing that this does
// stays: it begins and ends at the sift's savepoint.
func (s *sift) brokenDefault(ctx context.Context, it item, met error) error {
	var pe *pgconn.PgError
	if !mayBeDefault(met) || !errors.As(met, &pe) || s.w.conn.IsClosed() {
		return nil
	}
	broken := func(pe *pgconn.PgError, what string) error {
		return &Error{Class: Schema, Step: record.StepWrite, Table: s.w.of(it).result.Table, Code: "default",
			Hint: defaultHint(pe, s.w.conn.Config().User),
			Err:  fmt.Errorf("%s: %s (SQLSTATE %s)", what, printable.Text(pe.Message), pe.Code)}
	}
	if pe.Code == sequenceEnded { // this role may not ask an identity column's
		return broken(pe, "a sequence that the row draws from is at its end"+inFunctionOf(pe))
	}
	defaults, err := s.lackedDefaults(ctx, it)
	if err != nil {
		return err
	}
	for _, d := range defaults {
		if pe.Code == pgerrcode.NumericValueOutOfRange && !strings.Contains(d.expr, "nextval(") {
			continue // a value that never fits its column, and not a sequence that has grown past it
		}
		err := s.again(ctx, fmt.Sprintf("SELECT (%s)::%s", d.expr, d.typ))
		var own *pgconn.PgError
		switch {
		case errors.As(err, &own) && own.Code == pe.Code:
			return broken(own, "the default of column "+d.column+" cannot be computed")
		case err != nil && own == nil:
			return err
		}
	}
	return s.again(ctx, "")
}

// brokenDefaults asks brokenDefault about each shape that has a refused row, and each SQLSTATE that
// such rows met. A partition whose record has to wait goes on as far as that record.
func (s *sift) brokenDefaults(ctx context.Context) error {
	type kind struct {
		table int32
		shape transform.Shape
		code  string
	}
	asked := map[kind]bool{}
	for _, r := range s.refused {
		var pe *pgconn.PgError
		if !errors.As(r.err, &pe) {
			continue
		}
		for _, it := range r.items {
			k := kind{it.table, it.shape, pe.Code}
			if asked[k] {
				continue
			}
			asked[k] = true
			if err := s.brokenDefault(ctx, it, r.err); err != nil {
				return s.waitAt(r, err)
			}
		}
	}
	return nil
}

// waitAt holds up the record's partition alone where other records pass; else the table holds up all.
func (s *sift) waitAt(r refused, err error) error {
	var e *Error
	if !s.passed || !errors.As(err, &e) || e.Code != "default" {
		return err
	}
	rng := &s.w.batch[r.at.rng]
	return &StopError{TopicPartition: rng.TopicPartition, Offset: r.at.offset, Wait: true,
		Reason: fmt.Sprintf("%s does not take this record now: %s (%s)", e.Table, e.Err, e.Hint)}
}

// again goes back to the savepoint, and runs sql there.
func (s *sift) again(ctx context.Context, sql string) error {
	before := s.before
	s.before = backToIt
	return s.w.exec(ctx, before+sql)
}

// lackedDefaults are the defaults that Postgres computes for an item's row.
func (s *sift) lackedDefaults(ctx context.Context, it item) ([]columnDefault, error) {
	if err := s.again(ctx, ""); err != nil {
		return nil, err
	}
	ctx, cancel := s.w.store.bounded(ctx)
	defer cancel()
	t := s.w.of(it).target
	oid, err := lookup(ctx, s.w.conn, t.sink.Schema, t.sink.Table)
	if err != nil {
		return nil, err
	}
	rows, err := s.w.conn.Query(ctx, columnDefaults, oid)
	if err != nil {
		return nil, err
	}
	defaults, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (d columnDefault, err error) {
		err = r.Scan(&d.column, &d.expr, &d.typ, &d.anyLen)
		return d, err
	})
	written := t.encoder.ColumnsOf(it.shape)
	return slices.DeleteFunc(defaults, func(d columnDefault) bool {
		return hasColumn(written, d.column)
	}), err
}

// defaultHint is what to do about a default that cannot be computed.
func defaultHint(pe *pgconn.PgError, user string) string {
	switch {
	case pe.Code == pgerrcode.InsufficientPrivilege:
		return "grant the privilege to " + quote(user) +
			": USAGE ON SEQUENCE, EXECUTE ON FUNCTION, or what the function itself needs"
	case inFunction(pe):
		return "a function of the default finds no such name, because sinker keeps search_path empty: " +
			"ALTER FUNCTION … SET search_path = public, or say search_path=public in postgres.url"
	case pe.Code == sequenceEnded, pe.Code == pgerrcode.NumericValueOutOfRange:
		return "raise its end with ALTER SEQUENCE … MAXVALUE, or make the column and its sequence bigint; " +
			"records that draw from it wait until then"
	}
	return "correct the default with ALTER TABLE … ALTER COLUMN … SET DEFAULT; " +
		"records that lack the field wait until then"
}
