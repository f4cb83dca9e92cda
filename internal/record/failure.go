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
