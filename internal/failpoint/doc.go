// Package failpoint marks the places where the fault tests make the process die, freeze or fail. In an ordinary build
// Hit does nothing and is compiled away; with the build tag "failpoints" it does what $SINKER_FAILPOINT says.
package failpoint

// The places, in the order in which a worker comes by.
const (
	Joined       = "joined"        // the group has given partitions, nothing done about it yet
	TakeBegun    = "take-begun"    // offset rows locked for taking, fence not raised
	TakeRaised   = "take-raised"   // fence raised, not committed
	Taken        = "taken"         // taken, not reading yet
	Polled       = "polled"        // records held, no transaction
	Compared     = "compared"      // transaction open, offset rows locked and equal
	MidCopy      = "mid-copy"      // in the middle of COPY
	Written      = "written"       // all rows sent, before the dead letters
	BeforeCommit = "before-commit" // everything written but the move of the offset rows
	Committed    = "committed"     // COMMIT answered, position not advanced in memory
	Advanced     = "advanced"      // position advanced, not mirrored
	Revoking     = "revoking"      // a revocation noted, partitions not let go
	LetGo        = "let-go"        // partitions let go
	Leaving      = "leaving"       // about to leave the group
)

// All is every place.
var All = []string{Joined, TakeBegun, TakeRaised, Taken, Polled, Compared, MidCopy, Written, BeforeCommit, Committed,
	Advanced, Revoking, LetGo, Leaving}
