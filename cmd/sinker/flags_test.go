package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagCase is a command line with the flag, and what it must lead to. PIPELINE in it stands for a file, and then for the
// flags that make the same pipeline: the case is tried with each.
type flagCase struct {
	line   string
	code   int
	text   string // what is printed then, on either output
	absent string // what is not
	sql    string // what is true in the database then
	done   string // or the test that holds the flag, where trying it here cannot be
}

// okOrDiffers is what verify may say after the cases of offsets set, which move positions by hand.
const okOrDiffers = -1

// described are the flags of run, check and verify that describe a pipeline. They are read by one function for all three;
// that what is read takes effect is asked of check --print.
func described(command string) map[string][]flagCase {
	cases := map[string][]flagCase{
		"brokers": {{line: "--brokers nowhere --topic orders", code: exitUsage, text: `"nowhere" is not host:port`}},
		"topic":   {{line: "--brokers BROKERS --topic a/b", code: exitUsage, text: `--topic "a/b" cannot be`}},
		"to":      {{line: "--brokers BROKERS --topic orders --to mysql://h/d", code: exitUsage, text: "--to is not a connection URL"}},
		"table":   {{line: "--brokers BROKERS --topic orders --to URL --table a.b.c", code: exitUsage, text: `--table "a.b.c": write`}},
		"key":     {{line: "--brokers BROKERS --topic orders --to URL --key id --key id", code: exitUsage, text: "is given twice"}},
		"name":    {{line: "--brokers BROKERS --topic orders --to URL --name a/b", code: exitUsage, text: "--name must be"}},
		"config":  {{line: "-c /nowhere/sinker.yaml", code: exitConfig, text: "cannot read it"}},
	}
	out := map[string][]flagCase{}
	for flag, list := range cases {
		for _, c := range list {
			c.line = command + " " + c.line
			out[command+" --"+flag] = append(out[command+" --"+flag], c)
		}
	}
	return out
}

// printed are what check --print says of the same flags, and the flag's own words.
var flagCases = map[string][]flagCase{
	"check --brokers": {{line: "check --print --brokers a:1,b:2 --topic t --to URL", text: "a:1"}},
	"check --topic":   {{line: "check --print --brokers a:1 --topic t1,t2 --to URL", text: "[t2]"}},
	"check --to":      {{line: "check --print --brokers a:1 --topic t --to postgres://here/", text: "postgres://here/"}},
	"check --table":   {{line: "check --print --brokers a:1 --topic t --to URL --table s.t", text: "table: s.t"}},
	"check --key":     {{line: "check --print --brokers a:1 --topic t --to URL --key k1", text: "k1"}},
	"check --create":  {{line: "check --print --brokers a:1 --topic t --to URL --create", text: "create: yes"}},
	"check --name":    {{line: "check --print --brokers a:1 --topic t --to URL --name n1", text: "name: n1"}},
	"check --config":  {{line: "check --print -c FILE", text: "name: sinker"}},
	"check --offline": {{line: "check --offline PIPELINE", text: "configuration", absent: "kafka"}},
	"check --print":   {{line: "check --print PIPELINE", text: "sinks:"}, {line: "check --print --offline PIPELINE", code: exitUsage, text: "--offline cannot be combined"}},
	"check --json":    {{line: "check --offline --json PIPELINE", text: `{"checks"`}, {line: "check --print --json PIPELINE", code: exitUsage, text: "--json cannot be combined"}},

	"run --create":      {{line: "run --until-end --brokers BROKERS --topic orders --to URL --table missing", code: exitConfig, text: "create: yes"}, {line: "run --until-end --brokers BROKERS --topic orders --to URL --table made --create --name made", text: "made"}},
	"run --migrate":     {{line: "run --until-end --migrate=false --brokers BROKERS --topic orders --to EMPTY", code: exitConfig, text: "sinker migrate up"}},
	"run --until-end":   {{line: "run --until-end PIPELINE", text: " records, "}},
	"run --wait":        {{line: "run --until-end --wait 5s PIPELINE", text: " records, "}, {line: "run --wait 5s PIPELINE", code: exitUsage, text: "--wait has no effect without --until-end"}},
	"run --json":        {{line: "run --until-end --json PIPELINE", text: `"records":`}, {line: "run --json PIPELINE", code: exitUsage, text: "--json has no effect without --until-end"}},
	"run --http":        {{line: "run --until-end --http 127.0.0.1:0 PIPELINE", text: `"http":"127.0.0.1:`}, {line: "run --http nowhere PIPELINE", code: exitUsage, text: "--http must be host:port"}},
	"run --with-parent": {{done: "TestDemo"}},
	"run --log-level":   {{line: "run --until-end --log-level error PIPELINE", text: " records, ", absent: "running"}, {line: "run --log-level loud PIPELINE", code: exitUsage, text: "--log-level"}},
	"run --log-format":  {{line: "run --until-end --log-format text PIPELINE", text: "level=INFO"}, {line: "run --log-format xml PIPELINE", code: exitUsage, text: "text, json or auto"}},

	"verify --json": {{line: "verify --json PIPELINE", code: okOrDiffers, text: `"differences":`}},

	"status --brokers": {{line: "status --to URL --brokers BROKERS", text: "orders", absent: "are unknown"}},
	"status --to":      {{line: "status --to URL", text: "no brokers are given"}},
	"status --name":    {{line: "status --to URL --name other", text: "pipeline other has no positions"}},
	"status --config":  {{line: "status -c FILE", text: "orders"}},
	"status --json":    {{line: "status --json -c FILE", text: `"partitions"`}, {line: "status --json --to URL", text: `"partitions"`}},

	"offsets list --to":     {{line: "offsets list --to URL", text: "orders"}},
	"offsets list --name":   {{line: "offsets list --to URL --name other", absent: "orders"}},
	"offsets list --config": {{line: "offsets list -c FILE", text: "orders"}},
	"offsets list --json":   {{line: "offsets list --json -c FILE", text: `"next_offset"`}, {line: "offsets list --json --to URL", text: `"next_offset"`}},

	"offsets set --config":       {{line: "offsets set -c /nowhere --topic orders --partition 0 --offset 0", code: exitConfig, text: "/nowhere"}},
	"offsets set --topic":        {{line: "offsets set -c FILE --topic other --partition 0 --offset 0", code: exitUsage, text: "topic other"}},
	"offsets set --partition":    {{line: "offsets set -c FILE --topic orders --partition 77 --offset 0", code: exitUsage, text: "partition 77"}},
	"offsets set --offset":       {{line: "offsets set -c FILE --topic orders --partition 2 --offset 12 --skip-records --beyond-end", text: "→ 12"}},
	"offsets set --note":         {{line: "offsets set -c FILE --topic orders --partition 2 --offset 12 --skip-records --beyond-end --note because", sql: `SELECT count(*) = 1 FROM sinker.audit WHERE note = 'because'`}},
	"offsets set --skip-records": {{line: "offsets set -c FILE --topic orders --partition 2 --offset 13 --beyond-end", code: exitUsage, text: "add --skip-records"}, {line: "offsets set -c FILE --topic orders --partition 2 --offset 11 --skip-records --beyond-end", code: exitUsage, text: "--skip-records is for moving a position on"}},
	"offsets set --beyond-end": {
		{line: "offsets set -c FILE --topic orders --partition 2 --offset 15 --skip-records", code: exitUsage, text: "beyond the end of the log"},
		{line: "offsets set -c FILE --topic orders --partition 2 --offset 12 --skip-records --beyond-end", text: "→ 12"}},
	"offsets set --write-again": {{line: "offsets set -c FILE --topic orders --partition 2 --offset 14 --write-again --beyond-end", code: exitUsage, text: "--write-again is for moving a position back"}, {line: "offsets set -c FILE --topic orders --partition 2 --offset 1 --write-again --skip-records", code: exitUsage, text: "cannot be combined"}, {line: "offsets set -c FILE --topic orders --partition 2 --offset 0 --write-again", text: "→ 0"}},

	"offsets adopt --config":    {{line: "offsets adopt -c /nowhere --topic orders --partition 0", code: exitConfig, text: "/nowhere"}},
	"offsets adopt --topic":     {{line: "offsets adopt -c FILE --topic other --partition 0", code: exitUnavailable, text: "topic other"}},
	"offsets adopt --partition": {{line: "offsets adopt -c FILE --topic orders --partition 77", code: exitUsage, text: "no partition 77"}},
	"offsets adopt --note":      {{line: "offsets adopt -c FILE --topic orders --partition 1 --note adopted", sql: `SELECT count(*) = 1 FROM sinker.audit WHERE note = 'adopted'`}},
	"offsets reset --config":    {{line: "offsets reset -c /nowhere --topic orders --partition 0", code: exitConfig, text: "/nowhere"}},
	"offsets reset --topic":     {{line: "offsets reset -c FILE --topic other --partition 0", code: exitUnavailable, text: "topic other"}},
	"offsets reset --partition": {{line: "offsets reset -c FILE --topic orders --partition 77", code: exitUsage, text: "no partition 77"}},
	"offsets reset --note":      {{line: "offsets reset -c FILE --topic orders --partition 1 --note begun", sql: `SELECT count(*) = 1 FROM sinker.audit WHERE note = 'begun'`}},

	"migrate --print-sql":       {{line: "migrate --print-sql", text: "CREATE TABLE sinker."}},
	"migrate --from":            {{line: "migrate --print-sql --from 1", text: "version 1 to"}, {line: "migrate --from 1", code: exitUsage, text: "--from has no effect without --print-sql"}},
	"migrate up --config":       {{line: "migrate up -c FILE", text: "already"}, {line: "migrate up -c FILE --to URL", code: exitUsage, text: "--to cannot be combined"}},
	"migrate up --to":           {{line: "migrate up --to URL", text: "already"}},
	"migrate up --log-level":    {{line: "migrate up --log-level loud --to URL", code: exitUsage, text: "--log-level"}},
	"migrate up --log-format":   {{line: "migrate up --log-format xml --to URL", code: exitUsage, text: "--log-format"}},
	"migrate down --config":     {{line: "migrate down --to 99 -c FILE", code: exitUsage, text: "there is no version 99"}},
	"migrate down --to":         {{line: "migrate down -c FILE", code: exitUsage, text: "needs --to"}, {line: "migrate down -c FILE --to 1", code: exitUsage, text: "loses:"}},
	"migrate down --yes":        {{done: "TestMigrateDown"}},
	"migrate down --log-level":  {{line: "migrate down --to 1 --log-level loud -c FILE", code: exitUsage, text: "--log-level"}},
	"migrate down --log-format": {{line: "migrate down --to 1 --log-format xml -c FILE", code: exitUsage, text: "--log-format"}},
	"migrate version --config":  {{line: "migrate version -c FILE", text: "this binary needs"}, {line: "migrate version -c FILE --to URL", code: exitUsage, text: "--to cannot be combined"}},
	"migrate version --to":      {{line: "migrate version --to EMPTY", text: "version 0"}},
	"migrate version --json":    {{line: "migrate version --json --to URL", text: `"wanted"`}},

	"ready --http":    {{line: "ready --http NOBODY", code: exitFailed, text: "no sinker answers at http://NOBODY/readyz"}, {line: "ready --http NOBODY -c FILE", code: exitUsage, text: "cannot be combined"}},
	"ready --config":  {{line: "ready -c FILE", text: "http is off"}},
	"ready --timeout": {{line: "ready --timeout 1ns --http NOBODY", code: exitFailed, text: "deadline"}},

	"demo --rows":     {{line: "demo --rows 0", code: exitUsage, text: "--rows"}, {line: "demo --rows 5 --in /nowhere", code: exitUsage, text: "--rows cannot be combined with --in"}},
	"demo --in":       {{line: "demo --in /nowhere", code: exitUsage, text: "/nowhere"}},
	"demo --kills":    {{line: "demo --kills -1", code: exitUsage, text: "--kills"}},
	"demo --workers":  {{line: "demo --workers 0", code: exitUsage, text: "--workers"}},
	"demo --postgres": {{line: "demo --postgres mysql://x", code: exitUsage, text: "--postgres is not a connection URL"}},
	"demo --seed":     {{line: "demo --seed 4 --kills 0", code: exitUsage, text: "--seed has no effect"}},
	"demo --keep":     {{done: "TestDemo"}},
	"demo --json":     {{done: "TestDemo"}},

	"produce-orders --brokers":    {{line: "produce-orders --check --brokers NOBODY --topic orders", code: exitUnavailable, text: "cannot be reached"}},
	"produce-orders --topic":      {{line: "produce-orders --check --brokers BROKERS --topic other", code: exitFailed, text: "topic other"}},
	"produce-orders --partitions": {{line: "produce-orders --partitions 0", code: exitUsage, text: "--partitions"}, {line: "produce-orders --check --partitions 3", code: exitUsage, text: "cannot be combined"}},
	"produce-orders --rate":       {{line: "produce-orders --rate -1", code: exitUsage, text: "--rate"}, {line: "produce-orders --check --rate 3", code: exitUsage, text: "cannot be combined"}},
	"produce-orders --count":      {{line: "produce-orders --brokers BROKERS --topic feed --count 3 --rate 0", text: `"produced":3`}, {line: "produce-orders --check --count 3", code: exitUsage, text: "cannot be combined"}},
	"produce-orders --check":      {{line: "produce-orders --check --brokers BROKERS --topic orders"}},
	"produce-orders --log-level":  {{line: "produce-orders --brokers BROKERS --topic feed --count 3 --rate 0 --log-level error", absent: "produced"}, {line: "produce-orders --check --log-level error", code: exitUsage, text: "cannot be combined"}},
	"produce-orders --log-format": {{line: "produce-orders --brokers BROKERS --topic feed --count 3 --rate 0 --log-format text", text: "produced=3"}, {line: "produce-orders --check --log-format text", code: exitUsage, text: "cannot be combined"}},
}

// TestFlags walks every flag of every command: it has cases above, in which it takes effect or is refused. Beside a file,
// what describes a pipeline is refused; an empty value is refused everywhere.
func TestFlags(t *testing.T) {
	s := newStage(t, ordersSink)
	records := values(`{"id":1}`, `{"id":2}`)
	for _, r := range records {
		r.Key = []byte("1") // of partition 0: the cases of `offsets` change the others, in any order
	}
	s.produce(records...)
	s.load().want(t, exitOK, "2 records")
	empty, nobody := newStage(t, ""), deadPort(t)
	fill := strings.NewReplacer("BROKERS", s.brokers, "URL", s.url, "EMPTY", empty.url, "FILE", s.file, "NOBODY", nobody)
	cases := flagCases
	for _, command := range []string{"run", "check", "verify"} {
		for flag, list := range described(command) {
			cases[flag] = append(slices.Clone(cases[flag]), list...)
		}
	}
	walked := map[string]bool{}
	try := func(c flagCase, line string) {
		line = fill.Replace(line)
		r := s.sinker(strings.Fields(line)...)
		text := strings.Replace(c.text, "NOBODY", nobody, 1)
		if r.code != c.code && (c.code != okOrDiffers || r.code != exitOK && r.code != exitDifference) || !strings.Contains(r.out+r.errors, text) || c.absent != "" && strings.Contains(r.out+r.errors, c.absent) {
			t.Errorf("sinker %s\nexits %d, want %d, with %q and without %q:\n%s%s", line, r.code, c.code, text, c.absent, r.out, r.errors)
		}
		if c.sql != "" && s.one(c.sql) != "true" {
			t.Errorf("sinker %s: not %s", line, c.sql)
		}
	}
	tried := 0
	walkFlags(newRootCommand(), func(cmd *cobra.Command, f *pflag.Flag) {
		path := strings.TrimPrefix(cmd.CommandPath(), "sinker ")
		name := path + " --" + f.Name
		walked[name] = true
		if len(cases[name]) == 0 {
			t.Errorf("sinker %s has no case: what does the flag do, with a file and without?", name)
		}
		for _, c := range cases[name] {
			if c.done != "" {
				continue
			}
			for _, pipeline := range pipelinesFor(c.line, name) {
				tried++
				try(c, strings.Replace(c.line, "PIPELINE", pipeline, 1))
			}
		}
		if slices.Contains(alone, f.Name) && cmd.Flags().Lookup("config") != nil && !strings.HasPrefix(path, "offsets ") && path != "migrate down" || f.Name == "name" {
			tried++
			value := map[string]string{"create": "--create", "key": "--key id", "brokers": "--brokers BROKERS", "to": "--to URL"}[f.Name]
			if value == "" {
				value = "--" + f.Name + " orders"
			}
			try(flagCase{code: exitUsage, text: "--" + f.Name + " cannot be combined with --config"}, path+" -c FILE "+value)
		}
		if kind := f.Value.Type(); kind == "string" || kind == "stringSlice" {
			tried++
			if r := s.sinker(append(strings.Fields(path), "--"+f.Name, "")...); r.code != exitUsage || !strings.Contains(r.errors, "--"+f.Name+" is empty") {
				t.Errorf("sinker %s '' exits %d: %s", name, r.code, r.errors)
			}
		}
	})
	for name := range cases {
		if !walked[name] {
			t.Errorf("there is no flag sinker %s", name)
		}
	}
	t.Logf("%d flags, %d command lines", len(walked), tried)
}

// alone are the flags that describe a pipeline, and so mean nothing beside a file.
var alone = []string{"brokers", "topic", "to", "table", "key", "create", "name"}

// pipelinesFor are the two ways to name a pipeline, where the case asks for both.
func pipelinesFor(line, name string) []string {
	if !strings.Contains(line, "PIPELINE") {
		return []string{""}
	}
	both := []string{"-c FILE", "--brokers BROKERS --topic orders --to URL --table orders --name byflags"}
	if strings.HasPrefix(name, "verify") {
		both[1] = "--brokers BROKERS --topic orders --to URL --table orders"
	}
	return both
}

func walkFlags(cmd *cobra.Command, visit func(*cobra.Command, *pflag.Flag)) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			visit(cmd, f)
		}
	})
	for _, c := range cmd.Commands() {
		walkFlags(c, visit)
	}
}
