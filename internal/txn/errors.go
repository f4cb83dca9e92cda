package txn

import (
	"cmp"
	"errors"
	"net"
	"regexp"
	"strings"
	"syscall"

	"sinker/internal/record"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
)

// Error is a failed step. When Step is StepCommit and Class is Retry, the transaction may be committed
// or not. In every other case nothing of it was written.
type Error struct {
	Class Class
	Step  record.Step
	Part  string // of the step, where that says more than its name: a migration and its statement
	Table string // the target table, if the step has one
	Code  string // a short name of the reason, where sinker itself found it: "row_security"
	// Topics says which topics the error holds up; nil: all of them.
	Topics func(topic string) bool
	Err    error
	Hint   string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(cmp.Or(e.Part, e.Step.String()))
	if e.Table != "" {
		b.WriteString(" " + e.Table)
	}
	b.WriteString(": " + describe(e.Step, e.Err))
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Failed is what the error means for whoever has to go on.
func (e *Error) Failed() record.Failure {
	return record.Failure{Class: e.Class, Step: e.Step, Topics: e.Topics}
}

// classify sorts an error of Postgres or of the connection to it. The classes by SQLSTATE follow
// appendix A of the Postgres manual.
func classify(err error) Class {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return Retry
	}
	switch pe.Code {
	case pgerrcode.QueryCanceled:
		return Timeout
	case pgerrcode.LockNotAvailable, pgerrcode.ObjectInUse, pgerrcode.ObjectNotInPrerequisiteState,
		pgerrcode.ReadOnlySQLTransaction, pgerrcode.IdleInTransactionSessionTimeout, "25P04", "0A001":
		return Retry
	case pgerrcode.InvalidCatalogName, pgerrcode.InvalidPassword, pgerrcode.InvalidAuthorizationSpecification:
		return Auth
	}
	switch pe.Code[:2] {
	case "22", "23", "54", "44", "P0", "39", "38":
		return Data
	case "42", "0A", "3F", "26", "34", "2B":
		return Schema
	case "53", "58":
		return Resource
	case "40", "08", "57", "XX", "25":
		return Retry
	}
	return Schema
}

// wrap makes an *Error of a failed step. It returns err as it is when that is one of this package's
// errors.
func wrap(step record.Step, table string, err error) error {
	var e *Error
	var m *MissError
	var s *StopError
	var u *record.UnreadyError
	if err == nil || errors.As(err, &e) || errors.As(err, &m) || errors.As(err, &s) || errors.As(err, &u) {
		return err
	}
	class := classify(err)
	if step == record.StepWrite || step == record.StepCommit {
		class = classifyWrite(err)
	}
	h := readHint(step, table, err)
	if h == "" {
		h = hint(err)
	}
	return &Error{Class: class, Step: step, Table: table, Err: err, Hint: h}
}

// readHint is hint for a privilege that only `sinker verify` needs. `sinker check` does not look
// for it.
func readHint(step record.Step, table string, err error) string {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != pgerrcode.InsufficientPrivilege {
		return ""
	}
	switch step {
	case record.StepCount:
		return "`sinker verify` counts its rows: GRANT SELECT ON " + table + " to the user sinker connects as"
	case record.StepLedger:
		return "`sinker verify` reads them: GRANT SELECT ON sinker.offsets, sinker.ledger, sinker.audit " +
			"to the user sinker connects as"
	}
	return ""
}

// connectHint is hint for a session that could not be opened.
func connectHint(err error) string {
	var pe *pgconn.PgError
	switch {
	case !errors.As(err, &pe):
		if h := transportHint(err); h != "" {
			return h
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			return "nothing listens there: is Postgres running, and are host and port in postgres.url right?"
		}
		if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
			return "check the host in postgres.url"
		}
	case pe.Code == pgerrcode.UndefinedObject:
		return "take it out of postgres.url: it is a parameter of another driver and not a setting of Postgres"
	case pe.Code == pgerrcode.InvalidPassword, pe.Code == pgerrcode.InvalidAuthorizationSpecification:
		return pgHBAHint(err, pe)
	}
	return hint(err)
}

// inFunction says whether a function's body missed a name. A statement of ours has no context.
func inFunction(pe *pgconn.PgError) bool {
	switch pe.Code {
	case pgerrcode.UndefinedTable, pgerrcode.UndefinedFunction, pgerrcode.UndefinedObject, pgerrcode.InvalidSchemaName:
		// a table, function, type, schema
		return pe.Where != ""
	}
	return false
}

// hint is the next thing to do about errors that an operator meets often.
func hint(err error) string {
	const readOnly = "this server is read-only (a standby?): point postgres.url at the primary. " +
		"A running sinker waits and tries again; nothing is lost"
	if errors.Is(err, pgconn.ErrReadOnlyConnection) {
		return readOnly
	}
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return ""
	}
	if raised(pe) {
		return "" // the message is the author's, who may have chosen any SQLSTATE
	}
	if inFunction(pe) {
		return "a function that the table calls, perhaps of a trigger, does not find this name, because sinker keeps " +
			"search_path empty: ALTER FUNCTION … SET search_path = public, or set search_path=public in postgres.url"
	}
	if pe.Where != "" || pe.Routine == "ExecWithCheckOptions" {
		return functionHint(pe)
	}
	switch pe.Code {
	case pgerrcode.InsufficientPrivilege:
		return "grant the missing privilege to the user sinker connects as; `sinker check` lists what it needs"
	case pgerrcode.DiskFull:
		return freeDisk
	case pgerrcode.TooManyConnections:
		return "raise max_connections or free connections; sinker needs one per worker"
	case pgerrcode.ReadOnlySQLTransaction:
		return readOnly
	case pgerrcode.UndefinedTable:
		if strings.Contains(pe.Message, "sinker.") {
			return "run `sinker migrate up`"
		}
		return "create the table, or set `create: yes` for the sink"
	case pgerrcode.WrongObjectType:
		return "sinker writes into tables, and into views that have an INSTEAD OF INSERT trigger"
	case pgerrcode.InvalidCatalogName:
		return "create the database, or correct it in postgres.url"
	case pgerrcode.InvalidPassword, pgerrcode.InvalidAuthorizationSpecification:
		return "check the user and password in postgres.url"
	}
	return ""
}

const freeDisk = "free disk space on the Postgres server; sinker goes on by itself, nothing is lost"

// functionHint is hint for an error of a function that the table calls, or of one row.
func functionHint(pe *pgconn.PgError) string {
	switch {
	case pe.Routine == "ExecWithCheckOptions":
		return ""
	case pe.Code == pgerrcode.InsufficientPrivilege:
		return "a function that the table calls lacks this privilege: grant it to the user sinker connects as, " +
			"or make the function SECURITY DEFINER"
	case pe.Code == pgerrcode.DiskFull:
		return freeDisk
	}
	return ""
}

// functionLine finds the function in an error's context. The rest of the context may quote a
// record.
var functionLine = regexp.MustCompile(`PL/\w+ function [\w."]+(\([^()\n]*\))?( line \d+)?`)
