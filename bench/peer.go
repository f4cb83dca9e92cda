package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	peerRows = 1_000_000
	kills    = 5
	patience = 5 * time.Minute // without a new row, while a load is followed
)

// killed is what a load left that was killed while it ran.
type killed struct {
	Side       string  `json:"side"`
	Kills      int     `json:"kills"`
	Rows       int64   `json:"rows"` // in the table at the end
	Lost       int64   `json:"lost"`
	Duplicated int64   `json:"duplicated"`
	Resume     float64 `json:"seconds_to_resume"` // from a restart to the next new row: the longest of all
	Seconds    float64 `json:"seconds"`
}

// loader starts one process that loads the plan's topic into the plan's table. One that writes at least once may double
// records also when nobody kills it, at a rebalance for example: that is no reason to refuse its figures.
type loader struct {
	name        string
	atLeastOnce bool
	start       func(ctx context.Context, id string) (*process, error)
}

// runPeer measures Kafka Connect with Debezium's JDBC sink on the same topic and table, then kills it and sinker.
func runPeer(ctx context.Context, e *env, s *scenario) ([]result, error) {
	p, err := e.plan(ctx, s, orders(), e.size(peerRows))
	if err != nil {
		return nil, err
	}
	script, err := filepath.Abs("bench/peers/debezium.sh")
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Join(e.dir, "peers"))
	if err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, script, "fetch", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s fetch (it needs Maven and Java 17): %w\n%s", script, err, out)
	}
	debezium := loader{"Debezium JDBC sink", true, func(ctx context.Context, id string) (*process, error) {
		return startProcess(exec.CommandContext(ctx, script, append([]string{"run", dir, id}, p.debezium(e)...)...), "")
	}}
	sinker := loader{"sinker", false, func(ctx context.Context, id string) (*process, error) {
		return e.startSinker(ctx, pipeline{name: id, topic: p.topic.name, table: target, extra: p.data.lines()})
	}}
	all, err := e.alternate(ctx, []side{p.psql(e, `\copy`, p.copyCommand()), p.service(e, debezium), p.service(e, sinker)})
	if err != nil {
		return nil, err
	}
	results := []result{compare(s.name, p.rows, all)}
	for _, l := range []loader{debezium, sinker} {
		k, err := p.killing(ctx, e, l)
		if err != nil {
			return nil, err
		}
		results = append(results, result{Scenario: s.name, Rows: p.rows, Killed: k})
	}
	return results, nil
}

// debezium are the script's arguments that do not change from turn to turn.
func (p *plan) debezium(e *env) []string {
	u, _ := url.Parse(e.pg.url)
	jdbc := "jdbc:postgresql://" + u.Host + u.Path + "?reWriteBatchedInserts=true"
	password, _ := u.User.Password()
	if password == "" {
		password = "unused"
	}
	return []string{strings.Join(e.kafka.brokers, ","), p.topic.name, jdbc, u.User.Username(), password, target,
		p.data.connectSchema(), p.data.renames()}
}

// connectField is a field of a record as Kafka Connect describes it.
type connectField struct {
	Field    string          `json:"field,omitempty"`
	Type     string          `json:"type"`
	Name     string          `json:"name,omitempty"` // Debezium's name for what a string holds
	Optional bool            `json:"optional"`
	Fields   []*connectField `json:"fields,omitempty"`
}

// connectSchema is Kafka Connect's description of the records.
func (d *dataset) connectSchema() string {
	root := &connectField{Type: "struct"}
	for _, c := range d.columns {
		at := root
		for _, name := range c.path[:len(c.path)-1] {
			at = at.child(name)
		}
		f := connectType(c.typ)
		f.Field = c.path[len(c.path)-1]
		at.Fields = append(at.Fields, &f)
	}
	b, _ := json.Marshal(root)
	return string(b)
}

// child is the struct of that name within a struct.
func (f *connectField) child(name string) *connectField {
	for _, c := range f.Fields {
		if c.Field == name {
			return c
		}
	}
	f.Fields = append(f.Fields, &connectField{Field: name, Type: "struct"})
	return f.Fields[len(f.Fields)-1]
}

// connectType is the type that the sink writes into a column of a Postgres type.
func connectType(typ string) connectField {
	switch typ, _, _ = strings.Cut(typ, "("); typ {
	case "bigint":
		return connectField{Type: "int64"}
	case "integer":
		return connectField{Type: "int32"}
	case "boolean":
		return connectField{Type: "boolean"}
	case "double precision", "numeric":
		return connectField{Type: "double"}
	case "timestamptz":
		return connectField{Type: "string", Name: "io.debezium.time.ZonedTimestamp"}
	case "uuid":
		return connectField{Type: "string", Name: "io.debezium.data.Uuid"}
	}
	return connectField{Type: "string"}
}

// renames are the columns that are called otherwise than their flattened field.
func (d *dataset) renames() string {
	var list []string
	for _, c := range d.columns {
		if flat := strings.Join(c.path, "_"); flat != c.name {
			list = append(list, flat+":"+c.name)
		}
	}
	return strings.Join(list, ",")
}

// service is a side that runs until it is stopped. Its time is from its first commit to its last: a Java process needs
// some seconds to start, which says nothing of its rate.
func (p *plan) service(e *env, l loader) side {
	return side{l.name + ", as a service", func(ctx context.Context, n int) (measure, error) {
		if err := p.table(ctx, e); err != nil {
			return measure{}, err
		}
		var s *process
		m, u, err := e.measure(p.rows, func() (usage, error) {
			var err error
			if s, err = l.start(ctx, fmt.Sprintf("bench-%s-%d-%d", p.scenario, n, time.Now().UnixNano())); err != nil {
				return usage{}, err
			}
			followErr := p.follow(ctx, e, s, time.Second, func(rows int64) bool { return p.complete(ctx, e, &killed{}, rows) })
			seen := time.Now()
			if err := s.end(followErr); err != nil {
				return usage{}, err
			}
			return usage{start: s.started, end: seen, cpu: s.cpu()}, nil
		})
		if err != nil {
			return m, err
		}
		m.PeakRSS = s.rss
		if err := p.finish(ctx, e, &m, u); err != nil && !l.atLeastOnce {
			return m, err
		}
		if m.SteadyRate > 0 {
			m.RowsPerSecond = m.SteadyRate
		}
		return m, nil
	}}
}

// end stops the process after an error or without one. What a stopped Java process exits with is no error.
func (s *process) end(err error) error {
	stopErr := s.stop()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, s.log.tail(20))
	}
	var exit *exec.ExitError
	if errors.As(s.err, &exit) && exit.ExitCode() == 143 {
		return nil
	}
	return stopErr
}

// follow looks at the number of rows until enough says so.
func (p *plan) follow(ctx context.Context, e *env, s *process, every time.Duration, enough func(int64) bool) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last int64
	for moved := time.Now(); ; {
		var rows int64
		if err := e.pg.conn.QueryRow(ctx, "SELECT count(*) FROM "+target).Scan(&rows); err != nil {
			return err
		}
		if enough(rows) {
			return nil
		}
		if rows != last {
			last, moved = rows, time.Now()
		}
		if time.Since(moved) > patience {
			return fmt.Errorf("%d of %d rows, and none new for %v", rows, p.rows, patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return fmt.Errorf("it ended by itself after %d of %d rows: %w", rows, p.rows, s.err)
		case <-tick.C:
		}
	}
}

// killing loads with SIGKILLs at equal distances on the way, a new process after each, and counts what is in the
// table when every record has arrived.
func (p *plan) killing(ctx context.Context, e *env, l loader) (*killed, error) {
	if err := p.table(ctx, e); err != nil {
		return nil, err
	}
	e.say("  %s, killed %d times", l.name, kills)
	k := &killed{Side: l.name}
	id := fmt.Sprintf("bench-kill-%d", time.Now().UnixNano())
	start := time.Now()
	var before int64
	for i := 1; ; i++ {
		s, err := l.start(ctx, id)
		if err != nil {
			return nil, err
		}
		var resumed time.Duration
		goal := p.rows * int64(i) / (kills + 1)
		err = p.follow(ctx, e, s, 10*time.Millisecond, func(rows int64) bool {
			if rows > before && resumed == 0 {
				resumed = time.Since(s.started)
			}
			return i <= kills && rows >= goal || i > kills && p.complete(ctx, e, k, rows)
		})
		if i > 1 {
			k.Resume = max(k.Resume, resumed.Seconds())
		}
		if i > kills {
			k.Seconds = time.Since(start).Seconds()
			return k, s.end(err)
		}
		if err := errors.Join(err, s.kill()); err != nil {
			return nil, err
		}
		k.Kills++
		if err := e.pg.conn.QueryRow(ctx, "SELECT count(*) FROM "+target).Scan(&before); err != nil {
			return nil, err
		}
	}
}

// complete says whether every record is in the table, and fills in how often.
func (p *plan) complete(ctx context.Context, e *env, k *killed, rows int64) bool {
	if rows < p.rows {
		return false
	}
	var distinct int64
	if err := e.pg.conn.QueryRow(ctx, fmt.Sprintf("SELECT count(*), count(DISTINCT %s) FROM %s", p.data.key,
		target)).Scan(&k.Rows, &distinct); err != nil {
		return false // the next look at the table reports what is wrong
	}
	k.Lost, k.Duplicated = p.rows-distinct, k.Rows-distinct
	return distinct == p.rows
}
