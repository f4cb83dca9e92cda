package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
)

var onPostgres = []string{"postgres"}

var postgresFaults = []*fault{
	{name: "pg-terminate-backend", about: "pg_terminate_backend for all of sinker's sessions, three to eight times",
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			return signalBackends(ctx, st, rng, "pg_terminate_backend")
		}},
	{name: "pg-cancel-backend", about: "pg_cancel_backend for all of sinker's sessions, a hundred times",
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			return signalBackends(ctx, st, rng, "pg_cancel_backend")
		}},
	{name: "pg-restart", about: "a fast shutdown of the primary, and a start", locks: onPostgres,
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			return restartPostgres(ctx, st, rng, "fast")
		}},
	{name: "pg-crash", about: "an immediate shutdown, or SIGKILL for the postmaster", locks: onPostgres,
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			return restartPostgres(ctx, st, rng, []string{"immediate", "kill"}[rng.IntN(2)])
		}},
	{name: "pg-backend-crash", about: "SIGKILL for one server process: all sessions end and the server recovers",
		locks: onPostgres, fire: crashBackend},
	{name: "pg-failover", about: "the standby is cut off for a while, the primary crashes, the standby is promoted " +
		"without the newest commits, a new standby is made", weight: 2, locks: onPostgres,
		missing: func(st *stage) string { return st.db.cannotFailOver() }, fire: failOver},
	{name: "pg-read-only", about: "default_transaction_read_only on the primary for some seconds", locks: onPostgres,
		fire: readOnly},
	{name: "pg-no-slots", about: "somebody takes every free connection, and sinker's are ended", locks: onPostgres,
		fire: noSlots},
	{name: "pg-latency", about: "20 to 300 ms more on every packet between one sinker and Postgres",
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			s := st.one(rng)
			return slow(ctx, rng, s.name+" and Postgres", s.postgresWires())
		}},
	{name: "pg-partition", about: "nothing comes through between one sinker, or all, and Postgres; then it does, or " +
		"the connections are found broken",
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			who := st.some(rng)
			var wires []*wire
			for _, s := range who {
				wires = append(wires, s.postgresWires()...)
			}
			began := time.Now()
			defer func() { st.marks.reached(began, who...) }()
			return sever(ctx, rng, fmt.Sprintf("%d sinker(s) and Postgres", len(who)), wires)
		}},
	{name: "pgbouncer-restart", about: "SIGKILL for pgbouncer, and a start", missing: withoutBouncer,
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			began := time.Now()
			if err := st.bouncer.kill(); err != nil {
				return "", err
			}
			st.tally.killed()
			wait(ctx, between(rng, 0, 3*time.Second))
			err := st.bouncer.start()
			st.marks.reached(began, st.sinkers[len(st.sinkers)-1])
			return "killed and started", err
		}},
	{name: "lock-offsets", about: "another session locks offset rows for some seconds",
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			return hold(ctx, st, rng, `SELECT FROM sinker.offsets WHERE pipeline = '`+mainPipeline+`' FOR UPDATE`)
		}},
	{name: "lock-table", about: "another session locks a target table for some seconds",
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			return hold(ctx, st, rng, `LOCK TABLE `+targets()[rng.IntN(len(targets()))]+` IN ACCESS EXCLUSIVE MODE`)
		}},
	{name: "ddl-under-load", about: "columns added, widened and dropped, indexes made and dropped, VACUUM FULL",
		fire: ddl},
}

// takesPostgres names the faults for whose time Postgres takes no writes, or cannot be reached.
var takesPostgres = map[string]bool{"pg-restart": true, "pg-crash": true, "pg-backend-crash": true,
	"pg-failover": true, "pg-read-only": true, "pg-partition": true, "pgbouncer-restart": true}

// some are all sinkers, or one.
func (st *stage) some(rng *rand.Rand) []*sinker {
	if rng.IntN(2) == 0 {
		return st.sinkers
	}
	return []*sinker{st.one(rng)}
}

// postgresWires are the stretches of network between a sinker and Postgres.
func (s *sinker) postgresWires() (wires []*wire) {
	for _, l := range s.links {
		if l.wire != nil {
			wires = append(wires, l.wire)
		} else {
			wires = append(wires, s.st.bouncer.wire)
		}
	}
	return wires
}

// slow delays what goes over wires.
func slow(ctx context.Context, rng *rand.Rand, between2 string, wires []*wire) (string, error) {
	by := between(rng, 20*time.Millisecond, 300*time.Millisecond)
	before := touched(wires)
	for _, w := range wires {
		w.slow(by)
		defer w.slow(0)
	}
	wait(ctx, between(rng, 5*time.Second, 12*time.Second))
	if n := touched(wires) - before; n > 0 {
		return fmt.Sprintf("%d packets between %s were %d ms late", n, between2, by.Milliseconds()), nil
	}
	return "", errors.New("nothing was under way")
}

// sever swallows what goes over wires, and then delivers it, or breaks the connections.
func sever(ctx context.Context, rng *rand.Rand, between2 string, wires []*wire) (string, error) {
	before, lost, began := touched(wires), rng.IntN(2) == 0, time.Now()
	for _, w := range wires {
		heal := w.part()
		defer heal(lost)
	}
	wait(ctx, between(rng, 4*time.Second, 16*time.Second))
	if n := touched(wires) - before; n > 0 {
		return fmt.Sprintf("nothing came through between %s for %.0f s, %d tried", between2, time.Since(began).Seconds(),
			n), nil
	}
	return "", errors.New("nothing was under way")
}

func touched(wires []*wire) (n int64) {
	for _, w := range wires {
		n += w.touched()
	}
	return n
}

// signalBackends signals sinker's sessions: terminated ones must come back first, cancelled ones may be between two
// statements.
func signalBackends(ctx context.Context, st *stage, rng *rand.Rand, function string) (string, error) {
	times, pause := 3+rng.IntN(6), time.Second
	if function == "pg_cancel_backend" {
		times, pause = 100, 30*time.Millisecond
	}
	signalled := int64(0)
	err := st.db.with(ctx, func(c *pgx.Conn) error {
		for range times {
			var n int64
			if err := c.QueryRow(ctx, `SELECT count(`+function+`(pid)) FROM pg_stat_activity
			WHERE application_name LIKE 'sinker%' AND pid <> pg_backend_pid()
				AND (state <> 'idle' OR $1)`, function == "pg_terminate_backend").Scan(&n); err != nil {
				return err
			}
			signalled += n
			wait(ctx, pause)
		}
		return nil
	})
	if signalled == 0 {
		return "", errors.Join(err, errors.New("sinker had no session"))
	}
	return fmt.Sprintf("%d times a session of sinker's", signalled), nil
}

func restartPostgres(ctx context.Context, st *stage, rng *rand.Rand, mode string) (string, error) {
	server := st.db.primary()
	if err := server.Stop(mode); err != nil {
		return "", err
	}
	if mode != "fast" { // with synchronous_commit = off that may take the newest commits
		st.tally.killed()
		st.db.lostSome()
	}
	wait(ctx, between(rng, 0, 4*time.Second))
	began := time.Now()
	err := server.Start(context.WithoutCancel(ctx))
	return fmt.Sprintf("stopped (%s), up %.1f s after the start", mode, time.Since(began).Seconds()), err
}

func crashBackend(ctx context.Context, st *stage, _ *rand.Rand) (string, error) {
	pid, err := st.db.number(ctx, `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'sinker%' ORDER BY
		state = 'idle', random() LIMIT 1`)
	if err != nil {
		return "", err
	}
	witness, err := st.db.connect(ctx)
	if err != nil {
		return "", err
	}
	defer witness.Close(context.WithoutCancel(ctx))
	if err := kill9(int(pid)); err != nil {
		return "", err
	}
	st.tally.killed()
	died := within(ctx, 10*time.Second, func(ctx context.Context) error {
		if _, err := witness.Exec(ctx, `SELECT 1`); err == nil {
			return errors.New("other sessions live on")
		}
		return nil
	})
	st.db.lostSome()
	err = within(context.WithoutCancel(ctx), 30*time.Second, func(ctx context.Context) error {
		return st.db.exec(ctx,
			`SELECT 1`)
	})
	return fmt.Sprintf("process %d; all sessions ended", pid), errors.Join(died, err)
}

func failOver(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
	if st.db.standby() == nil { // the last one could not be made
		if err := st.db.rebuild(ctx); err != nil {
			return "", err
		}
		st.rewire()
	}
	lost, err := st.db.failover(ctx, between(rng, 500*time.Millisecond, 3*time.Second))
	if err != nil {
		return "", err
	}
	st.tally.killed()
	st.tally.failedOver()
	began := time.Now()
	if err := st.db.rebuild(context.WithoutCancel(ctx)); err != nil {
		st.say("  pg-failover: no new standby yet: %v", err)
	}
	st.rewire()
	return fmt.Sprintf("promoted; %d positions' worth was lost; a new standby took %.1f s", lost,
		time.Since(began).Seconds()), nil
}

func readOnly(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
	server := st.db.primary()
	if err := execOn(ctx, server, `ALTER SYSTEM SET default_transaction_read_only = on`,
		`SELECT pg_reload_conf()`); err != nil {
		return "", err
	}
	wait(ctx, between(rng, 2*time.Second, 7*time.Second))
	ctx = context.WithoutCancel(ctx)
	var is string
	if conn, err := st.db.connect(ctx); err == nil {
		conn.QueryRow(ctx, `SHOW default_transaction_read_only`).Scan(&is)
		conn.Close(ctx)
	}
	err := within(ctx, 30*time.Second, func(ctx context.Context) error {
		return execOn(ctx, server, `SET default_transaction_read_only = off`,
			`ALTER SYSTEM RESET default_transaction_read_only`, `SELECT pg_reload_conf()`)
	})
	if is != "on" {
		return "", errors.Join(err, errors.New("the server was not read-only"))
	}
	return "new transactions were read-only", err
}

// noSlots takes all connections; whoever comes then is refused, 53300.
func noSlots(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
	var held []*pgx.Conn
	defer func() {
		for _, c := range held {
			c.Close(context.WithoutCancel(ctx))
		}
	}()
	full := false
	for !full && len(held) < 200 && ctx.Err() == nil {
		c, err := st.db.connect(ctx)
		switch {
		case err == nil:
			held = append(held, c)
			if len(held)%10 == 1 {
				c.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sinker%'`)
			}
		case isCode(err, pgerrcode.TooManyConnections):
			full = true
		default:
			return "", err
		}
	}
	if !full || len(held) == 0 {
		return "", errors.New("there were always free slots")
	}
	held[0].Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sinker%'`)
	if c, err := st.db.connect(ctx); err == nil {
		held = append(held, c)
	}
	wait(ctx, between(rng, 3*time.Second, 6*time.Second))
	return fmt.Sprintf("%d connections were taken", len(held)), nil
}

// hold keeps a lock, and looks whether sinker waits for it.
func hold(ctx context.Context, st *stage, rng *rand.Rand, lock string) (string, error) {
	waited := int64(0)
	began := time.Now()
	err := st.db.with(ctx, func(c *pgx.Conn) error {
		tx, err := c.Begin(ctx)
		if err != nil {
			return err
		}
		defer tx.Rollback(context.WithoutCancel(ctx))
		if _, err := tx.Exec(ctx, lock); err != nil {
			return err
		}
		for end := time.Now().Add(between(rng, 3*time.Second, 12*time.Second)); time.Now().Before(end) &&
			wait(ctx, 200*time.Millisecond); {
			var n int64
			if err := tx.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND
				pg_backend_pid() = ANY (pg_blocking_pids(pid))`).Scan(&n); err != nil {
				return err
			}
			waited = max(waited, n)
		}
		return nil
	})
	if waited == 0 {
		return "", errors.Join(err, errors.New("nobody waited for the lock"))
	}
	return fmt.Sprintf("held for %.1f s, up to %d sessions waited", time.Since(began).Seconds(), waited), nil
}

func ddl(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
	table := targets()[rng.IntN(len(targets()))]
	statements := [][]string{
		{`ALTER TABLE ` + table + ` ADD COLUMN IF NOT EXISTS more integer DEFAULT 1`,
			`ALTER TABLE ` + table + ` DROP COLUMN more`},
		{`CREATE INDEX IF NOT EXISTS more ON ` + table + ` (n)`, `DROP INDEX IF EXISTS more`},
		{`ALTER TABLE ` + table + ` ADD COLUMN IF NOT EXISTS note text`, `ALTER TABLE ` + table + ` DROP COLUMN note`},
		{`VACUUM FULL accounts`, `ANALYZE ` + table},
		{`ALTER TABLE accounts ALTER COLUMN amount TYPE numeric(14,2)`,
			`ALTER TABLE accounts ALTER COLUMN amount TYPE numeric(12,2)`},
	}
	done := 0
	for _, pair := range statements {
		for _, sql := range pair {
			err := within(context.WithoutCancel(ctx), 15*time.Second,
				func(ctx context.Context) error { return st.db.exec(ctx, sql) })
			if err != nil {
				st.say("  ddl-under-load: %v", err)
				continue
			}
			done++
		}
	}
	if done == 0 {
		return "", errors.New("every statement failed")
	}
	return fmt.Sprintf("%d statements on %s and accounts", done, table), nil
}
