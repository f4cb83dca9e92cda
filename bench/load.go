package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// target is the table name of every load.
const target = "bench.target"

// plan is a load that several sides do in turns.
type plan struct {
	scenario string
	data     *dataset
	rows     int64
	topic    *topic
	file     string   // the rows as binary COPY
	keyed    bool     // the table has its primary key, and sinker upserts by it
	before   []string // SQL that fills the table before every turn
	want     content
}

// plan prepares the topic and the reference file of a load.
func (e *env) plan(ctx context.Context, s *scenario, d *dataset, rows int64) (*plan, error) {
	p := &plan{scenario: s.name, data: d, rows: rows}
	var err error
	if p.file, err = e.copyFile(ctx, d, rows); err != nil {
		return nil, err
	}
	if p.topic, err = e.kafka.topic(ctx, e, d.source(), rows, partitions); err != nil {
		return nil, err
	}
	return p, p.expect(ctx, e)
}

// expect loads the reference once, to know what the table must hold in the end.
func (p *plan) expect(ctx context.Context, e *env) error {
	if err := e.fresh(ctx, p.data, target); err != nil {
		return err
	}
	if _, err := e.pg.run(ctx, p.copyCommand()); err != nil {
		return err
	}
	var err error
	p.want, err = e.read(ctx, target)
	return err
}

func (p *plan) copyCommand() string {
	return fmt.Sprintf(`\copy %s FROM '%s' (FORMAT binary)`, target, p.file)
}

// table makes the target ready for a turn.
func (p *plan) table(ctx context.Context, e *env) error {
	extra := p.before
	if p.keyed {
		extra = append(extra, fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (%s)", target, p.data.key))
	}
	if len(p.before) > 0 {
		extra = append(extra, "VACUUM ANALYZE "+target)
	}
	return e.fresh(ctx, p.data, target, extra...)
}

// psql is a side that runs one psql command.
func (p *plan) psql(e *env, name, command string) side {
	return side{name, func(ctx context.Context, _ int) (measure, error) {
		if err := p.table(ctx, e); err != nil {
			return measure{}, err
		}
		m, u, err := e.measure(p.rows, func() (usage, error) {
			start := time.Now()
			cmd, err := e.pg.run(ctx, command)
			if err != nil {
				return usage{}, err
			}
			return usage{start: start, end: time.Now(), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
		})
		if err != nil {
			return m, err
		}
		return m, p.finish(ctx, e, &m, u)
	}}
}

// sinker is the side that this program is about: the topic, to its end.
func (p *plan) sinker(e *env) side { return p.sinkerOn(e, "sinker", p.topic, variant{}) }

func (p *plan) sinkerOn(e *env, name string, t *topic, as variant) side {
	return side{name, func(ctx context.Context, n int) (measure, error) {
		if err := p.table(ctx, e); err != nil {
			return measure{}, err
		}
		lines := p.data.lines()
		if p.keyed && p.data.sink == nil {
			lines = append(lines, fmt.Sprintf("key: [%s]", p.data.key))
		}
		line := pipeline{name: fmt.Sprintf("bench-%s-%d-%d", p.scenario, n, time.Now().UnixNano()), topic: t.name,
			table: target, extra: lines, as: as}
		var s *process
		m, u, err := e.measure(p.rows, func() (usage, error) {
			start := time.Now()
			var err error
			if s, err = e.startSinker(ctx, line, "--until-end"); err != nil {
				return usage{}, err
			}
			if err := s.wait(); err != nil {
				return usage{}, err
			}
			return usage{start: start, end: s.ended, cpu: s.cpu()}, nil
		})
		if err != nil {
			return m, err
		}
		m.PeakRSS = s.rss
		m.AllocBytes, m.Allocs = s.allocations()
		return m, p.finish(ctx, e, &m, u)
	}}
}

// finish reads when a turn's rows were committed, and checks what it left in the table. The times are there also when
// the table is not what it should be.
func (p *plan) finish(ctx context.Context, e *env, m *measure, u usage) error {
	c, err := e.commits(ctx, target)
	if err != nil {
		return err
	}
	m.addCommits(c, p.rows, u)
	got, err := e.read(ctx, target)
	if err != nil {
		return err
	}
	return mustAgree(target, got, p.want)
}

// runAppend compares with \copy of the same rows into the same table.
func runAppend(data func() *dataset, rows int64) func(context.Context, *env, *scenario) ([]result, error) {
	return func(ctx context.Context, e *env, s *scenario) ([]result, error) {
		p, err := e.plan(ctx, s, data(), e.size(rows))
		if err != nil {
			return nil, err
		}
		return e.withVariants(ctx, s, p, []side{p.psql(e, `\copy`, p.copyCommand())})
	}
}

// withVariants lets references, sinker and its variants take turns, and compares each sinker with the references.
func (e *env) withVariants(ctx context.Context, s *scenario, p *plan, references []side) ([]result, error) {
	sides := append(references, p.sinker(e))
	for _, v := range e.variants {
		sides = append(sides, p.sinkerOn(e, v.name, p.topic, v))
	}
	all, err := e.alternate(ctx, sides)
	if err != nil {
		return nil, err
	}
	var results []result
	for _, sinker := range all[len(references):] {
		results = append(results, compare(s.name, p.rows, append(all[:len(references):len(references)], sinker)))
	}
	return results, nil
}

// runPartitions compares a topic of many partitions with one of four.
func runPartitions(ctx context.Context, e *env, s *scenario) ([]result, error) {
	p, err := e.plan(ctx, s, orders(), e.size(2_000_000))
	if err != nil {
		return nil, err
	}
	many, err := e.kafka.topic(ctx, e, p.data, p.rows, e.partitions)
	if err != nil {
		return nil, err
	}
	sides := []side{p.sinkerOn(e, fmt.Sprintf("sinker, %d partitions", partitions), p.topic, variant{})}
	for _, v := range append([]variant{{}}, e.variants...) {
		name := strings.TrimSpace(fmt.Sprintf("%d partitions %s", e.partitions, v.name))
		sides = append(sides, p.sinkerOn(e, "sinker, "+name, many, v))
	}
	all, err := e.alternate(ctx, sides)
	if err != nil {
		return nil, err
	}
	var results []result
	for _, t := range all[1:] {
		results = append(results, compare(s.name, p.rows, []turns{all[0], t}))
	}
	return results, nil
}
