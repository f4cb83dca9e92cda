package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"sinker/internal/consume"
	"sinker/internal/txn"

	"github.com/spf13/cobra"
)

// untilEnd loads up to the end offsets of now, shows how it gets on, and sums up.
func (pl *plant) untilEnd(cmd *cobra.Command, asJSON bool) error {
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	ends, err := consume.FindEnds(ctx, pl.kafka)
	if err != nil {
		return withCode(exitUnavailable, err)
	}
	sum := &summary{tables: map[string]*tableSum{}, start: time.Now()}
	observe := pl.kafka.Observe
	pl.kafka.Observe = func(r consume.Report) {
		sum.add(r)
		observe(r)
	}
	pl.pipeline.HTTP = untilEndHTTP(cmd, pl.pipeline.HTTP)
	var wg sync.WaitGroup
	wg.Go(func() { showProgress(ctx, cmd.ErrOrStderr(), ends, sum) })
	svc, release := pl.service(ends)
	defer release()
	wg.Go(func() { pl.followOthers(ctx, svc) })
	server, err := pl.listen(svc.States)
	if err == nil {
		defer server.Close()
		err = pl.work(ctx, svc, server)
	}
	stop()
	wg.Wait()
	flushErrors(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	left := ends.Left()
	if !ends.Reached() && len(left) == 0 {
		return withCode(exitFailed, errors.New("stopped before the end; the next run goes on from here"))
	}
	if err := sum.print(cmd.OutOrStdout(), left, asJSON); err != nil {
		return err
	}
	return leftError(left)
}

// mostLeft is how many partitions the error of a bounded run names; `--json` has them all.
const mostLeft = 20

// leftError is how a bounded run ends that could not load everything: which partitions are left, where they stand, and why.
func leftError(left []consume.Left) error {
	if len(left) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "not everything could be loaded; what could be is committed. Left: %d partitions", len(left))
	for i, l := range left {
		if i == mostLeft {
			fmt.Fprintf(&b, "\n  … and %d more: `sinker status` shows them", len(left)-i)
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
	b.WriteString("\nThe next run goes on from there.")
	return withCode(exitFailed, errors.New(b.String()))
}

// untilEndHTTP leaves the HTTP side off in a bounded run unless it was asked for: two loads at once should not meet on
// one port.
func untilEndHTTP(cmd *cobra.Command, configured string) string {
	if cmd.Flags().Changed("http") {
		return configured
	}
	return "off"
}

// followOthers looks, now and then, at the positions in Postgres: partitions of the goal may be another process's.
func (pl *plant) followOthers(ctx context.Context, svc *consume.Service) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		rows, err := txn.Status(ctx, pl.postgres.URL, pl.pipeline.Name)
		if err != nil {
			continue // the workers say what is wrong
		}
		svc.Saw(rows)
	}
}

// summary counts what a bounded run did.
type summary struct {
	mu       sync.Mutex
	start    time.Time
	first    time.Time // begin of the first transaction
	last     time.Time // end of the last one
	records  int64
	bytes    int64
	filtered int64
	dead     int64
	order    []string
	tables   map[string]*tableSum
}

type tableSum struct {
	Table   string `json:"table"`
	Rows    int64  `json:"rows"`
	Deleted int64  `json:"deleted"`
}

// leftSum is a partition that could not be loaded up to its end.
type leftSum struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Position  int64  `json:"position"` // -1: not known
	End       int64  `json:"end"`
	State     string `json:"state"`
	Reason    string `json:"reason"`
	Command   string `json:"command,omitempty"`
}

func (s *summary) add(r consume.Report) {
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
			s.tables[t.Table] = &tableSum{Table: t.Table}
			s.order = append(s.order, t.Table)
		}
		s.tables[t.Table].Rows += t.Rows
		s.tables[t.Table].Deleted += t.Deleted
	}
}

func (s *summary) snapshot() (records, rows int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tables {
		rows += t.Rows
	}
	return s.records, rows
}

// print sums up, a line per table, or all in one JSON object.
func (s *summary) print(w io.Writer, left []consume.Left, asJSON bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	loading := s.last.Sub(s.first).Seconds()
	if asJSON {
		out := struct {
			Records  int64       `json:"records"`
			Filtered int64       `json:"filtered"`
			Dead     int64       `json:"dead_letters"`
			Bytes    int64       `json:"bytes"`
			Seconds  float64     `json:"seconds"`
			Loading  float64     `json:"loading_seconds"`
			Tables   []*tableSum `json:"tables"`
			Left     []leftSum   `json:"left"`
		}{s.records, s.filtered, s.dead, s.bytes, time.Since(s.start).Seconds(), loading, []*tableSum{}, []leftSum{}}
		for _, l := range left {
			out.Left = append(out.Left, leftSum{l.Topic, l.Partition, l.Position, l.End, l.State, l.Reason, l.Command})
		}
		for _, name := range s.order {
			out.Tables = append(out.Tables, s.tables[name])
		}
		return json.NewEncoder(w).Encode(out)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TABLE\tROWS\tDELETED")
	for _, name := range s.order {
		t := s.tables[name]
		fmt.Fprintf(tw, "%s\t%d\t%d\n", t.Table, t.Rows, t.Deleted)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	rate := 0.0
	if loading > 0 {
		rate = float64(s.records) / loading
	}
	_, err := fmt.Fprintf(w, "%d records, %d dead letters, %d filtered, %s in %.1f s (%.0f records/s)\n",
		s.records, s.dead, s.filtered, sizeText(s.bytes), time.Since(s.start).Seconds(), rate)
	return err
}

func sizeText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
