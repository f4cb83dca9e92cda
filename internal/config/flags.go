package config

import "strings"

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

// FromFlags makes the pipeline that the flags stand for. Its errors name the flag.
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
		if problem := badBroker(b); problem != "" {
			r.problem(nil, "--brokers: %q %s", b, problem)
		}
	}
	if len(f.Brokers) == 0 {
		r.problem(nil, "--brokers is missing: host:port of at least one Kafka broker")
	}
	if problem := badURL(f.To); problem != "" {
		r.problem(nil, "--to %s", problem)
	}
	p.Kafka.Brokers, p.Postgres.URL = f.Brokers, Secret(f.To)
	r.flagSinks(f, p)
	if len(r.problems) > 0 {
		return nil, &Errors{r.problems}
	}
	return p, nil
}

func (r *reader) flagSinks(f Flags, p *Pipeline) {
	if len(f.Topics) == 0 {
		r.problem(nil, "--topic is missing")
	}
	if f.Table != "" && len(f.Topics) > 1 {
		r.problem(nil, "--table goes with one --topic; for several tables write a sinker.yaml")
		return
	}
	for _, t := range f.Topics {
		s := Sink{Format: "json", Topics: []string{t}, Create: f.Create, Schema: "public", Table: t}
		s.Rule.Key = f.Key
		if !topicName.MatchString(t) {
			r.problem(nil, "--topic %q can not be a topic's name%s", t, map[bool]string{true: "; regular expressions need a sinker.yaml"}[strings.HasPrefix(t, "/")])
			continue
		}
		if f.Table != "" {
			parts, err := splitName(f.Table)
			if err != nil {
				r.problem(nil, "--table: %v", err)
				continue
			}
			s.Table = parts[len(parts)-1]
			if len(parts) == 2 {
				s.Schema = parts[0]
			}
		} else if problem := badIdentifier(t); problem != "" {
			r.problem(nil, "--table is missing, and the topic's name can not be one: it %s", problem)
		}
		p.Sinks = append(p.Sinks, s)
	}
}
