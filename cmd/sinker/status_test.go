package main

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"sinker/internal/app"
	"sinker/internal/record"
)

func TestStatus(t *testing.T) {
	loaded := func(t *testing.T) *stage {
		s := newStage(t, ordersSink)
		s.produce(values(`{"id":1}`, `{"id":2}`, `nonsense`)...)
		s.load().want(t, exitOK, "3 records")
		s.produce(values(`{"id":3}`)...)
		return s
	}
	decode := func(t *testing.T, r result) (doc app.StatusReport) {
		t.Helper()
		if err := json.Unmarshal([]byte(r.out), &doc); err != nil || r.code != exitOK {
			t.Fatalf("exit code %d, %v\n%s%s", r.code, err, r.out, r.errors)
		}
		return doc
	}

	t.Run("PositionsTotalsAndLag", func(t *testing.T) {
		s := loaded(t)
		r := s.sinker("status", "-c", s.file)
		r.want(t, exitOK, "TOPIC   PARTITION  POSITION  END  LAG  CONSUMED  WRITTEN  FILTERED  DEAD  LAST RECORD")
		r.want(t, exitOK, "1 dead letter: SELECT topic, partition")
		doc := decode(t, s.sinker("status", "-c", s.file, "--json"))
		if len(doc.Partitions) != 3 || doc.KafkaError != "" || *doc.Totals.Lag != 1 || *doc.Totals.Letters != 1 ||
			doc.Totals.Consumed != 3 || doc.Totals.Written != 2 || doc.Totals.Dead != 1 || doc.Totals.Stopped != 0 {
			t.Errorf("%+v", doc)
		}
		for _, p := range doc.Partitions {
			if *p.Lag != *p.EndOffset-p.NextOffset || p.NextOffset > 0 && *p.RecordAge > 60 || p.MoveAge > 60 {
				t.Errorf("%+v", p)
			}
		}
	})

	t.Run("StoppedPartition", func(t *testing.T) {
		s := loaded(t)
		s.exec(`UPDATE sinker.offsets SET stopped = 'a hole [1, 2)', command = 'sinker offsets set …' WHERE partition = 1; UPDATE sinker.offsets SET stopped = 'no table', waiting = true WHERE partition = 2`)
		r := s.sinker("status", "-c", s.file)
		r.want(t, exitOK, "orders/1 is stopped at")
		r.want(t, exitOK, ": a hole [1, 2)\n    sinker offsets set …\n")
		r.want(t, exitOK, "orders/2 is waiting at")
		for i, line := range strings.Split(r.out, "\n")[1:4] {
			if state := []string{"reading", "stopped", "waiting"}[i]; !strings.HasSuffix(strings.TrimSpace(line), state) {
				t.Errorf("want %s: %s", state, line)
			}
		}
		if doc := decode(t, s.sinker("status", "-c", s.file, "--json")); doc.Totals.Stopped != 1 || doc.Totals.Waiting != 1 || doc.Partitions[1].State != record.Stopped || doc.Partitions[1].Command == "" || doc.Partitions[2].State != record.Waiting {
			t.Errorf("%+v", doc)
		}
	})

	t.Run("KafkaDown", func(t *testing.T) {
		s := loaded(t)
		s.kafka.Close()
		s.sinker("status", "-c", s.file).want(t, exitOK, "END and LAG are unknown where they show ?: ")
		if doc := decode(t, s.sinker("status", "-c", s.file, "--json")); doc.KafkaError == "" || doc.Totals.Lag != nil || doc.Partitions[0].EndOffset != nil || doc.Totals.Consumed != 3 {
			t.Errorf("%+v", doc)
		}
	})

	t.Run("KafkaSilent", func(t *testing.T) {
		s := loaded(t)
		l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		start := time.Now()
		s.sinker("status", "--to", s.url, "--brokers", l.Addr().String()).want(t, exitOK, "did not answer within 3s")
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
	})

	t.Run("TopicIsGone", func(t *testing.T) {
		s := loaded(t)
		s.exec(`INSERT INTO sinker.offsets (pipeline, topic, partition, topic_id, start_offset, next_offset) VALUES ('sinker', 'gone', 0, gen_random_uuid(), 0, 5)`)
		doc := decode(t, s.sinker("status", "-c", s.file, "--json"))
		if doc.KafkaError == "" || doc.Totals.Lag != nil || doc.Partitions[0].Topic != "gone" || doc.Partitions[0].Lag != nil || doc.Partitions[1].Lag == nil {
			t.Errorf("%+v", doc)
		}
	})

	t.Run("DatabaseAlone", func(t *testing.T) {
		s := loaded(t)
		s.sinker("status", "--to", s.url).want(t, exitOK, "no brokers are given")
		s.sinker("status", "--to", s.url, "--name", "other").want(t, exitOK, "these have: sinker")
	})

	t.Run("BadDays", func(t *testing.T) {
		s := newStage(t, ordersSink)
		s.sinker("status", "--to", "postgres://postgres@"+deadPort(t)+"/x").want(t, exitUnavailable, "connection refused")
		s.sinker("status", "--to", s.url).want(t, exitConfig, "run `sinker migrate up`")
		s.sinker("status", "--to", "postgres://u:geheim@:x").want(t, exitUsage, "--to has an invalid port")
		if r := s.sinker("status", "--to", "postgres://u:geheim@:x"); strings.Contains(r.errors, "geheim") {
			t.Errorf("a password in %s", r.errors)
		}
	})
}

func TestAgo(t *testing.T) {
	for seconds, want := range map[float64]string{0.4: "now", 5.9: "5 seconds ago", 119: "1 minute ago", 7300: "2 hours ago", 86400 * 3: "3 days ago"} {
		if got := ago(seconds); got != want {
			t.Errorf("%v s: %s, want %s", seconds, got, want)
		}
	}
}
