package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"sinker/internal/table"
)

// report is what the program writes as JSON, and prints the most of.
type report struct {
	At          time.Time         `json:"at"`
	CPUs        int               `json:"cpus"`
	CPU         string            `json:"cpu"`
	System      string            `json:"system"`
	Sinker      string            `json:"sinker"`
	With        []string          `json:"with,omitempty"` // lines of its configuration that are not defaults
	Kafka       string            `json:"kafka"`
	Compression string            `json:"compression"`
	Postgres    string            `json:"postgres"`
	Settings    map[string]string `json:"settings"`
	Fsync       percentiles       `json:"fsync_ms"`
	Repeat      int               `json:"repeat"`
	Scenarios   []result          `json:"scenarios"`
}

// newReport describes the machine and the servers.
func (e *env) newReport(ctx context.Context) (*report, error) {
	r := &report{At: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), CPU: cpuModel(),
		System: runtime.GOOS + "/" + runtime.GOARCH + " " + kernel(), Sinker: e.version(ctx), With: e.with,
		Kafka: e.kafka.how, Compression: e.compression, Postgres: e.pg.how, Settings: e.pg.settings(ctx), Repeat: e.repeat}
	var err error
	if e.pg.dataDir != "" {
		r.Fsync, err = fsyncTime(e.pg.dataDir)
	}
	return r, err
}

// write saves the report as JSON.
func (r *report) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot write the results: %w", err)
	}
	return nil
}

// print writes the report for people.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s  %d CPUs, %s, %s\n", r.At.Format("2006-01-02 15:04 MST"), r.CPUs, r.CPU, r.System)
	with := "default settings"
	if len(r.With) > 0 {
		with = "with " + strings.Join(r.With, ", ")
	}
	fmt.Fprintf(w, "%s, %s; Kafka %s, compression %s\n", r.Sinker, with, r.Kafka, r.Compression)
	var set []string
	for _, name := range shown {
		set = append(set, name+"="+r.Settings[name])
	}
	fmt.Fprintf(w, "Postgres %s: %s\n", r.Postgres, strings.Join(set, " "))
	fmt.Fprintf(w, "fdatasync of 8 kB: p50 %.2f ms, p99 %.2f ms. Medians of %d turns; a ratio is the median of the "+
		"turns' ratios.\n\n", r.Fsync.P50, r.Fsync.P99, r.Repeat)
	r.printLoads(w)
	r.printLatencies(w)
	r.printSmall(w)
	r.printKilled(w)
}

func (r *report) printLoads(w io.Writer) {
	t := table.NewRight(w, "scenario", "rows", "side", "rows/s", "ratio", "low–high", "seconds", "to first",
		"first–last", "last–exit", "commits", "client µs", "Postgres µs", "broker µs", "other cores", "RSS MB", "B/row",
		"allocs/row")
	some := false
	for _, s := range r.Scenarios {
		if s.Latency != nil || s.Small != nil || s.Killed != nil {
			continue
		}
		some = true
		for _, side := range append(s.References[:len(s.References):len(s.References)], s.Sinker) {
			s.row(t, side)
		}
	}
	if some {
		t.Flush()
	}
}

// row is one side of a scenario's loads.
func (s *result) row(t *table.Table, side turns) {
	ratio, spread := "", ""
	switch side.Name {
	case s.Sinker.Name:
		ratio, spread = digits2(s.Ratio), digits2(s.RatioLow)+"–"+digits2(s.RatioHigh)
	case s.Reference:
		ratio = "1"
	}
	m := side.Median
	t.Row(s.Scenario, s.Rows, side.Name, digits0(m.RowsPerSecond), ratio, spread, digits2(m.Seconds), digits2(m.ToFirst),
		digits2(m.FirstToLast), digits2(m.ToExit), m.Commits, micros(m.ClientCPU), micros(m.PostgresCPU), micros(m.BrokerCPU),
		digits2(m.OtherCores), measured("%.0f", float64(m.PeakRSS)/1e6), measured("%.1f", m.AllocBytes),
		measured("%.3f", m.Allocs))
}

func (r *report) printLatencies(w io.Writer) {
	t := table.NewRight(w, "latency, ms", "records", "visible p50", "p99", "p99.9", "ack p50", "p99", "fsync p50", "p99",
		"look every", "commits", "sinker cores", "RSS MB")
	some := false
	for _, s := range r.Scenarios {
		l := s.Latency
		if l == nil {
			continue
		}
		some = true
		t.Row(fmt.Sprintf("%d/s", l.Rate), l.Records, digits1(l.Visible.P50), digits1(l.Visible.P99), digits1(l.Visible.P999),
			digits1(l.Ack.P50), digits1(l.Ack.P99), digits2(l.Fsync.P50), digits2(l.Fsync.P99), digits2(l.Poll), l.Commits,
			digits2(l.SinkerCPU),
			digits0(float64(l.PeakRSS)/1e6))
	}
	if some {
		fmt.Fprintln(w)
		t.Flush()
	}
}

func (r *report) printKilled(w io.Writer) {
	t := table.NewRight(w, "killed", "times", "records", "rows", "lost", "duplicated", "seconds to resume", "seconds")
	some := false
	for _, s := range r.Scenarios {
		k := s.Killed
		if k == nil {
			continue
		}
		some = true
		t.Row(k.Side, k.Kills, s.Rows, k.Rows, k.Lost, k.Duplicated, digits1(k.Resume), digits1(k.Seconds))
	}
	if some {
		fmt.Fprintln(w)
		t.Flush()
	}
}

// digits0, digits1 and digits2 print a number with that many digits after the point.
func digits0(v float64) string { return fmt.Sprintf("%.0f", v) }
func digits1(v float64) string { return fmt.Sprintf("%.1f", v) }
func digits2(v float64) string { return fmt.Sprintf("%.2f", v) }

// quickLine is the last line of -quick, for scripts.
func (r *report) quickLine() string {
	s := r.Scenarios[0]
	return fmt.Sprintf("append_ratio=%.3f cpu_us_per_row=%.3f rss_mb=%.0f", s.Ratio, s.Sinker.Median.ClientCPU,
		float64(s.Sinker.Median.PeakRSS)/1e6)
}

// micros prints microseconds, of which -1 means that nobody knows.
func micros(v float64) string {
	if v < 0 {
		return "?"
	}
	return digits2(v)
}

// measured prints a number, and nothing for 0, which means that it was not measured.
func measured(format string, v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(format, v)
}

// cpuModel is the processor's name, where Linux tells it.
func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// kernel is the kernel's release, where Linux tells it.
func kernel() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(b))
}
