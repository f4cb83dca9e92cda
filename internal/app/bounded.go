package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"sinker/internal/consume"
	"sinker/internal/printable"
	"sinker/internal/txn"
)

// BoundedOptions are how a load up to the ends of the topics goes.
type BoundedOptions struct {
	Migrate bool          // bring schema sinker up to date first
	Wait    time.Duration // how long to wait for what is in the way before the load ends
	HTTP    bool          // serve health, metrics and the page; without it two loads do not meet on one port
}

// Bounded is a load up to the ends that the topics had when it was made.
type Bounded struct {
	app  *App
	http string
	ends *consume.Ends
	sum  sums
}

// Bounded checks schema, tables and topics, and asks Kafka for the ends. It does not wait for Kafka or Postgres:
// where one of them is away, the error is of the kind Unavailable.
func (a *App) Bounded(ctx context.Context, o BoundedOptions) (*Bounded, error) {
	if err := a.begin(ctx, o.Migrate); err != nil {
		return nil, err
	}
	a.kafka.Wait = o.Wait
	ends, err := consume.FindEnds(ctx, a.kafka)
	if err != nil {
		return nil, As(Unavailable, err)
	}
	b := &Bounded{app: a, http: "off", ends: ends, sum: sums{tables: map[string]*TableSum{}, start: time.Now()}}
	if o.HTTP {
		b.http = a.pipeline.HTTP
	}
	observe := a.kafka.Observe
	a.kafka.Observe = func(r consume.Report) {
		b.sum.add(r)
		observe(r)
	}
	return b, nil
}

// Progress is how far the load is: offsets done and in all, and rows written. It may be called while Run runs.
func (b *Bounded) Progress() (done, total, rows int64) {
	done, total = b.ends.Progress()
	return done, total, b.sum.rows()
}

// Run loads. It returns a summary when the load has ended by itself, also when partitions are left that cannot go on:
// Summary.Err says which.
func (b *Bounded) Run(ctx context.Context) (*Summary, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	svc, release := b.app.service(b.ends)
	defer release()
	var wg sync.WaitGroup
	wg.Go(func() { b.app.followOthers(ctx, svc) })
	server, err := b.app.listen(b.http, svc.States)
	if err == nil {
		defer server.Close()
		err = b.app.work(ctx, svc, server)
	}
	stop()
	wg.Wait()
	if err != nil {
		return nil, err
	}
	left := b.ends.Left()
	if !b.ends.Reached() && len(left) == 0 {
		return nil, As(Failed, errors.New("stopped before the end; the next run goes on from here"))
	}
	out := b.sum.summary(left)
	out.LettersQuery = txn.LettersQuery(b.app.pipeline.Name)
	for _, h := range b.ends.HeldBack() {
		out.HeldBack = append(out.HeldBack, HeldBack{h.Topic, h.Partition, h.From, h.Offsets})
	}
	return out, nil
}

// FindHanging is the command that finds transactions in Kafka whose producers are gone.
const FindHanging = consume.FindHanging

// followOthers looks, now and then, at the positions in Postgres: partitions of the goal may be another process's.
func (a *App) followOthers(ctx context.Context, svc *consume.Service) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		rows, err := txn.Status(ctx, a.postgres.URL, a.pipeline.Name)
		if err != nil {
			continue // the workers say what is wrong
		}
		svc.Saw(rows)
	}
}

// Summary is what a bounded load did.
type Summary struct {
	Records  int64       `json:"records"`
	Filtered int64       `json:"filtered"`
	Dead     int64       `json:"dead_letters"`
	Bytes    int64       `json:"bytes"`
	Seconds  float64     `json:"seconds"`
	Loading  float64     `json:"loading_seconds"` // from the first transaction's begin to the last one's end
	Tables   []*TableSum `json:"tables"`          // in the order in which they were first written
	Left     []Left      `json:"left"`
	HeldBack []HeldBack  `json:"held_back"`

	LettersQuery string `json:"-"` // SQL that shows the newest dead letters
}

// HeldBack is what was not loaded of a partition because a transaction in Kafka was open at the start.
type HeldBack struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	Offsets   int64  `json:"offsets"` // how many, Kafka's own marks among them
}

// TableSum is what was written to one table.
type TableSum struct {
	Table   string `json:"table"`
	Rows    int64  `json:"rows"`
	Deleted int64  `json:"deleted"`
}

// Left is a partition that could not be loaded up to its end.
type Left struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Position  int64  `json:"position"` // -1: not known
	End       int64  `json:"end"`
	State     string `json:"state"`
	Reason    string `json:"reason"`
	Command   string `json:"command,omitempty"`
}

// mostLeft is how many partitions the error of a bounded load names; Summary.Left has them all.
const mostLeft = 20

// Err is nil when everything was loaded. Otherwise it says which partitions are left, where they stand, and why.
func (s *Summary) Err() error {
	if len(s.Left) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "not everything could be loaded; what could be is committed. Left: %s",
		printable.Count(len(s.Left), "partition"))
	for i, l := range s.Left {
		if i == mostLeft {
			fmt.Fprintf(&b, "\n  … and %d more: `sinker status` shows them", len(s.Left)-i)
			break
		}
		at := fmt.Sprintf("at %d", l.Position)
		if l.Position < 0 {
			at = "and not read yet"
		}
		fmt.Fprintf(&b, "\n  %s/%d is %s %s, its end is %d: %s", l.Topic, l.Partition, l.State, at, l.End, l.Reason)
		if l.Command != "" {
			fmt.Fprintf(&b, "\n      %s", l.Command)
		}
	}
	b.WriteString("\nThe next run continues from there.")
	if s.Dead > 0 {
		fmt.Fprintf(&b, "\n%s: %s", printable.Count(s.Dead, "dead letter"), s.LettersQuery)
	}
	return As(Failed, errors.New(b.String()))
}

// sums adds up what the workers report.
type sums struct {
	mu       sync.Mutex
	start    time.Time
	first    time.Time // begin of the first transaction
	last     time.Time // end of the last one
	records  int64
	bytes    int64
	filtered int64
	dead     int64
	order    []string
	tables   map[string]*TableSum
}

func (s *sums) add(r consume.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if begin := r.At.Add(-r.Took); s.first.IsZero() || begin.Before(s.first) {
		s.first = begin
	}
	s.last = r.At
	s.records += int64(r.Records)
	s.bytes += r.Bytes
	s.filtered += r.Result.Filtered
	s.dead += r.Result.Dead
	for _, t := range r.Result.Tables {
		if s.tables[t.Table] == nil {
			s.tables[t.Table] = &TableSum{Table: t.Table}
			s.order = append(s.order, t.Table)
		}
		s.tables[t.Table].Rows += t.Rows
		s.tables[t.Table].Deleted += t.Deleted
	}
}

func (s *sums) rows() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tables {
		n += t.Rows
	}
	return n
}

func (s *sums) summary(left []consume.Left) *Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &Summary{
		Records: s.records, Filtered: s.filtered, Dead: s.dead, Bytes: s.bytes,
		Seconds: time.Since(s.start).Seconds(), Loading: s.last.Sub(s.first).Seconds(), Tables: []*TableSum{}, Left: []Left{},
		HeldBack: []HeldBack{},
	}
	for _, l := range left {
		out.Left = append(out.Left, Left{l.Topic, l.Partition, l.Position, l.End, l.State, l.Reason, l.Command})
	}
	for _, name := range s.order {
		out.Tables = append(out.Tables, s.tables[name])
	}
	return out
}
