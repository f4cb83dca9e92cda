package txn

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"time"

	"sinker/internal/record"

	"github.com/jackc/pgx/v5/pgconn"
)

// part is the items [from, to) still to be written.
type part struct {
	from, to int
	// bad: the whole is known to be refused, because a larger whole was and the rest of that passed. It is
	// halved without another try.
	bad bool
	// right is the other half, if this is the left one of a whole that was refused.
	right *part
}

// applier writes some items. It sends before, which sets or returns to the savepoint, together with
// its first statement.
type applier func(ctx context.Context, before string, items []item) error

// sift is the writing of one table's items in parts.
type sift struct {
	w       *writer
	items   []item
	apply   applier
	before  string
	todo    []*part
	passed  bool      // some items were written, or could have been
	ordered bool      // the items are not in log order: rows that collide end the sift
	probed  bool      // it was found out whether any item passes
	refused []refused // alone

	log   []item            // with ordered: all items, in log order
	byKey map[string][]item // the same by key, once it is asked for
}

// refused is a record that Postgres does not take, with its items.
type refused struct {
	at    place
	items []item
	err   error
}

const (
	setSavepoint  = "SAVEPOINT sift; "
	nextSavepoint = "RELEASE SAVEPOINT sift; SAVEPOINT sift; "
	backToIt      = "ROLLBACK TO SAVEPOINT sift; "
)

// sift writes the items under a savepoint with apply, and wherever Postgres refuses some it rolls back
// to the savepoint and tries smaller parts, until every record that is refused by itself is found; those
// become dead letters, the others are written, all in the transaction that moves the offsets.
//
// It never cuts between the items of one record: they are written together, or none of them is. So the
// items of a record with several must lie side by side.
//
// Where the error names the line of a COPY the parts are cut there, which costs three statements for a
// bad row; else they are halved: one bad row among 50,000 costs 18 (held by TestSiftCost).
//
// When every item is refused, and for what need not be about any one of them, the table is at fault:
// the error is returned, and nothing is a dead letter.
func (w *writer) sift(ctx context.Context, items []item, apply applier) error {
	s := w.newSift(items, apply)
	if err := s.run(ctx); err != nil {
		return err
	}
	return s.finish(ctx)
}

func (w *writer) newSift(items []item, apply applier) *sift {
	w.store.buf.tries = 0
	return &sift{w: w, items: items, apply: apply, before: setSavepoint, todo: []*part{{to: len(items)}}}
}

func (s *sift) run(ctx context.Context) error {
	for len(s.todo) > 0 {
		p := s.todo[len(s.todo)-1]
		s.todo = s.todo[:len(s.todo)-1]
		if p.from == p.to {
			continue
		}
		if p.bad && !ofOneRecord(s.items[p.from:p.to]) {
			s.todo = append(s.todo, halves(p, s.items)...)
			continue
		}
		if n := len(s.refused); n > 0 && n < few {
			s.todo = p.join(s.todo)
		}
		if err := s.try(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *sift) finish(ctx context.Context) error {
	if err := s.judge(ctx); err != nil {
		return err
	}
	return s.w.endSift(ctx, s.before)
}

// try writes a part, or puts its parts on the stack.
func (s *sift) try(ctx context.Context, p *part) error {
	s.w.store.buf.tries++
	began := time.Now()
	err := s.apply(ctx, s.before, s.items[p.from:p.to])
	if s.w.store.cancelled(err, time.Since(began)) {
		return err
	}
	if err == nil {
		s.before, s.passed = nextSavepoint, true
		if p.right != nil {
			p.right.bad = true
		}
		return nil
	}
	if !s.w.isRefused(err) || s.ordered && collides(err) {
		return err
	}
	s.before = backToIt
	if items := s.items[p.from:p.to]; ofOneRecord(items) {
		if s.ordered {
			return s.refuse(ctx, items[0], err)
		}
		s.refused = append(s.refused, refused{items[0].at, items, err})
		return nil
	}
	if !ofRow(err) && !s.passed && !s.probed {
		if err := s.probe(ctx, err); err != nil {
			return err
		}
	}
	s.todo = append(s.todo, cut(p, s.items, err)...)
	return nil
}

// isRefused says whether an error of a part is a reason to look for the item.
func (w *writer) isRefused(err error) bool {
	var pe *pgconn.PgError
	return isRefusal(err) || w.suspect && !w.conn.IsClosed() && errors.As(err, &pe) && pe.Code == w.store.stuck.code
}

// probes is how many single records are tried before the table is held at fault.
const probes = 32

// probe finds out whether single records pass, evenly spread ones. It writes nothing. If all are
// refused, and none for what is surely about a row, it returns refusal: halving a large batch to learn
// the same would take a statement for each record.
func (s *sift) probe(ctx context.Context, refusal error) error {
	s.probed = true
	defer s.w.counted()()
	step := (len(s.items) + probes - 1) / probes
	for at := 0; at < len(s.items); at += step {
		err := s.apply(ctx, s.before, s.items[startOf(s.items, at):endOf(s.items, at)])
		if err != nil && !s.w.isRefused(err) {
			return err
		}
		if err == nil || ofRow(err) {
			return nil
		}
	}
	for _, it := range s.items[:endOf(s.items, 0)] {
		if err := s.brokenDefault(ctx, it, refusal); err != nil {
			return err
		}
	}
	return refusal
}

// judge makes dead letters of the items that were refused alone, or says that it is not their fault.
func (s *sift) judge(ctx context.Context) error {
	if err := s.brokenDefaults(ctx); err != nil {
		return err
	}
	for _, r := range s.refused {
		if isMoment(r.err) && !isClass(wrap(record.StepWrite, "", r.err), Timeout) {
			return s.wait(r)
		}
	}
	mayBeTheirs := func(r refused) bool { return ofRow(r.err) || isMoment(r.err) }
	if !s.passed && len(s.refused) > 0 && !slices.ContainsFunc(s.refused, mayBeTheirs) {
		return s.refused[0].err
	}
	if err := s.waitFor(); err != nil {
		return err
	}
	for _, r := range s.refused {
		s.w.bury(r.at, s.w.batch[r.at.rng].At(r.at.rec, r.at.offset), r.err)
	}
	return nil
}

// wait holds a partition up at a record that is refused for a reason outside of it: a lock, a
// resource, another server that a trigger asks. While nothing else passes either, the cause is
// everywhere, and the whole batch is tried again.
func (s *sift) wait(r refused) error {
	var pe *pgconn.PgError
	if !s.passed && (!errors.As(r.err, &pe) || pe.Where == "") {
		return r.err
	}
	rng := &s.w.batch[r.at.rng]
	return &StopError{TopicPartition: rng.TopicPartition, Offset: r.at.offset, Wait: true,
		Reason: s.w.result.Table + " does not take this record now: " + describe(record.StepWrite, r.err)}
}

// few is how many bad rows it takes until the parts that were put aside are no longer joined: with one
// bad row the rest is best written in one go, with many each of the parts is likely to have another.
const few = 3

// join takes the parts that follow directly and of which nothing is known into p.
func (p *part) join(todo []*part) []*part {
	for len(todo) > 0 && !p.bad && p.right == nil {
		next := todo[len(todo)-1]
		if next.bad || next.from != p.to {
			break
		}
		p.to = next.to
		todo = todo[:len(todo)-1]
	}
	return todo
}

// endSift leaves no failed statement behind.
func (w *writer) endSift(ctx context.Context, before string) error {
	ctx, cancel := w.store.bounded(ctx)
	defer cancel()
	_, err := w.conn.PgConn().Exec(ctx, before).ReadAll()
	return err
}

// halves returns the two halves of a part of several records, the left one on top of the stack.
func halves(p *part, items []item) []*part {
	m := startOf(items, (p.from+p.to)/2)
	if m <= p.from {
		m = endOf(items, p.from)
	}
	right := &part{from: m, to: p.to}
	return []*part{right, {from: p.from, to: m, right: right}}
}

var copyLine = regexp.MustCompile(`COPY .*, line (\d+)`)

// cut parts a refused part at the line that Postgres names, or in the middle.
func cut(p *part, items []item, err error) []*part {
	var pe *pgconn.PgError
	var ce *copyError
	if errors.As(err, &pe) && errors.As(err, &ce) {
		if m := copyLine.FindStringSubmatch(pe.Where); m != nil {
			if line, _ := strconv.Atoi(m[1]); line >= 1 && line <= len(ce.items) {
				guilty := ce.items[line-1].at
				at := p.from + slices.IndexFunc(items[p.from:p.to], func(it item) bool { return it.at == guilty })
				end := endOf(items, at)
				return []*part{{from: end, to: p.to}, {from: at, to: end, bad: true}, {from: p.from, to: at}}
			}
		}
	}
	return halves(p, items)
}
