package ops

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sinker/internal/consume"
)

func TestStatus(t *testing.T) {
	t.Run("TellsOfPartitions", func(t *testing.T) {
		f := setup(t, working(orders0, stopped, waiting))
		s := f.document()
		if s.Pipeline != "shop" || s.Version != "1.2.3" || s.ConfigHash != "abc" || !s.Ready || len(s.Workers) != 1 || len(s.Partitions) != 3 {
			t.Fatalf("%+v", s)
		}
		p := s.Partitions
		if p[0].State != "reading" || *p[0].Lag != 10 || *p[0].End != 100 || p[0].LagSeconds < 59 || p[0].Reason != "" {
			t.Errorf("reading: %+v", p[0])
		}
		if p[1].State != "stopped" || p[1].Lag != nil || p[1].End != nil || p[1].Reason != stopped.Reason || p[1].Hole == nil || *p[1].Hole != stopped.Hole || p[1].Command != stopped.Command {
			t.Errorf("stopped: %+v", p[1])
		}
		if p[2].State != "waiting" || p[2].Reason != "no table" || p[2].Hole != nil || p[2].Command != "" {
			t.Errorf("waiting: %+v", p[2])
		}
	})

	t.Run("OrdersPartitionsOfAllWorkers", func(t *testing.T) {
		at := func(topic string, n int32) consume.PartitionState {
			return consume.PartitionState{Topic: topic, Partition: n}
		}
		var got []string
		for _, p := range setup(t, working(at("b", 1), at("b", 10)), working(at("a", 5), at("b", 2))).document().Partitions {
			got = append(got, fmt.Sprint(p.Topic, p.Partition))
		}
		if fmt.Sprint(got) != "[a5 b1 b2 b10]" {
			t.Error(got)
		}
	})

	t.Run("TellsOfTrouble", func(t *testing.T) {
		s := setup(t, inTrouble(time.Minute, orders0)).document()
		if s.Ready || s.Workers[0].Ready || s.Workers[0].Trouble != "connect: refused" || time.Since(*s.Workers[0].Since) < time.Minute {
			t.Errorf("%+v", s.Workers[0])
		}
	})

	t.Run("ListsAreNeverNull", func(t *testing.T) {
		_, body := setup(t).get("/status")
		if strings.Contains(body, "null") {
			t.Error(body)
		}
	})

	t.Run("KeepsTheLastBatches", func(t *testing.T) {
		f := setup(t, working())
		f.server.started = time.Now().Add(-time.Hour)
		now := time.Now()
		for i := range keepBatches + 10 {
			f.metrics.Observe(report(now.Add(-10*time.Second), int64(i+1)))
		}
		s := f.document()
		if n := len(s.Batches); n != keepBatches || s.Batches[0].Rows != 11 || s.Batches[n-1].Rows != keepBatches+10 {
			t.Errorf("%d batches, from %+v", n, s.Batches[0])
		}
		if b := s.Batches[0]; b.Millis != 40 || b.Begin != 1 || b.Write != 30 || b.Letters != 2 || b.Commit != 7 || b.Worker != 1 || b.Dead != 2 || b.Retries != 1 {
			t.Errorf("%+v", b)
		}
		if s.Totals.Batches != keepBatches+10 || s.Totals.Rows != 60*61/2 || s.Totals.Dead != 120 {
			t.Errorf("totals %+v", s.Totals)
		}
		if len(s.Letters) != 1 || s.Letters[0].Count != 120 || s.Letters[0].Topic != "orders" || s.Letters[0].Code != "not_json" {
			t.Errorf("dead letters %+v", s.Letters)
		}
		for i := range 5000 { // names that anybody may choose
			r := report(now, 1)
			r.Result.Unasked[0].Field = fmt.Sprint("field ", i)
			f.metrics.Observe(r)
		}
		all := f.document().UnknownFields
		if len(all) != keepFields+1 || all[0].Field != "" || all[0].Count != 3*(5000-keepFields+1) || all[1] != (UnknownField{"public.orders", "extra", 180, all[1].Last}) {
			t.Errorf("%d unknown fields, the first %+v", len(all), all[:2])
		}
	})
}

func TestRates(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	after := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	commit := func(h *history, at time.Time, rows int64) {
		r := report(at, rows)
		h.add(&r)
	}

	t.Run("OnlyFullSecondsSinceTheStart", func(t *testing.T) {
		var h history
		commit(&h, after(0), 10)
		commit(&h, after(2), 20)
		commit(&h, after(2), 1)
		commit(&h, after(3), 99)
		if got := fmt.Sprint(h.rates(after(3), start)); got != "[10 0 21]" {
			t.Error(got)
		}
	})

	t.Run("ForgetsWhatIsOld", func(t *testing.T) {
		var h history
		commit(&h, after(0), 10)
		commit(&h, after(1), 11)
		rates := h.rates(after(keepSeconds), start)
		if len(rates) != keepSeconds-1 || rates[0] != 11 || rates[1] != 0 {
			t.Errorf("%d: %v", len(rates), rates[:3])
		}
		for _, later := range []int{keepSeconds + 1, 10 * keepSeconds} {
			for i, n := range h.rates(after(later), start) {
				if n != 0 {
					t.Errorf("after %d s, second %d: %d", later, i, n)
				}
			}
		}
	})
}
