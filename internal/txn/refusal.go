package txn

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"sinker/internal/record"
	"sinker/internal/transform"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
)

// A SQLSTATE says what somebody called an error, which may be the author of a trigger: RAISE takes any
// code. So what a refused write means is found out by writing parts of it (sift). What stands here
// only makes that faster, and decides where there is nothing to compare with.
// docs/decisions/0013-refusals.md has the reasons.

// raised says whether a function raised the error on purpose (RAISE, ASSERT, plpy.Error), whatever
// SQLSTATE it chose. Postgres names the place in its own source where an error came up, and does
// not translate it.
func raised(pe *pgconn.PgError) bool {
	switch pe.Routine {
	case "exec_stmt_raise", "exec_stmt_assert", "PLy_elog_impl", "PLy_elog",
		"plperl_call_perl_func", "plperl_call_perl_trigger_func", "throw_tcl_error":
		return true
	}
	return pe.Routine == "" && strings.HasSuffix(firstLine(pe.Where), " at RAISE")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// momentary says whether a failed write is about the server or the moment (connection, resources,
// locks, a standby), so that the same batch may pass later.
func momentary(pe *pgconn.PgError) bool {
	if raised(pe) {
		return false
	}
	switch pe.Code {
	case pgerrcode.ProtocolViolation: // also what Postgres calls a value whose bytes it cannot read
		return !strings.HasPrefix(pe.Where, "COPY ")
	case pgerrcode.SerializationFailure, pgerrcode.DeadlockDetected, pgerrcode.LockNotAvailable, pgerrcode.ObjectInUse,
		pgerrcode.ReadOnlySQLTransaction, pgerrcode.IdleInTransactionSessionTimeout, "25P04":
		return true
	}
	switch pe.Code[:2] {
	case "08", "53", "57", "58":
		return true
	}
	return false
}

// ofRow says whether a refusal is about a row: a value, a constraint, or something that a function met
// while it had one. Any other refusal may be about the statement, the table or the privileges, and so
// about every row.
func ofRow(err error) bool {
	var bad *transform.BadRecord
	if errors.As(err, &bad) {
		return true
	}
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return false
	}
	if raised(pe) || pe.Routine == "ExecWithCheckOptions" || pe.Code[:2] != "08" && copyColumn.MatchString(pe.Where) {
		return true
	}
	switch pe.Code[:2] {
	case "22", "23", "44", "54", "P0", "38", "39":
		return true
	case "42", "0A", "3F", "26", "34", "2B", "28", "08": // names, types, privileges, malformed bytes
		return false
	}
	return pe.Where != ""
}

var copyColumn = regexp.MustCompile(`(?m)^COPY .*, line \d+, column `)

// classifyWrite sorts an error of a write that follows a compare. Where classify has a list, this asks
// whose fault it looks like.
func classifyWrite(err error) Class {
	var pe *pgconn.PgError
	switch {
	case !errors.As(err, &pe):
		return classify(err)
	case momentary(pe):
		return classify(err)
	case ofRow(err):
		return Data
	}
	return Schema
}

// isRefusal says whether Postgres refused a write for a reason that another moment does not change.
func isRefusal(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Class == Data || e.Class == Schema
	}
	class := classifyWrite(err)
	return class == Data || class == Schema
}

// isMoment says whether a live Postgres refused a write for a reason that another moment may change.
func isMoment(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && momentary(pe)
}

// stuck is a write that fails for the same momentary reason again and again, while transactions begin
// and compare well.
type stuck struct {
	code  string
	times int
	hung  int // COMMITs in a row that did not return in time
}

const (
	mostMoments  = 5 // attempts after which it is asked whether one record is the cause
	mostTimeouts = 2 // the same for a batch of one record that statement_timeout ends
)

// met notes what became of an attempt.
func (k *stuck) met(b Batch, err error, alive, cancelled bool) {
	var e *Error
	var pe *pgconn.PgError
	if errors.As(err, &e) && e.Step == record.StepCommit && errors.Is(err, context.DeadlineExceeded) {
		k.hung++
		return
	}
	if err == nil {
		k.hung = 0
	}
	ours := errors.As(err, &e) && (e.Step == record.StepWrite || e.Step == record.StepCommit)
	if !alive || cancelled || !ours || !errors.As(err, &pe) || !momentary(pe) {
		*k = stuck{hung: k.hung}
		return
	}
	if k.code != pe.Code {
		*k = stuck{hung: k.hung, code: pe.Code}
	}
	if pe.Code == timedOut && !oneRecord(b) {
		return // the loop makes batches smaller
	}
	k.times++
}

// suspects says whether the next attempt is to look for a record that is the cause.
func (k *stuck) suspects(b Batch) bool {
	if k.code == timedOut {
		return k.times >= mostTimeouts && oneRecord(b)
	}
	return k.times >= mostMoments
}

// hangs says that COMMIT has hung more than once: no timeout of Postgres' ends a deferred trigger
// there. Fired before (a careful attempt does that), it is a statement's part, which one ends.
func (k *stuck) hangs() bool { return k.hung >= 2 }

const timedOut = pgerrcode.QueryCanceled // statement_timeout, or somebody's cancel

// cancelled says whether a statement was ended by somebody's pg_cancel_backend and not by
// statement_timeout: Postgres has one SQLSTATE for both, and translates the text, but only the
// latter needs that long. A cancel says nothing about a record.
func (s *Store) cancelled(err error, took time.Duration) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == timedOut && !raised(pe) && took < s.cfg.StatementTimeout
}

func oneRecord(b Batch) bool {
	n := 0
	for i := range b {
		n += b[i].Count()
	}
	return n == 1
}
