package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sinker/internal/app"
	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestOneWordPerState has a service with a partition in each state, and asks everything that shows states.
func TestOneWordPerState(t *testing.T) {
	sinks := twoSinks + "  - { topic: notes, table: notes, columns: { id: id bigint } }\nerrors: { do: stop }\n"
	s := newScene(t, scene{sinks: sinks, prepare: func(s *stage) {
		s.exec(`CREATE TABLE notes (id bigint)`)
		if _, err := s.admin().CreateTopic(context.Background(), 1, 1, nil, "notes"); err != nil {
			t.Fatal(err)
		}
	}})
	svc := startService(t, s.file)
	s.eventually("items to be loaded", func() bool { return s.one(`SELECT count(*) FROM items`) == "3" })
	s.exec(`DROP TABLE items`)
	s.produceTo(&kgo.Record{Topic: "orders", Value: []byte(`nonsense`)}, &kgo.Record{Topic: "items", Value: []byte(`{"id":4}`)}, &kgo.Record{Topic: "notes", Value: []byte(`{"id":1}`)})
	s.eventually("the states to be written down", func() bool { return s.one(`SELECT count(*) FROM sinker.offsets WHERE stopped IS NOT NULL`) == "2" })
	s.eventually("notes to be loaded", func() bool { return s.one(`SELECT count(*) FROM notes`) == "1" })
	want := map[string]string{"notes": record.Reading, "items": record.Waiting, "orders": record.Stopped}

	s.eventually("the log", func() bool {
		out := svc.out.String()
		return strings.Contains(out, `"partition waiting"`) && strings.Contains(out, `"partition stopped"`)
	})
	var doc struct {
		Partitions []struct{ Topic, State, Reason, Command string }
	}
	code, body := svc.get("/status")
	if err := json.Unmarshal([]byte(body), &doc); err != nil || code != http.StatusOK || len(doc.Partitions) != 3 {
		t.Fatalf("%d %v %s", code, err, body)
	}
	for _, p := range doc.Partitions {
		if p.State != want[p.Topic] || (p.Reason == "") != (p.State == record.Reading) || p.State == record.Stopped && p.Command == "" {
			t.Errorf("/status: %+v, want %s", p, want[p.Topic])
		}
	}
	_, metrics := svc.get("/metrics")
	table := s.sinker("status", "-c", s.file).out
	var report app.StatusReport
	if err := json.Unmarshal([]byte(s.sinker("status", "-c", s.file, "--json").out), &report); err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Partitions {
		if p.State != want[p.Topic] {
			t.Errorf("status --json: %s is %s, want %s", p.Topic, p.State, want[p.Topic])
		}
	}
	for topic, state := range want {
		for _, other := range []string{record.Waiting, record.Stopped} {
			line := fmt.Sprintf(`sinker_partition_%s{partition="0",pipeline="sinker",topic="%s"} %d`, other, topic, map[bool]int{true: 1}[other == state])
			if !strings.Contains(metrics, line) {
				t.Errorf("/metrics has no %s", line)
			}
		}
		found := false
		for line := range strings.Lines(table) {
			f := strings.Fields(line)
			found = found || len(f) > 1 && f[0] == topic && f[len(f)-1] == state
		}
		if !found {
			t.Errorf("sinker status does not say that %s is %s:\n%s", topic, state, table)
		}
	}
	// The answer counts by worker and in all; which worker has which partition is the group's business.
	s.eventually("/readyz to count them", func() bool {
		_, ready := svc.get("/readyz")
		return strings.Contains(ready, "reading, ") && strings.Contains(ready, "waiting, ") && strings.Contains(ready, "stopped")
	})
}
