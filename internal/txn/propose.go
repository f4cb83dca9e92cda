package txn

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"unicode/utf8"

	"sinker/internal/record"
	"sinker/internal/transform"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Proposal is a table that `create: yes` makes of a sample of records, because its columns are not listed.
type Proposal struct {
	Table   string
	Records int      // of the sample
	DDL     string   // the statement that makes it
	Columns []string // the entries of `columns:` that would make the same, to be edited
	LeftOut []transform.LeftOut
}

// propose returns the sink's rule with its columns, which are inferred from the sample when none
// are listed; then with the proposal, which is nil otherwise. Its errors are *Error of class
// Schema.
func (t *target) propose(sample iter.Seq[*record.Record]) (transform.Rule, *Proposal, error) {
	rule := t.sink.Rule
	if len(rule.Columns) > 0 {
		return rule, nil, nil
	}
	in, err := transform.Infer(rule, t.format, rule.Unwrap(t.name, sample))
	if err != nil {
		return rule, nil, &Error{Class: Schema, Step: record.StepCreate, Table: t.sink.Name(), Err: err,
			Hint: "create the table by hand, or list its columns with their types"}
	}
	rule.Columns = in.Columns
	return rule, &Proposal{Table: t.sink.Name(), Records: in.Records, LeftOut: in.LeftOut}, nil
}

// with completes the proposal.
func (p *Proposal) with(rule transform.Rule, ddl string) {
	if p != nil {
		p.DDL, p.Columns = ddl, transform.ColumnsYAML(rule.Columns)
	}
}

// log says what was made of the sample, and what was left out, which is not said again when records have it.
func (p *Proposal) log(log *slog.Logger, fields *Fields) {
	log.Info("made the table from the first records; to choose other types, drop it and list the columns",
		"table", p.Table, "records", p.Records, "sql", p.DDL, "columns", "{ "+strings.Join(p.Columns, ", ")+" }")
	for _, l := range p.LeftOut {
		fields.first(p.Table, "field "+l.Field)
		log.Warn("field cannot be a column and is not loaded; list a column with its path to load it",
			"table", p.Table, "field", transform.ShowName(l.Field), "reason", l.Reason)
	}
}

// leaveOut takes the columns out of the rule whose names the database's encoding does not have.
func (p *Proposal) leaveOut(ctx context.Context, conn *pgx.Conn, rule *transform.Rule) error {
	if conn.PgConn().ParameterStatus("server_encoding") == "UTF8" {
		return nil
	}
	kept := rule.Columns[:0]
	for _, c := range rule.Columns {
		known, err := hasLetters(ctx, conn, c.Name)
		if err != nil {
			return err
		}
		if known {
			kept = append(kept, c)
			continue
		}
		p.LeftOut = append(p.LeftOut, transform.LeftOut{Field: c.Name,
			Reason: "its name has letters that the database's encoding does not have"})
	}
	rule.Columns = kept
	return nil
}

// hasLetters asks whether a text can be in the database's encoding.
func hasLetters(ctx context.Context, conn *pgx.Conn, s string) (bool, error) {
	if len(s) == utf8.RuneCountInString(s) {
		return true, nil
	}
	var back string
	err := conn.QueryRow(ctx, `SELECT $1::text`, s).Scan(&back)
	var pe *pgconn.PgError
	if errors.As(err, &pe) && (pe.Code == pgerrcode.UntranslatableCharacter ||
		pe.Code == pgerrcode.CharacterNotInRepertoire) {
		return false, nil
	}
	return err == nil, err
}
