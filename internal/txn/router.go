package txn

import (
	"slices"

	"sinker/internal/format"
	"sinker/internal/transform"
)

// router says which tables a record is for: by its topic, which sinks have it, and by each of its
// changes, which of a sink's tables (transform.Change.Table). A sink's tables are a family: the
// first is the sink's own, Sink.Table, and the rest are those of Sink.Tables. They are written
// together, so that a record has effects in all its tables or in none.
type router struct {
	targets []*target
	topics  map[string]*route
}

// route is where a topic's records go, as indexes of targets.
type route struct {
	sinks  []int // the first table of each sink that takes them
	tables []int // all tables of these
}

// newRouter makes the targets of the sinks.
func newRouter(sinks []Sink) *router {
	r := &router{topics: map[string]*route{}}
	for i := range sinks {
		first := r.add(&sinks[i])
		for _, to := range sinks[i].Tables {
			sink := sinks[i]
			sink.Schema, sink.Table, sink.Tables = to.Schema, to.Table, nil
			t := r.add(&sink)
			t.family, t.name = first.index, to.Name
			t.format, t.formatErr = first.format, first.formatErr
			first.others = append(first.others, t)
		}
		if len(first.others) > 0 {
			first.mode = family{first.mode}
		}
	}
	return r
}

func (r *router) add(sink *Sink) *target {
	t := &target{sink: sink, index: len(r.targets), family: len(r.targets), mode: modeOf(&sink.Rule)}
	t.format, t.formatErr = format.New(sink.Rule.Format, format.Options{MaxDepth: sink.Rule.MaxDepth})
	r.targets = append(r.targets, t)
	return t
}

// of returns where the topic's records go. It is the caller's to read only.
func (r *router) of(topic string) *route {
	to, ok := r.topics[topic]
	if !ok {
		to = &route{}
		for i, t := range r.targets {
			if !t.sink.Wants(topic) {
				continue
			}
			to.tables = append(to.tables, i)
			if t.family == i {
				to.sinks = append(to.sinks, i)
			}
		}
		r.topics[topic] = to
	}
	return to
}

// takes says whether any of the topic's records may be for the target.
func (r *router) takes(topic string, target int) bool {
	return slices.Contains(r.of(topic).tables, target)
}

// to returns the table of a family that a change names, or nil if there is none.
func (t *target) to(name string) *target {
	if name == "" {
		return t
	}
	for _, other := range t.others {
		if other.name == name {
			return other
		}
	}
	return nil
}

// newEncoder makes the table's encoder, which finds those of the family's other tables by name.
func (t *target) newEncoder() {
	t.encoder, t.shaped = t.plan.NewEncoder(t.format), shaped{}
	if len(t.others) > 0 {
		t.encoder.RouteBy(func(name string) *transform.Encoder {
			if to := t.to(name); to != nil {
				return to.encoder
			}
			return nil
		})
	}
}
