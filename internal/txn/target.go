package txn

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"sinker/internal/format"
	"sinker/internal/record"
	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
)

// target is a sink's table as it stands in the database now: the compiled plan and the statements
// made from it.
type target struct {
	sink  *Sink
	index int
	mode  mode

	family int       // the index of its sink's first table
	others []*target // of a sink's first table: the further ones
	name   string    // of a further table: by which changes name it

	format    format.Format // of the records' values
	formatErr error         // instead of it

	plan     *transform.Plan // nil: not looked at yet on this connection
	encoder  *transform.Encoder
	shaped   shaped
	leftSaid bool              // which columns are left to Postgres
	warnings []string          // about the table as it stands
	closed   []closedColumn    // written columns that records must bring
	absent   bool              // Check found no table, and one would be made
	survey   *transform.Survey // nil: done, or not begun
	marks    marks             // of the table that the plan was made for
	oid      uint32
	takesAll bool // see takesAll
	triggers bool // it has some, maybe deferred ones
	looked   time.Time
}

// forget makes the next prepare look at the table again: after a new connection, or an error that
// says the table changed.
func (t *target) forget() { t.plan = nil }

// rowPerRecord says whether each row is one record's, and each record that is not filtered has one row.
func (t *target) rowPerRecord() bool { return !t.mode.traits().folds && !t.plan.Several() }

// errNeedSample says that the table is to be made from the first records, and there are none yet.
var errNeedSample = errors.New("the table is made from the first records")

// prepare describes the table, making it first when `create: yes` asks for it and it is missing,
// and compiles the plan. sample is only used to make a table whose columns are not configured.
func (t *target) prepare(ctx context.Context, s *Store, conn *pgx.Conn, sample iter.Seq[*record.Record]) error {
	if t.plan != nil {
		return nil
	}
	if t.formatErr != nil {
		return &Error{Class: Schema, Step: record.StepPrepare, Table: t.sink.Name(), Err: t.formatErr}
	}
	// The marks come first: a change that falls in between is noticed later, and not taken for what
	// is described here.
	marks, err := t.readMarks(ctx, conn)
	if err != nil {
		return err
	}
	if marks.columns == "" {
		if _, err := t.create(ctx, s, conn, sample); err != nil {
			return err
		}
		if marks, err = t.readMarks(ctx, conn); err != nil {
			return err
		}
	}
	rel, err := t.relation(ctx, conn)
	if err != nil {
		return err
	}
	table, err := describeColumns(ctx, conn, rel.OID, t.sink.Schema, t.sink.Table)
	if err != nil {
		return err
	}
	plan, err := transform.Compile(t.sink.Rule, table)
	if err != nil {
		return &Error{Class: Schema, Step: record.StepPrepare, Table: t.sink.Name(), Err: err}
	}
	if err := t.checkPrivileges(ctx, conn, rel.OID, plan); err != nil {
		return err
	}
	if err := t.mode.prepare(ctx, conn, t, rel, plan); err != nil {
		return err
	}
	if err := s.pipe.unprepare(ctx, conn); err != nil {
		return err
	}
	if err := conn.QueryRow(ctx, readTakesAll, rel.OID).Scan(&t.takesAll, &t.triggers); err != nil {
		return err
	}
	t.oid = rel.OID
	t.plan, t.survey = plan, plan.NewSurvey(t.format)
	t.newEncoder()
	t.marks, t.looked = marks, time.Now()
	t.sayLeft(s)
	return nil
}

// sayLeft names, once, the columns that records do not fill.
func (t *target) sayLeft(s *Store) {
	if t.leftSaid {
		return
	}
	t.leftSaid = true
	for _, l := range t.plan.LeftToPostgres() {
		s.cfg.Log.Info("column is left to Postgres", "table", t.sink.Name(), "column", l.Column, "reason", l.Why)
	}
}

// relation looks at what has the sink's name, and refuses what cannot be served.
func (t *target) relation(ctx context.Context, conn *pgx.Conn) (*relation, error) {
	rel, err := readRelationOf(ctx, conn, t.sink)
	if err != nil {
		return nil, err
	}
	if rel == nil {
		return nil, unfit(t.sink, "no_table", "create it again", "the table was dropped a moment ago")
	}
	t.warnings = rel.warnings(t)
	return rel, rel.refuse(t, conn.Config().User)
}

// create makes the table in a transaction of its own: DDL never shares the data's transaction, so a
// record that cannot be written does not take the table with it.
func (t *target) create(
	ctx context.Context, s *Store, conn *pgx.Conn, sample iter.Seq[*record.Record],
) (oid uint32, err error) {
	if err := refuseCreate(ctx, conn, t.sink); err != nil {
		return 0, err
	}
	if len(t.sink.Rule.Columns) == 0 && sample == nil {
		return 0, errNeedSample
	}
	rule, proposal, err := t.propose(sample)
	if err != nil {
		return 0, err
	}
	if proposal != nil {
		if err := proposal.leaveOut(ctx, conn, &rule); err != nil {
			return 0, err
		}
	}
	declared, err := rule.Declared(t.sink.Schema, t.sink.Table)
	if err != nil {
		return 0, &Error{Class: Schema, Step: record.StepCreate, Table: t.sink.Name(), Err: err}
	}
	ddl, made := createSQL(declared, rule.Key, t.mode.traits().fillfactor), false
	err = inTransaction(ctx, conn, "", func(tx pgx.Tx) error {
		// Two workers may find the table missing at once; the second waits here and then finds it there.
		const lock = `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`
		if _, err := tx.Exec(ctx, lock, "sinker create "+t.sink.Name()); err != nil {
			return err
		}
		if oid, err = lookup(ctx, conn, t.sink.Schema, t.sink.Table); err != nil || oid != 0 {
			return err
		}
		if _, err := tx.Exec(ctx, ddl); err != nil {
			return err
		}
		made = true
		oid, err = lookup(ctx, conn, t.sink.Schema, t.sink.Table)
		return err
	})
	switch {
	case err != nil || !made: // another worker has
	case proposal != nil:
		proposal.with(rule, ddl)
		proposal.log(s.cfg.Log, s.cfg.Fields)
	default:
		s.cfg.Log.Info("made the table", "table", t.sink.Name(), "sql", ddl)
	}
	return oid, err
}

// createSQL is the statement `create: yes` runs.
func createSQL(t transform.Table, key []string, fillfactor int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (", qualified(t.Schema, t.Name))
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s", quote(c.Name), c.Type)
		if c.NotNull {
			b.WriteString(" NOT NULL")
		}
	}
	if len(key) > 0 {
		fmt.Fprintf(&b, ", PRIMARY KEY (%s)", quoteAll(key))
	}
	b.WriteString(")")
	if fillfactor > 0 {
		fmt.Fprintf(&b, " WITH (fillfactor = %d)", fillfactor)
	}
	return b.String()
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, ", ")
}

func columnList(columns []transform.TableColumn) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return quoteAll(names)
}
