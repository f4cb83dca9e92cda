// Package mutant holds the bugs that are put into the protocol on purpose, to show that the tests would find them. In an
// ordinary build none of them is there: On is the constant false, and the compiler drops what stands behind it. With the
// build tag "mutants" those are on that $SINKER_MUTANT names, separated by commas. e2e/mutants runs the tests on each.
package mutant

// The bugs, by the rule that is left out. docs/model has the same rules left out of the model, by nearly the same names.
const (
	NoLock             = "no-lock"              // the compare reads the offset rows without locking them
	UncheckedMove      = "unchecked-move"       // the move of the offset rows is not held to what the compare saw
	UncountedMove      = "uncounted-move"       // nobody counts whether all offset rows have moved
	TakeWithoutLock    = "take-without-lock"    // a take reads the position without waiting for a COMMIT under way
	NoIdentity         = "no-identity"          // the compare does not ask whose log the row is of
	NoFence            = "no-fence"             // the compare does not ask for the fence, nor for the owner
	FenceAlone         = "fence-alone"          // the compare asks for the fence, but not for the owner
	AlreadyFirst       = "already-before-fence" // "at our To already" is asked before the fence
	NoReread           = "no-reread"            // the attempt after a lost reply does not compare again
	UnknownIsFailed    = "unknown-is-failed"    // after a lost reply the batch is cut anew, as if nothing had been committed
	UnknownIsCommitted = "unknown-is-committed" // a lost reply is taken for a COMMIT
	OffsetsApart       = "offsets-apart"        // the offset rows move in a second transaction
	LettersApart       = "letters-apart"        // the dead letters are written in a second transaction
	TablesApart        = "tables-apart"         // every table is written in a transaction of its own
	AdvanceFirst       = "advance-first"        // the position in memory moves before COMMIT
	NoRewind           = "no-rewind"            // a position that went back is not gone back to
	PositionInMemory   = "position-in-memory"   // after a reconnect the position comes from memory
	ToIsEndOfLog       = "to-is-end-of-log"     // a batch moves the position to the end of the log, not to the end of its records
	ControlDropped     = "control-dropped"      // control records do not move the position
	AbortedToo         = "aborted-too"          // records of aborted and open transactions are read
	NoBounds           = "no-bounds"            // a position is not held against the log it is taken from
	SpentIsWritten     = "spent-is-written"     // a batch whose first records are gone is written without them
	SilentKept         = "silent-kept"          // a connection that fell silent with the offset rows locked is not ended
)

// All is every bug.
var All = []string{
	NoLock, UncheckedMove, UncountedMove, TakeWithoutLock, NoIdentity, NoFence, FenceAlone, AlreadyFirst, NoReread, UnknownIsFailed, UnknownIsCommitted,
	OffsetsApart, LettersApart, TablesApart, AdvanceFirst, NoRewind, PositionInMemory, ToIsEndOfLog, ControlDropped, AbortedToo, NoBounds,
	SpentIsWritten, SilentKept,
}
