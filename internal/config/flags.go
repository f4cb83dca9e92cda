package config

import (
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

// FromFlags makes the pipeline that the flags stand for: one sink a topic. Its errors name the flag.
func FromFlags(f Flags) (*Pipeline, error) {
	p := defaults()
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
	if problem := badURL(f.To); problem != "" {
		r.problem(nil, "--to %s", problem)
	}
	p.Postgres.URL = Secret(f.To)
	for i, k := range f.Key {
		if problem := badIdentifier(k); problem != "" {
			r.problem(nil, "--key %q %s", k, problem)
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
			r.problem(nil, "--topic %q %s", t, problem)
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
