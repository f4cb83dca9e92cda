package txn

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sinker/internal/printable"
	"sinker/internal/record"
	"sinker/internal/transform"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
)

// What is said of an error goes into logs, pages and metrics, which more people read than may read
// the table. Postgres puts rows into its messages (invalid input syntax for type integer: "…",
// whatever a trigger raises) and into DETAIL (Key (email)=(…) already exists): they are kept in
// sinker.dead_letters only.

// describe says what an error of the step is, without any row's contents, on one line.
func describe(step record.Step, err error) string {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return printable.Text(oneLine(err.Error()))
	}
	if step == record.StepWrite || step == record.StepCommit {
		if !ofServer(pe) {
			return refusedRow(pe)
		}
		return printable.Text(pe.Message) + " (SQLSTATE " + pe.Code + ")"
	}
	s := printable.Text(pe.Message) + " (SQLSTATE " + pe.Code + ")" + inFunctionOf(pe)
	if pe.Detail != "" {
		s += ": " + printable.Text(pe.Detail)
	}
	return s
}

// oneLine joins the lines of a message, each once: the client library's has a line per address and
// attempt.
func oneLine(text string) string {
	head, rest, more := strings.Cut(text, "\n")
	if !more {
		return text
	}
	var lines []string
	for line := range strings.SplitSeq(rest, "\n") {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.TrimSpace(strings.TrimSpace(head) + " " + strings.Join(lines, "; "))
}

// ofServer says whether a message that came while rows were written is about the server, the
// session or a name of our statement, and so holds no value of a row. A function may raise any
// SQLSTATE with any text; then Where names it.
func ofServer(pe *pgconn.PgError) bool {
	if strings.Contains(pe.Where, "function") {
		return false
	}
	switch pe.Code[:min(2, len(pe.Code))] {
	case "08", "25", "40", "53", "55", "57", "58":
		return true
	case "0A", "26", "2B", "34", "3D", "3F", "42":
		return pe.Where == ""
	}
	return false
}

// refusedRow describes a refusal by its SQLSTATE and the names it is about.
func refusedRow(pe *pgconn.PgError) string {
	s := "Postgres refused a row with SQLSTATE " + printable.Text(pe.Code)
	kind := refusalKinds[pe.Code]
	if raised(pe) {
		kind = refusalKinds[pgerrcode.RaiseException] // whatever the code says: its author chose it
	}
	if kind != "" {
		s += ", " + kind
	}
	for _, name := range []struct{ what, name string }{{"constraint", pe.ConstraintName}, {"column", pe.ColumnName},
		{"type", pe.DataTypeName}} {
		if name.name != "" {
			s += fmt.Sprintf(", %s %s", name.what, printable.Text(name.name))
		}
	}
	return s + inFunctionOf(pe)
}

// inFunctionOf names the function that an error comes from.
func inFunctionOf(pe *pgconn.PgError) string {
	if m := functionLine.FindString(pe.Where); m != "" {
		return " in " + printable.Text(m)
	}
	return ""
}

// refusalKinds are what the SQLSTATEs that rows meet mean, in words of ours.
var refusalKinds = map[string]string{
	pgerrcode.StringDataRightTruncationDataException: "a text that is too long",
	pgerrcode.NumericValueOutOfRange:                 "a number that is out of range",
	pgerrcode.InvalidDatetimeFormat:                  "a text that is no date or time",
	pgerrcode.DatetimeFieldOverflow:                  "a date or time that is out of range",
	pgerrcode.DivisionByZero:                         "a division by zero",
	pgerrcode.CharacterNotInRepertoire:               "a character that its encoding does not have",
	pgerrcode.InvalidParameterValue:                  "a value that is not allowed",
	pgerrcode.InvalidTextRepresentation:              "a text that is not in a form of the type",
	pgerrcode.UntranslatableCharacter:                "a character that the database cannot store",
	pgerrcode.RestrictViolation:                      "a row that others refer to",
	pgerrcode.NotNullViolation:                       "a NULL where none may be",
	pgerrcode.ForeignKeyViolation:                    "a foreign key whose row is not there",
	pgerrcode.UniqueViolation:                        "a key that is there already",
	pgerrcode.CheckViolation:                         "a value that a check does not allow",
	pgerrcode.ExclusionViolation:                     "a value that excludes another row's",
	pgerrcode.InsufficientPrivilege:                  "a missing privilege, or a policy",
	pgerrcode.WithCheckOptionViolation:               "a row that the view does not show",
	pgerrcode.ProgramLimitExceeded:                   "a value that is too large for an index",
	pgerrcode.RaiseException:                         "an exception that a function raised",
}

// refusal is the dead letter's reason for a row that Postgres refused.
func refusal(err error) *transform.BadRecord {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return &transform.BadRecord{Code: "refused", Reason: err.Error(), Shown: "Postgres refused a row"}
	}
	reason := pe.Message
	if pe.Detail != "" {
		reason += ": " + pe.Detail
	}
	shown := refusedRow(pe)
	if in := inFunctionOf(pe); in != "" && pe.Code == pgerrcode.NumericValueOutOfRange && !raised(pe) {
		reason += in + sequenceOutgrown
		shown += sequenceOutgrown
	}
	return &transform.BadRecord{Column: pe.ColumnName, Code: pe.Code, Reason: reason, Shown: shown}
}

// sequenceOutgrown is what else may be behind a number that is too large in a function: no value of
// the record.
const sequenceOutgrown = ". If the function draws from a sequence (or inserts into a table that does), the " +
	"sequence may have outgrown its column: look at pg_sequences, and make the column bigint"
