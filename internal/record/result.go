package record

import "time"

// Result is what a committed transaction did.
type Result struct {
	Tables   []TableResult
	Consumed int64 // records; = Written + Filtered + Dead
	Written  int64 // records that became at least one row
	Filtered int64 // records that no sink wanted
	Dead     int64 // records of which at least one dead letter was written
	// Suppressed is the sum of the tables'. Of a topic with one table these records count as filtered, not as written.
	Suppressed int64
	Letters    []LetterCount
	Unasked    []UnaskedField // fields that no column takes
	Phases     Phases
	// Resolved says that this commit was found done by an earlier attempt whose reply was lost.
	Resolved bool
}

// TableResult counts the rows of one table.
type TableResult struct {
	Table   string
	Rows    int64 // rows appended or upserted; of an aggregate, records merged into its groups
	Deleted int64 // keys deleted
	// Suppressed is how many of the rows (of an aggregate, the groups) that were sent Postgres did not count as written:
	// a trigger returned NULL for them, or a rule did something else.
	Suppressed int64
}

// LetterCount counts the dead letters of one topic by their code.
type LetterCount struct {
	Topic, Code string
	Count       int64
}

// Phases is the time spent in the steps of a transaction.
type Phases struct {
	Begin  time.Duration // BEGIN and the compare under the row locks
	Write  time.Duration // encoding and COPY, which overlap, and the merge of upserts
	Dead   time.Duration
	Commit time.Duration // the move of the offset rows and COMMIT
}

// UnaskedField is a top-level field that came in records and that no column takes, of a table that is filled by name.
// An empty Field stands for those with long or odd names, and for those after the first thousand.
type UnaskedField struct {
	Table, Field string
	Count        int64
}
