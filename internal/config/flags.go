package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Flags are a pipeline without a file: `sinker run --brokers … --topic … --to …`.
type Flags struct {
	Brokers []string
	Topics  []string
	To      string
	Table   string
	Key     []string
	Create  bool
	Name    string
}

// FromFlags makes the pipeline that the flags stand for: one sink per topic. ${VAR} in a flag is replaced as in a file.
// Without --to, DATABASE_URL is read. Its errors name the flag.
func FromFlags(f Flags, lookup func(string) (string, bool)) (*Pipeline, error) {
	p := defaults()
	f, err := f.expanded(lookup)
	if err != nil {
		return nil, err
	}
	r := &reader{file: "command line"}
	if f.Name != "" {
		p.Name = f.Name
	}
	if !pipelineName.MatchString(p.Name) {
		r.problem(nil, "--name must be up to 200 letters, digits, dots, dashes and underscores")
	}
	for _, b := range f.Brokers {
		b = strings.TrimSpace(b)
		if problem := badBroker(b); problem != "" {
			r.problem(nil, "--brokers: %s %s", shownText(b), problem)
		}
		p.Kafka.Brokers = append(p.Kafka.Brokers, b)
	}
	if len(f.Brokers) == 0 {
		r.problem(nil, "--brokers is missing: host:port of at least one Kafka broker")
	}
	if p.Postgres.URL, err = DatabaseFlag(f.To, lookup); err != nil {
		r.problem(nil, "%v", err)
	}
	for i, k := range f.Key {
		if problem := badIdentifier(k); problem != "" {
			r.problem(nil, "--key %s %s", shownText(k), problem)
		} else if slices.Contains(f.Key[:i], k) {
			r.problem(nil, "--key %q is given twice", k)
		}
	}
	r.flagSinks(f, p)
	if len(r.problems) > 0 {
		return nil, &Errors{r.problems}
	}
	p.Batch.complete(p.Sinks)
	return p, nil
}

func (r *reader) flagSinks(f Flags, p *Pipeline) {
	if len(f.Topics) == 0 {
		r.problem(nil, "--topic is missing")
	}
	if f.Table != "" && len(f.Topics) > 1 {
		r.problem(nil, "--table goes with one --topic; for several write a sinker.yaml")
		return
	}
	for i, t := range f.Topics {
		s := Sink{Format: "json", Create: f.Create}
		s.Rule.Key = f.Key
		problem := s.addTopic(t, 1)
		if slices.Contains(f.Topics[:i], t) {
			problem = "is given twice"
		}
		if problem != "" {
			r.problem(nil, "--topic %s %s", shownText(t), problem)
			continue
		}
		switch problem := badIdentifier(t); {
		case f.Table != "":
			if err := s.setTable(f.Table); err != nil {
				r.problem(nil, "--table: %v", err)
			}
		case s.Regex:
			r.problem(nil, "--table is missing: a regular expression has no default")
		case problem != "":
			r.problem(nil, "--table is missing, and the topic's name can not be one: it %s", problem)
		default:
			s.Schema, s.Table = "public", t
		}
		p.Sinks = append(p.Sinks, s)
	}
}

// expanded replaces the variables in every flag but --to, which database reads.
func (f Flags) expanded(lookup func(string) (string, bool)) (Flags, error) {
	r := &reader{file: "command line"}
	one := func(flag string, dst *string) {
		s, err := expand(*dst, lookup)
		if err != nil {
			r.problem(nil, "--%s: %v", flag, err)
			return
		}
		*dst = s
	}
	list := func(flag string, dst *[]string) {
		*dst = slices.Clone(*dst)
		for i := range *dst {
			one(flag, &(*dst)[i])
		}
	}
	list("brokers", &f.Brokers)
	list("topic", &f.Topics)
	list("key", &f.Key)
	one("table", &f.Table)
	one("name", &f.Name)
	if len(r.problems) > 0 {
		return f, &Errors{r.problems}
	}
	return f, nil
}

// DatabaseFlag reads a command's --to, in which ${VAR} is replaced. Where it is empty it reads DATABASE_URL, so that no
// password has to stand on a command line, which every user of the machine can see. Its error holds no part of either.
func DatabaseFlag(to string, lookup func(string) (string, bool)) (Secret, error) {
	source, text := "--to", to
	if to == "" {
		source = "DATABASE_URL"
		if text, _ = lookup(source); text == "" {
			return "", fmt.Errorf("--to is missing, and DATABASE_URL is not set: set it, or give --to '${NAME}' with the name of another variable")
		}
		text = strings.ReplaceAll(text, "$", "$$") // what a variable holds is not read again
	}
	url, err := DatabaseURL(text, lookup)
	if err != nil {
		return "", fmt.Errorf("%s %w", source, err)
	}
	return url, nil
}

// DatabaseOnly makes a pipeline of a name and a database, for commands that need no topics and may do without brokers.
func DatabaseOnly(f Flags, lookup func(string) (string, bool)) (*Pipeline, error) {
	f, err := f.expanded(lookup)
	if err != nil {
		return nil, err
	}
	p := defaults()
	if f.Name != "" {
		p.Name = f.Name
	}
	if !pipelineName.MatchString(p.Name) {
		return nil, errors.New("--name must be up to 200 letters, digits, dots, dashes and underscores")
	}
	for _, b := range f.Brokers {
		if problem := badBroker(b); problem != "" {
			return nil, fmt.Errorf("--brokers: %s %s", shownText(b), problem)
		}
	}
	p.Kafka.Brokers = f.Brokers
	p.Postgres.URL, err = DatabaseFlag(f.To, lookup)
	return p, err
}
