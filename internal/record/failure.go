package record

import "errors"

// Class says what kind of trouble an error of the database is, and so who has to act.
type Class int

const (
	// Retry: the connection or the moment. The same batch may be tried again; that is safe also when the reply to a
	// COMMIT was lost, because the next attempt compares under the row lock first.
	Retry Class = iota
	// Resource: Postgres is out of something (disk, connections, memory). Retry, and tell somebody.
	Resource
	// Schema: a table, column, type or privilege is not as the sink needs it. Nothing was written.
	Schema
	// Data: a value that Postgres refuses. Nothing was written.
	Data
	// Timeout: statement_timeout ran out. A smaller batch may pass.
	Timeout
	// Auth: Postgres refuses the user, the password or the database.
	Auth
)

func (c Class) String() string {
	return [...]string{"retry", "resource", "schema", "data", "timeout", "auth"}[c]
}

// ErrSpent says that nothing of a batch was written, and that it cannot be: its first records are gone. They have to be
// read again, from the position.
var ErrSpent = errors.New("nothing was written, and the first records of the batch are not there any more")

// Step is what was being done when an error came.
type Step int

const (
	StepConnect Step = iota + 1
	StepPrepare      // looking at a table
	StepCreate       // making it
	StepTake         // taking partitions
	StepBegin        // BEGIN, and the compare of the offset rows under their locks
	StepWrite        // rows and dead letters
	StepCommit       // the move of the offset rows, and COMMIT
	StepStop         // writing down why a partition is not read
	StepLook         // reading whether offset rows have changed
	StepStatus       // reading them for people
	StepChange       // an operator's change of an offset row
	StepCheck        // what `sinker check` looks at
	StepCount        // counting a table's rows
	StepLedger       // reading the ledger
	StepMigrate      // making or changing schema sinker
)

func (s Step) String() string {
	return [...]string{"", "connect", "prepare", "create", "take", "begin", "write", "commit", "stop", "look", "status",
		"change", "check", "count", "read the ledger", "migrate"}[s]
}

// Failure is what an error of the database means for whoever has to go on.
type Failure struct {
	Class Class
	// Step is what failed. After StepCommit with class Retry it is not known whether the transaction was committed; in
	// every other case nothing of it was written. After StepWrite it is certain that the compare had passed.
	Step   Step
	Topics func(topic string) bool // that it holds up; nil: all
}

// HoldsUp says whether records of the topic cannot be written.
func (f Failure) HoldsUp(topic string) bool { return f.Topics == nil || f.Topics(topic) }

// FailureOf finds what an error means. It is false for an error that is not the database's.
func FailureOf(err error) (f Failure, ok bool) {
	var failed interface {
		error
		Failed() Failure
	}
	if !errors.As(err, &failed) {
		return Failure{}, false
	}
	return failed.Failed(), true
}
