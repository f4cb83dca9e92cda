package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
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
	r := &report{At: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), CPU: cpuModel(), System: runtime.GOOS + "/" + runtime.GOARCH + " " + kernel(),
		Sinker: e.version(ctx), With: e.with, Kafka: e.kafka.how, Compression: e.compression, Postgres: e.pg.how, Settings: e.pg.settings(ctx), Repeat: e.repeat}
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
	fmt.Fprintf(w, "fdatasync of 8 kB: p50 %.2f ms, p99 %.2f ms. Medians of %d turns; a ratio is the median of the turns' ratios.\n\n", r.Fsync.P50, r.Fsync.P99, r.Repeat)
	r.printLoads(w)
	r.printLatencies(w)
	r.printSmall(w)
	r.printKilled(w)
}

func (r *report) printLoads(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	lines := 0
	for _, s := range r.Scenarios {
		if s.Latency != nil || s.Small != nil || s.Killed != nil {
			continue
		}
		if lines == 0 {
			fmt.Fprintln(t, "scenario\trows\tside\trows/s\tratio\tlow–high\tseconds\tto first\tfirst–last\tlast–exit\tcommits\tclient µs\tPostgres µs\tbroker µs\tother cores\tRSS MB\tB/row\tallocs/row\t")
		}
		lines++
		for _, side := range append(s.References[:len(s.References):len(s.References)], s.Sinker) {
			ratio := "\t"
			switch side.Name {
			case s.Sinker.Name:
				ratio = fmt.Sprintf("%.2f\t%.2f–%.2f", s.Ratio, s.RatioLow, s.RatioHigh)
			case s.Reference:
				ratio = "1\t"
			}
			m := side.Median
			fmt.Fprintf(t, "%s\t%d\t%s\t%.0f\t%s\t%.2f\t%.2f\t%.2f\t%.2f\t%d\t%s\t%s\t%s\t%.2f\t%s\t%s\t%s\t\n", s.Scenario, s.Rows, side.Name, m.RowsPerSecond, ratio,
				m.Seconds, m.ToFirst, m.FirstToLast, m.ToExit, m.Commits, micros(m.ClientCPU), micros(m.PostgresCPU), micros(m.BrokerCPU), m.OtherCores,
				some("%.0f", float64(m.PeakRSS)/1e6), some("%.1f", m.AllocBytes), some("%.3f", m.Allocs))
		}
	}
	t.Flush()
}

func (r *report) printLatencies(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	lines := 0
	for _, s := range r.Scenarios {
		l := s.Latency
		if l == nil {
			continue
		}
		if lines == 0 {
			fmt.Fprintln(t, "\nlatency, ms\trecords\tvisible p50\tp99\tp99.9\tack p50\tp99\tfsync p50\tp99\tlook every\tcommits\tsinker cores\tRSS MB\t")
		}
		lines++
		fmt.Fprintf(t, "%d/s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t%.2f\t%.2f\t%d\t%.2f\t%.0f\t\n", l.Rate, l.Records, l.Visible.P50, l.Visible.P99, l.Visible.P999,
			l.Ack.P50, l.Ack.P99, l.Fsync.P50, l.Fsync.P99, l.Poll, l.Commits, l.SinkerCPU, float64(l.PeakRSS)/1e6)
	}
	t.Flush()
}

func (r *report) printKilled(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	lines := 0
	for _, s := range r.Scenarios {
		k := s.Killed
		if k == nil {
			continue
		}
		if lines == 0 {
			fmt.Fprintln(t, "\nkilled\ttimes\trecords\trows\tlost\tduplicated\tseconds to resume\tseconds\t")
		}
		lines++
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t\n", k.Side, k.Kills, s.Rows, k.Rows, k.Lost, k.Duplicated, k.Resume, k.Seconds)
	}
	t.Flush()
}

// quickLine is the last line of -quick, for scripts.
func (r *report) quickLine() string {
	s := r.Scenarios[0]
	return fmt.Sprintf("append_ratio=%.3f cpu_us_per_row=%.3f rss_mb=%.0f", s.Ratio, s.Sinker.Median.ClientCPU, float64(s.Sinker.Median.PeakRSS)/1e6)
}

// micros prints microseconds, of which -1 means that nobody knows.
func micros(v float64) string {
	if v < 0 {
		return "?"
	}
	return fmt.Sprintf("%.2f", v)
}

// some prints a number, and nothing for 0, which means that it was not measured.
func some(format string, v float64) string {
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
