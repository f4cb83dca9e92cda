package main

import (
	"context"
	"fmt"
	"strings"
)

const upsertRows = 1_000_000

// runUpsertNew compares with \copy into the same table with its primary key.
func runUpsertNew(ctx context.Context, e *env, s *scenario) ([]result, error) {
	p, err := e.plan(ctx, s, orders(), e.size(upsertRows))
	if err != nil {
		return nil, err
	}
	p.keyed = true
	return e.withVariants(ctx, s, p, []side{p.psql(e, `\copy`, p.copyCommand())})
}

// runUpsert compares with the statements that somebody would write by hand to merge rows that lie ready in another
// table (making it is not counted): the fastest is the reference. The target holds old rows of all keys, or of those
// that the condition names.
func runUpsert(old string) func(context.Context, *env, *scenario) ([]result, error) {
	return func(ctx context.Context, e *env, s *scenario) ([]result, error) {
		p, err := e.plan(ctx, s, orders(), e.size(upsertRows))
		if err != nil {
			return nil, err
		}
		if err := e.staged(ctx, p); err != nil {
			return nil, err
		}
		p.keyed = true
		p.before = []string{fmt.Sprintf("INSERT INTO %s SELECT %s FROM bench.staged %s", target, p.data.stale(), old)}
		sides := []side{
			p.psql(e, "INSERT ON CONFLICT", p.data.onConflict()),
			p.psql(e, "MERGE", p.data.merge()),
			p.psql(e, "UPDATE + INSERT", p.data.updateInsert(old != "")),
		}
		results, err := e.withVariants(ctx, s, p, sides)
		if err != nil {
			return nil, err
		}
		return results, e.pg.exec(ctx, "DROP TABLE bench.staged")
	}
}

// staged puts the new rows into bench.staged.
func (e *env) staged(ctx context.Context, p *plan) error {
	for _, sql := range []string{"DROP TABLE IF EXISTS bench.staged", p.data.ddl("bench.staged", "UNLOGGED TABLE")} {
		if err := e.pg.exec(ctx, sql); err != nil {
			return err
		}
	}
	if _, err := e.pg.run(ctx, fmt.Sprintf(`\copy bench.staged FROM '%s' (FORMAT binary)`, p.file)); err != nil {
		return err
	}
	return e.pg.exec(ctx, "VACUUM ANALYZE bench.staged")
}

// stale is the SELECT list of a row as it was before: one column differs, so that no upsert can find it unchanged.
func (d *dataset) stale() string {
	var list []string
	for _, c := range d.columns {
		if c.name == d.changing {
			list = append(list, c.name+" + 1")
			continue
		}
		list = append(list, c.name)
	}
	return strings.Join(list, ", ")
}

func (d *dataset) onConflict() string {
	return fmt.Sprintf("INSERT INTO %s SELECT * FROM bench.staged ON CONFLICT (%s) DO UPDATE SET %s", target, d.key,
		d.set("excluded"))
}

func (d *dataset) merge() string {
	var values []string
	for _, c := range d.columns {
		values = append(values, "s."+c.name)
	}
	return fmt.Sprintf("MERGE INTO %s t USING bench.staged s ON t.%s = s.%s WHEN MATCHED THEN UPDATE SET %s WHEN NOT "+
		"MATCHED THEN INSERT VALUES (%s)", target, d.key, d.key, d.set("s"), strings.Join(values, ", "))
}

// updateInsert updates the keys that are there and, when some are not, inserts these.
func (d *dataset) updateInsert(insert bool) string {
	sql := fmt.Sprintf("UPDATE %s t SET %s FROM bench.staged s WHERE t.%s = s.%s", target, d.set("s"), d.key, d.key)
	if insert {
		sql += fmt.Sprintf("; INSERT INTO %s SELECT * FROM bench.staged s WHERE NOT EXISTS (SELECT FROM %s t WHERE t.%s "+
			"= s.%s)", target, target, d.key, d.key)
	}
	return sql
}
