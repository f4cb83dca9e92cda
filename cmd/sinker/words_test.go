package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestFlagValues: every flag that is neither text nor yes-or-no refuses a word and says what it takes, and every duration
// and position refuses what lies below.
func TestFlagValues(t *testing.T) {
	s := newStage(t, ordersSink)
	tried := 0
	refused := func(want string, args ...string) {
		t.Helper()
		tried++
		if r := s.sinker(args...); r.code != exitUsage || !strings.Contains(r.errors, want) || strings.Contains(r.errors, "()") {
			t.Errorf("sinker %s exits %d without %q: %s", strings.Join(args, " "), r.code, want, r.errors)
		}
	}
	walkFlags(newRootCommand(), func(cmd *cobra.Command, f *pflag.Flag) {
		path := strings.Fields(strings.TrimPrefix(cmd.CommandPath(), "sinker "))
		kind := f.Value.Type()
		if strings.HasPrefix(kind, "string") {
			if f.Shorthand != "" {
				refused("-"+f.Shorthand+" needs a value\n", append(path, "-"+f.Shorthand)...)
			}
			refused("--"+f.Name+" needs a value", append(path, "--"+f.Name)...)
			return
		}
		refused("--"+f.Name+" takes ", append(path, "--"+f.Name+"=word")...)
		switch {
		case kind == "duration":
			for _, v := range []string{"0s", "-5s"} {
				refused("--"+f.Name+" must be longer than 0", append(path, whole(cmd, "--"+f.Name+"="+v)...)...)
			}
		case f.Name == "partition" || f.Name == "offset":
			refused("--"+f.Name+" must not be below 0", append(path, "-c", s.file, "--topic", "orders", "--"+f.Name+"=-3")...)
		}
	})
	t.Logf("%d command lines", tried)
}

// TestHelpOfFlags: the help names each flag's value by one word at most, and says what the flag does. A quotation in
// backquotes would be taken for the value's name.
func TestHelpOfFlags(t *testing.T) {
	walkFlags(newRootCommand(), func(cmd *cobra.Command, f *pflag.Flag) {
		if name, usage := pflag.UnquoteUsage(f); len(strings.Fields(name)) > 1 || strings.Contains(f.Usage, "`") || len(usage) < 5 {
			t.Errorf("%s --%s %s: %s", cmd.CommandPath(), f.Name, name, usage)
		}
	})
}

// whole adds what a flag of run needs to mean something.
func whole(cmd *cobra.Command, flag string) []string {
	if cmd.Flags().Lookup("until-end") == nil {
		return []string{flag}
	}
	return []string{flag, "--until-end", "--brokers", "127.0.0.1:1", "--topic", "orders", "--to", "postgres://127.0.0.1:1/x"}
}

// full is an output that takes nothing, as a full disk.
type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }

// TestOutputThatFails: a command whose output nobody gets does not end as if somebody had.
func TestOutputThatFails(t *testing.T) {
	s := newStage(t, ordersSink)
	s.produce(values(`{"id":1}`)...)
	s.load().want(t, exitOK, "1 record,")
	for _, line := range []string{"check -c FILE", "check --json -c FILE", "check --offline -c FILE", "check --print -c FILE", "status -c FILE", "status --json -c FILE", "verify -c FILE",
		"verify --json -c FILE", "offsets list -c FILE", "offsets list --json -c FILE", "run --until-end -c FILE", "run --until-end --json -c FILE",
		"migrate version -c FILE", "migrate version --json -c FILE", "migrate --print-sql", "version", "ready -c FILE"} {
		var stderr lockedBuffer
		if code := run(t.Context(), strings.Fields(strings.Replace(line, "FILE", s.file, 1)), full{}, &stderr); code != exitFailed || !strings.Contains(stderr.String(), errFull.Error()) {
			t.Errorf("sinker %s exits %d: %s", line, code, stderr.String())
		}
	}
}

// TestInterrupted: a command that is told to stop while it waits for Kafka's or Postgres' answer says so, and blames neither.
func TestInterrupted(t *testing.T) {
	s := newStage(t, ordersSink)
	s.migrated()
	stop := map[string]int{"run": exitOK, "run --until-end": exitFailed, "check": exitFailed, "offsets adopt --topic orders --partition 0": exitFailed}
	for line, want := range stop {
		s.interrupted(line, want, func(silent string) string { return strings.Replace(s.text(), s.brokers, silent, 1) })
	}
	for _, line := range []string{"status", "verify", "offsets list", "offsets set --topic orders --partition 0 --offset 0", "migrate up", "migrate version", "migrate down --to 1"} {
		stop[line] = exitFailed
	}
	for line, want := range stop {
		s.interrupted(line, want, func(silent string) string {
			return strings.Replace(s.text(), s.url, "postgres://"+silent+"/x?sslmode=disable", 1)
		})
	}
}

// text is the stage's configuration.
func (s *stage) text() string {
	s.t.Helper()
	text, err := os.ReadFile(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// interrupted runs a command against a server that takes connections and says nothing, and stops it once it has connected.
func (s *stage) interrupted(line string, want int, configuration func(silent string) string) {
	s.t.Helper()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer silent.Close()
	file := filepath.Join(s.t.TempDir(), "sinker.yaml")
	if err := os.WriteFile(file, []byte(configuration(silent.Addr().String())), 0o600); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	go func() {
		if c, err := silent.Accept(); err == nil {
			defer c.Close()
			cancel()
			<-s.t.Context().Done()
		}
	}()
	var stdout, stderr lockedBuffer
	code := run(ctx, append(strings.Fields(line), "-c", file), &stdout, &stderr)
	if said := stdout.String() + stderr.String(); code != want || want != exitOK && !strings.Contains(said, "told to stop") || strings.Contains(said, "cannot be reached") {
		s.t.Errorf("sinker %s exits %d, want %d: %s", line, code, want, said)
	}
}

// TestCheckOfRegularExpressions: check samples the topics that a regular expression finds, and says when it finds none.
func TestCheckOfRegularExpressions(t *testing.T) {
	s := newStage(t, "sinks: [{ topic: /^ord/, table: orders }]\n")
	s.exec(`CREATE TABLE orders (id int)`)
	s.produce(values(`{"id":"x"}`)...)
	s.sinker("check", "-c", s.file).want(t, exitConfig, "FAIL  topic orders           1 of a sample of 1 record cannot become rows")
	s.configure("sinks: [{ topic: /^none-/, table: orders }]\n")
	s.sinker("check", "-c", s.file).want(t, exitOK, "WARN  topics /^none-/        no topic matches yet")
}

// TestTopicThatMayNotBeSeen: Kafka leaves a topic that a user may not see out of its list; it is not called missing for that.
func TestTopicThatMayNotBeSeen(t *testing.T) {
	s := newStage(t, ordersSink)
	s.produce(values(`{"id":1}`)...)
	s.kafka.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		s.kafka.KeepControl()
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		host, port, _ := net.SplitHostPort(s.brokers)
		n, _ := strconv.Atoi(port)
		broker := kmsg.NewMetadataResponseBroker()
		broker.Host, broker.Port = host, int32(n)
		resp.Brokers = []kmsg.MetadataResponseBroker{broker}
		for _, asked := range req.(*kmsg.MetadataRequest).Topics {
			topic := kmsg.NewMetadataResponseTopic()
			topic.Topic, topic.ErrorCode = asked.Topic, kerr.TopicAuthorizationFailed.Code
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, true
	})
	for _, line := range []string{"check", "run", "run --until-end"} {
		r := s.sinker(append(strings.Fields(line), "-c", s.file)...)
		r.want(t, exitConfig, "kafka-acls --add --operation Read --operation Describe --topic orders")
		if strings.Contains(r.out+r.errors, "does not exist") {
			t.Errorf("%s calls it missing: %s%s", line, r.out, r.errors)
		}
	}
}
