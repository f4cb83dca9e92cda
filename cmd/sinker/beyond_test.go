package main

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestOffsetsSetBeyondTheEnd: a position that Kafka's log does not reach is refused with the end, and set when a flag says so.
func TestOffsetsSetBeyondTheEnd(t *testing.T) {
	s := newStage(t, ordersSink)
	for i := range 3 {
		s.produce(&kgo.Record{Partition: int32(i), Value: []byte(`{"id":1}`)}, &kgo.Record{Partition: int32(i), Value: []byte(`{"id":2}`)})
	}
	s.load().want(t, exitOK, "6 records")
	end := s.one(`SELECT next_offset FROM sinker.offsets WHERE partition = 0`)
	set := func(offset string, more ...string) result {
		return s.sinker(append([]string{"offsets", "set", "-c", s.file, "--topic", "orders", "--partition", "0", "--offset", offset}, more...)...)
	}
	position := func(want string) {
		t.Helper()
		if got := s.one(`SELECT next_offset FROM sinker.offsets WHERE partition = 0`); got != want {
			t.Errorf("the position is %s, want %s", got, want)
		}
	}
	for _, flags := range [][]string{nil, {"--skip-records"}} {
		set("1000", flags...).want(t, exitUsage, "beyond the end of the log, "+end)
		position(end)
	}
	set("1000", "--skip-records", "--beyond-end").want(t, exitOK, "→ 1000")
	position("1000")
	set(end, "--write-again").want(t, exitOK, "→ "+end) // the end itself is a position
	position(end)
	set("0", "--write-again").want(t, exitOK, "→ 0")

	s.kafka.Close()
	r := set("1", "--skip-records")
	if r.code != exitUnavailable || !strings.Contains(r.errors, "--beyond-end") {
		t.Errorf("without Kafka it exits %d: %s", r.code, r.errors)
	}
	position("0")
	set("1", "--skip-records", "--beyond-end").want(t, exitOK, "→ 1")
	position("1")
}

// TestUnknownPipeline: a name that has no positions is told with the names that have, and with the near one.
func TestUnknownPipeline(t *testing.T) {
	s := newStage(t, "name: orders-to-pg\n"+ordersSink)
	s.produce(values(`{"id":1}`)...)
	s.load().want(t, exitOK, "1 record,")
	for _, command := range [][]string{{"status"}, {"offsets", "list"}} {
		r := s.sinker(append(command, "--to", s.url, "--name", "orders-to-gp")...)
		r.want(t, exitOK, "pipeline orders-to-gp has no positions")
		r.want(t, exitOK, "did you mean orders-to-pg?")
		r = s.sinker(append(command, "--to", s.url, "--name", "zzz")...)
		if r.want(t, exitOK, "these have: orders-to-pg"); strings.Contains(r.out, "did you mean") {
			t.Errorf("%v: %s", command, r.out)
		}
		r = s.sinker(append(command, "--to", s.url, "--name", "orders-to-pg")...)
		if r.code != exitOK || strings.Contains(r.out, "has no positions") {
			t.Errorf("%v of the right name: %s", command, r.out)
		}
	}
	if r := s.sinker("offsets", "list", "--to", s.url, "--name", "zzz", "--json"); r.code != exitOK || strings.TrimSpace(r.out) != "[]" {
		t.Errorf("in JSON: exit %d, %q", r.code, r.out)
	}
}

// TestUntilEndNamesWhatIsMissing: a bounded run that loaded less than the topic shows says why: dead letters, and an open
// transaction.
func TestUntilEndNamesWhatIsMissing(t *testing.T) {
	s := newStage(t, ordersSink)
	s.produce(values(`{"id":1}`, `nonsense`)...)
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.brokers), kgo.TransactionalID("open"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: 2, Value: []byte(`{"id":7}`)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	r := s.load()
	r.want(t, exitOK, "2 records, 1 dead letter,")
	r.want(t, exitOK, "FROM sinker.dead_letters WHERE pipeline = 'sinker'")
	r.want(t, exitOK, "orders/2: a transaction in Kafka was open at the start, and 4 offsets from ")
	r.want(t, exitOK, "find-hanging")
	s.load("--json").want(t, exitOK, `"held_back":[{"topic":"orders","partition":2,`)
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if r = s.load(); strings.Contains(r.out, "find-hanging") || strings.Contains(r.out, "dead_letters") {
		t.Errorf("nothing is missing: %s", r.out)
	}
	r.want(t, exitOK, "4 records, 0 dead letters")
}

// TestWrongPorts: each server's address given for the other is a mistake in the configuration that the error names.
func TestWrongPorts(t *testing.T) {
	s := newStage(t, ordersSink)
	s.exec(`CREATE TABLE orders (id bigint)`)
	at := strings.SplitN(strings.SplitN(s.url, "@", 2)[1], "/", 2)[0]
	for _, command := range []string{"run --until-end", "run", "check"} {
		flags := append(strings.Fields(command), "--topic", "orders")
		s.sinker(append(flags, "--brokers", at, "--to", s.url)...).want(t, exitConfig, at+" is a Postgres server")
		s.sinker(append(flags, "--brokers", s.brokers, "--to", "postgres://u@"+s.brokers+"/x")...).want(t, exitConfig, s.brokers+" is a Kafka broker")
	}
	for _, command := range []string{"status", "offsets list"} {
		s.sinker(append(strings.Fields(command), "--to", "postgres://u@"+s.brokers+"/x")...).want(t, exitConfig, s.brokers+" is a Kafka broker")
	}
}

// TestCheckLooksAtThePosition: check reads the records that run would read next, not only the last ones.
func TestCheckLooksAtThePosition(t *testing.T) {
	s := newStage(t, ordersSink)
	one := func(v string) *kgo.Record { return &kgo.Record{Key: []byte("k"), Value: []byte(v)} }
	s.produce(one(`{"id":1}`))
	s.load().want(t, exitOK, "1 record,")
	bad := make([]*kgo.Record, 5)
	for i := range bad {
		bad[i] = one(`nonsense`)
	}
	s.produce(bad...)
	good := make([]*kgo.Record, 400)
	for i := range good {
		good[i] = one(`{"id":2}`)
	}
	s.produce(good...)
	r := s.sinker("check", "-c", s.file)
	r.want(t, exitOK, "5 of ")
	r.want(t, exitOK, "next to be read")
	s.load().want(t, exitOK, "405 records, 5 dead letters")
	if r := s.sinker("check", "-c", s.file); strings.Contains(r.out, "cannot become rows") {
		t.Errorf("what has been read is not read next: %s", r.out)
	}
}
