package txn

import (
	"context"
	"errors"
	"time"

	"sinker/internal/failpoint"
	"sinker/internal/record"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A small batch takes two round trips: one to begin and to compare, and one for everything else, COMMIT included. The
// statements are those of a large batch, in their order, and Postgres does none of those behind one that fails. What it
// refuses is written again the careful way, as ever.

const (
	smallRows  = 1000      // records of a small batch at most
	smallBytes = 256 << 10 // of their keys and values
)

// isSmall says whether the transaction is to be written and committed in one round trip. Not through a pooler: it may
// give each transaction another server process, and does not expect a COPY among other statements.
func (t *Tx) isSmall() bool {
	if t.s.cfg.large || t.conn.Config().DefaultQueryExecMode != pgx.QueryExecModeCacheStatement {
		return false
	}
	for _, w := range t.s.writers(t.conn, t.batch, false) {
		if !w.mayPipe() {
			return false
		}
	}
	rows, size := 0, int64(0)
	for i := range t.batch {
		for _, b := range t.batch[i].Batches {
			rows, size = rows+b.Count(), size+b.Bytes()
		}
	}
	return rows <= smallRows && size <= smallBytes
}

// takesAll is a SQL expression about table c of pg_class: whether each row that it is given and does not refuse is in
// it afterwards. Only then is it known before Postgres has answered how many records are written.
const takesAll = `(c.relkind = 'r' AND NOT c.relhasrules AND NOT (c.relhastriggers AND EXISTS (
    SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND g.tgtype & 3 = 3 AND NOT g.tgisinternal)))`

// readTakesAll reads that about table $1, and whether it has triggers of any kind.
const readTakesAll = `SELECT ` + takesAll + `, c.relhastriggers FROM pg_catalog.pg_class c WHERE c.oid = $1`

// stillPlain is sameColumns for a table that must be plain too.
const stillPlain = `SELECT 1 / (CASE WHEN ` + columnsMark + ` = $3
    AND (SELECT ` + takesAll + ` FROM pg_catalog.pg_class c WHERE c.oid = $4) THEN 1 ELSE 0 END)`

// pipedRows is a statement in the pipe that writes rows of a table.
type pipedRows struct {
	w     *writer
	index int                     // among the pipe's answers
	told  func(pgconn.CommandTag) // what Postgres answered
}

// commitSmall writes and commits in one round trip. Nothing of the batch is left when it returns an error, unless the
// connection broke: then it is not known.
func (t *Tx) commitSmall(ctx context.Context, res *Result) error {
	writers := t.s.writers(t.conn, t.batch, false)
	s, p, start := t.s, &t.s.pipe, time.Now()
	p.begin(t.conn)
	t.beginWriting()
	bounded, cancel := s.bounded(context.WithoutCancel(ctx))
	defer cancel()
	rows, err := t.pipeRows(bounded, writers)
	if err != nil {
		return err
	}
	if err := t.lastWords(ctx); err != nil {
		return err
	}
	if err := s.pipeLetters(bounded, p); err != nil {
		return wrap(record.StepWrite, "sinker.dead_letters", err)
	}
	s.count(t.batch, res)
	res.Unasked, res.Phases = s.unasked(), t.phases
	e, first := s.newEnding(t.batch, true), len(p.answers)
	for _, st := range e.statements {
		if err := p.exec(bounded, st.sql, st.args...); err != nil {
			return wrap(record.StepWrite, "", err)
		}
	}
	if err := failpoint.Hit(failpoint.BeforeCommit); err != nil {
		return wrap(record.StepWrite, "", err)
	}
	res.Phases.Write += since(&start)
	deadline, _ := bounded.Deadline()
	err = p.send(deadline)
	res.Phases.Commit = since(&start)
	if isPgError(err) && !t.conn.IsClosed() && p.done < first {
		return wrap(record.StepWrite, tableOf(rows, p.done), err)
	}
	if err = s.ended(t.conn, e, e.read(p, first, err), res); err != nil {
		return err
	}
	s.buf.tables = s.buf.tables[:0]
	for i := range rows {
		rows[i].told(p.answers[rows[i].index].tag)
	}
	for _, w := range writers {
		s.buf.tables = append(s.buf.tables, w.result)
	}
	res.Tables = s.buf.tables
	return nil
}

// pipeRows puts the rows of all tables into the pipe.
func (t *Tx) pipeRows(ctx context.Context, writers []*writer) (rows []pipedRows, err error) {
	for _, w := range writers {
		w.result.Table = w.name()
		added, err := w.target.mode.(piper).pipe(ctx, w, &t.s.pipe)
		if err != nil {
			return nil, wrap(record.StepWrite, w.name(), err)
		}
		rows = append(rows, added...)
		t.s.buf.tables = append(t.s.buf.tables, w.result) // so that its columns are looked at
	}
	return rows, wrap(record.StepWrite, "", failpoint.Hit(failpoint.Written))
}

// read takes what was answered to the ending, whose statements begin at first.
func (e *ending) read(p *pipe, first int, err error) error {
	e.done = max(0, p.done-first)
	if err != nil {
		return err
	}
	e.tag = p.answers[len(p.answers)-1].tag
	if e.move < 0 {
		return nil
	}
	return p.scan(first+e.move, nil, &e.n, &e.places)
}

// tableOf is the table that a statement of the pipe writes.
func tableOf(rows []pipedRows, index int) string {
	for _, r := range rows {
		if r.index == index {
			return r.w.name()
		}
	}
	return ""
}

func isPgError(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe)
}

// piper is a mode that can write a small batch by statements that do not wait for one another's answers.
type piper interface {
	// pipes says whether it can, for the table as it stands.
	pipes() bool
	// pipe encodes the records of w's batch, and puts the statements that write them into p.
	pipe(ctx context.Context, w *writer, p *pipe) ([]pipedRows, error)
}

// mayPipe says whether the table's rows can be written so.
func (w *writer) mayPipe() bool {
	m, ok := w.target.mode.(piper)
	return ok && w.target.takesAll && len(w.target.others) == 0 && m.pipes()
}
