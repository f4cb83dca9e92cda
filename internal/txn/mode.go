package txn

import (
	"context"

	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
)

// mode is how a sink's rows get into its table. Each mode is one file, mode_NAME.go, with what it
// alone needs; everything else asks the mode. A target has one, which modeOf chooses.
type mode interface {
	// traits are what the mode is like, whatever its table is.
	traits() traits
	// prepare makes the statements for the table as it stands now, and forgets those of before. It
	// returns an error that says what to change when the table lacks what they need. It writes
	// nothing.
	prepare(ctx context.Context, conn *pgx.Conn, t *target, rel *relation, plan *transform.Plan) error
	// write brings the records of w's batch into w's table, in the transaction that is open. After
	// an error nothing may be committed. With w.careful it finds the records that Postgres refuses
	// and makes them dead letters (sift). A streamer is only asked then.
	write(ctx context.Context, w *writer) error
	// apply writes some items, at least one, with the result of one statement for each in their
	// order. before is SQL that goes ahead of the first statement. After an error it may have
	// written some of them, which the caller takes back.
	apply(ctx context.Context, w *writer, before string, items []item) error
}

// streamer is a mode that needs no record again once it is encoded. So its batches may go on while
// they are written: start, then add for each range that is given records, then finish; writer.abort
// ends it early.
type streamer interface {
	mode
	start(ctx context.Context, w *writer)
	// add encodes the records that a range has now.
	add(w *writer, rng int) error
	// full says whether the batch should take no more.
	full(w *writer) bool
	finish(ctx context.Context, w *writer) error
}

// streamer is the target's mode if it is one, and nil otherwise.
func (t *target) streamer() streamer {
	s, _ := t.mode.(streamer)
	return s
}

// traits are the answers of a mode to what others ask: the checks of a table, check, verify and a
// batch that goes on.
type traits struct {
	name string // for check and the documentation
	// word is what the configuration calls the columns of Rule.Key on which the mode needs a unique
	// index, for INSERT … ON CONFLICT; "" if it does not need one.
	word string
	// copies: it always copies straight into the table, which passes rules by and does not work
	// under row-level security.
	copies bool
	// deletes: it deletes rows, and would pass over a hidden one without a word.
	deletes bool
	// stages: its batches go through temporary tables.
	stages bool
	// folds: a row is made of several records. So a row that a trigger takes away is no record's,
	// and no row is counted back.
	folds bool
	// fillfactor of a table that `create: yes` makes; 0 is Postgres' own.
	fillfactor int
	privileges []privilege
	// uncounted is why verify cannot count the table's rows back; "" if each row is one record's for good.
	uncounted string
}

// privilege is one that the mode needs, on some of the columns that it writes.
type privilege struct {
	verb string
	on   columnsOf
}

// columnsOf picks columns of a plan.
type columnsOf int

const (
	allColumns  columnsOf = iota
	restColumns           // all but the key
	wholeTable            // a privilege that no single column has
)

func (of columnsOf) pick(plan *transform.Plan) []transform.TableColumn {
	all := plan.Columns()
	switch of {
	case restColumns:
		return all[plan.KeyColumns():]
	case wholeTable:
		return all[:1]
	}
	return all
}

// modes are all there are, by the names that transform.Rule.Mode gives.
var modes = map[string]func(rule *transform.Rule) mode{
	transform.ModeAppend:    newAppend,
	transform.ModeUpsert:    newUpsert,
	transform.ModeAggregate: newAggregate,
}

func modeOf(rule *transform.Rule) mode { return modes[rule.Mode()](rule) }
