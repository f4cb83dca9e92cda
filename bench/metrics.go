package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// counters is what /metrics says of all rows written and everything ever allocated.
type counters struct{ rows, bytes, objects float64 }

// allocations are the bytes and objects allocated per row, between the first look at the metrics that saw rows and the
// last. Both are 0 when the load was too short for two looks.
func (s *process) allocations() (bytes, objects float64) {
	rows := s.latest.rows - s.first.rows
	if s.first.rows == 0 || rows <= 0 {
		return 0, 0
	}
	return (s.latest.bytes - s.first.bytes) / rows, (s.latest.objects - s.first.objects) / rows
}

// scrape reads the counters of a /metrics page.
func scrape(url string) (counters, error) {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return counters{}, err
	}
	defer resp.Body.Close()
	return parseCounters(resp.Body)
}

// parseCounters sums the series of each counter in Prometheus' text format.
func parseCounters(r io.Reader) (counters, error) {
	var c counters
	s := bufio.NewScanner(r)
	for s.Scan() {
		i := strings.LastIndexByte(s.Text(), ' ')
		if i < 0 || s.Text()[0] == '#' {
			continue
		}
		name, _, _ := strings.Cut(s.Text()[:i], "{")
		to := map[string]*float64{"sinker_rows_written_total": &c.rows, "go_memstats_alloc_bytes_total": &c.bytes,
			"go_memstats_mallocs_total": &c.objects}[name]
		if to == nil {
			continue
		}
		v, err := strconv.ParseFloat(s.Text()[i+1:], 64)
		if err != nil {
			return counters{}, fmt.Errorf("metric %s: %w", name, err)
		}
		*to += v
	}
	return c, s.Err()
}
