package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
)

// loadRecord is what is remembered of the load.
type loadRecord struct {
	began    time.Time     // when the loader was started first
	firstRow time.Duration // from the demonstration's start until rows were visible
	loading  time.Duration // from the loader's first start to the last commit
	kills    int           // those in the middle of a transaction
	again    bool          // the loader was started before
	resumes  []time.Duration
}

// killPlan says at which position the loader is to be killed, how many rows more must be on their way, and how far the
// feed may go before the kill.
type killPlan struct {
	points, wants, gates []int64
}

// newKillPlan takes a random time in each part of the load but the last.
func newKillPlan(total int64, kills int, rng *rand.Rand) (p killPlan) {
	part := float64(total) / float64(kills+1)
	window := min(part/2, 200_000)
	for k := range kills {
		point := part * (float64(k) + 0.3 + 0.5*rng.Float64())
		p.points = append(p.points, min(int64(point), total-1))
		p.wants = append(p.wants, 1+rng.Int64N(int64(window/10)+1))
		p.gates = append(p.gates, min(int64(point+window), total-1)) // there is always one more record for the kill itself
	}
	return p
}

// loadAndKill runs the loader to the end, killing it on the way.
func (d *demo) loadAndKill(ctx context.Context) error {
	total := d.records.count()
	plan := newKillPlan(total, d.opts.Kills, d.rng)
	d.load.began = time.Now()
	for d.load.kills < d.opts.Kills {
		k := d.load.kills
		w := &watch{d: d, total: total, point: plan.points[k], want: plan.wants[k], gate: plan.gates[k],
			next: plan.gates[k] + 1}
		if k+1 < len(plan.gates) {
			w.next = max(w.next, plan.gates[k+1])
		}
		if err := w.untilKilled(ctx); err != nil {
			return err
		}
		d.load.again = true
	}
	d.feed.allow(total)
	w := &watch{d: d, total: total}
	return w.untilLoaded(ctx)
}

// watch follows one life of the loader.
type watch struct {
	d        *demo
	total    int64
	point    int64     // the position from which on the loader is to be killed
	want     int64     // and how many rows its open transactions must have written by then
	gate     int64     // how far the feed goes before the kill
	next     int64     // how far the feed goes if the loader has come to the gate alive
	began    time.Time // this life
	position int64
	moved    time.Time // when the position changed last
	works    bool      // it has been seen to work in this life
}

// begin starts the loader.
func (w *watch) begin(ctx context.Context) (err error) {
	if w.position, err = w.d.position(ctx); err != nil {
		return err
	}
	w.began, w.moved = time.Now(), time.Now()
	return w.d.startChild()
}

// step looks at the position, and returns an error if the load cannot go on.
func (w *watch) step(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.d.child.done:
		return fmt.Errorf("the loader ended by itself: %w", w.d.child.err)
	case err := <-w.d.feed.failed:
		return err
	default:
	}
	position, err := w.d.position(ctx)
	if err != nil {
		return err
	}
	if position != w.position {
		w.position, w.moved = position, time.Now()
		w.seen()
		if w.d.load.firstRow == 0 {
			w.d.load.firstRow = time.Since(w.d.start)
			w.d.say("loading", "first rows are visible")
		}
	}
	if time.Since(w.moved) > patience {
		return fmt.Errorf("nothing was loaded for %s, at %s of %s records", patience, humanize.Comma(position),
			humanize.Comma(w.total))
	}
	return nil
}

// seen notes that the loader works.
func (w *watch) seen() {
	if w.works {
		return
	}
	w.works = true
	took := time.Since(w.began)
	if w.d.load.again {
		w.d.load.resumes = append(w.d.load.resumes, took)
		w.d.say("", "works again after %.1f s", took.Seconds())
	}
}

// untilLoaded runs the loader until everything is loaded.
func (w *watch) untilLoaded(ctx context.Context) error {
	if err := w.begin(ctx); err != nil {
		return err
	}
	for w.position < w.total {
		pause(ctx, 5*time.Millisecond)
		if err := w.step(ctx); err != nil {
			return err
		}
	}
	w.d.load.loading = time.Since(w.d.load.began)
	_, produced := w.d.feed.produced()
	if produced != w.total {
		return fmt.Errorf("%s records were produced and %s loaded", humanize.Comma(produced), humanize.Comma(w.total))
	}
	w.d.say("loaded", "%s records", humanize.Comma(w.total))
	return nil
}

// position is how many records are behind, as committed.
func (d *demo) position(ctx context.Context) (n int64, err error) {
	err = d.conn.QueryRow(ctx, `SELECT coalesce(sum(next_offset), 0)::bigint FROM sinker.offsets`).Scan(&n)
	if isMissing(err) { // the loader has not made it yet
		return 0, nil
	}
	return n, err
}

// isMissing says that a table is not there.
func isMissing(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == pgerrcode.UndefinedTable
}

// pause is the time between two looks.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
