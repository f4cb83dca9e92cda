package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// child is the loader: this program, run as a process of its own.
type child struct {
	cmd   *exec.Cmd
	alive io.Closer // its standard input: when it closes, the loader ends
	done  chan error
}

// startChild starts the real `sinker run`.
func (d *demo) startChild() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(d.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self, "run", "-c", d.configFile(), "--with-parent")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "SINKER_CPUPROFILE=")
	alive, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	d.child = &child{cmd: cmd, alive: alive, done: make(chan error, 1)}
	go func(c *child) { c.done <- c.cmd.Wait() }(d.child)
	return nil
}

// stop asks the loader to end and waits for it.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return <-c.done
}

// kill ends it the hard way, if it still runs.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.alive.Close()
}

// watchLoad follows the load to its end, killing on the way.
func (d *demo) watchLoad(ctx context.Context, produced <-chan error) error {
	total := d.records.count()
	next := d.killPoint(total)
	var resumed time.Time // when the loader was started anew; zero when it has moved since
	var at int64          // the position then
	first := true
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return errors.New("stopped")
		case err := <-d.child.done:
			return fmt.Errorf("the loader ended by itself: %v", err)
		case err := <-produced:
			if err != nil {
				return err
			}
			produced = nil
			d.say("produced  %d records", total)
		case <-tick.C:
		}
		position, err := d.position(ctx)
		if err != nil {
			return err
		}
		if first && position > 0 {
			first = false
			d.say("loading   first rows are visible")
		}
		if !resumed.IsZero() && position > at {
			d.say("          works again after %.1f s", time.Since(resumed).Seconds())
			resumed = time.Time{}
		}
		switch {
		case position == total && produced == nil:
			d.say("loaded    %d records", total)
			return nil
		case resumed.IsZero() && d.kills < d.flags.kills && position >= next:
			killed, err := d.killInTransaction(ctx)
			if err != nil {
				return err
			}
			if !killed {
				continue
			}
			if at, err = d.position(ctx); err != nil {
				return err
			}
			next = d.killPoint(total)
			resumed = time.Now()
			if err := d.startChild(); err != nil {
				return err
			}
		}
	}
}

// killPoint is a position by chance in the next part of the load.
func (d *demo) killPoint(total int64) int64 {
	part := float64(total) / float64(d.flags.kills+1)
	return int64(part * (float64(d.kills) + 0.3 + 0.5*d.rng.Float64()))
}

const demoPosition = `SELECT coalesce(sum(next_offset), 0)::bigint FROM sinker.offsets`

// position is how many records are behind, as committed.
func (d *demo) position(ctx context.Context) (n int64, err error) {
	var there bool
	if err := d.conn.QueryRow(ctx, `SELECT to_regclass('sinker.offsets') IS NOT NULL`).Scan(&there); err != nil || !there {
		return 0, err
	}
	err = d.conn.QueryRow(ctx, demoPosition).Scan(&n)
	return n, err
}

// A loader's transaction that has written something and is not committed: it has a transaction id.
const openTransactions = `
SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'sinker %' AND backend_xid IS NOT NULL AND query ILIKE 'copy%'`

// killInTransaction kills the loader if a transaction of its is in the middle of a COPY: it is frozen first, so that
// what is seen in Postgres is what it dies of. Else it goes on, and another moment will do.
func (d *demo) killInTransaction(ctx context.Context) (killed bool, err error) {
	var open int
	if err := d.conn.QueryRow(ctx, openTransactions).Scan(&open); err != nil || open == 0 {
		return false, err
	}
	p := d.child.cmd.Process
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return false, err
	}
	if err := d.conn.QueryRow(ctx, openTransactions).Scan(&open); err != nil {
		return false, err
	}
	if open == 0 {
		return false, p.Signal(syscall.SIGCONT)
	}
	before, err := d.position(ctx)
	if err != nil {
		return false, err
	}
	d.child.kill()
	<-d.child.done
	d.kills++
	d.say("kill %d    SIGKILL with %d transactions in the middle of COPY, %d records committed", d.kills, open, before)
	return true, nil
}

// prove holds the table against what was produced.
func (d *demo) prove(ctx context.Context) (p proof, err error) {
	p = proof{Kills: d.kills, Seed: d.flags.seed}
	const counts = `
SELECT count(*), count(*) - count(DISTINCT (kafka_partition, kafka_offset)), (SELECT count(*) FROM sinker.dead_letters) FROM orders`
	if err := d.conn.QueryRow(ctx, counts).Scan(&p.Rows, &p.Duplicated, &p.DeadLetters); err != nil {
		return p, err
	}
	p.Lost = max(0, d.records.count()-p.DeadLetters-(p.Rows-p.Duplicated))
	if d.flags.in == "" {
		if p.Changed, err = d.compareContent(ctx); err != nil {
			return p, err
		}
	}
	p.Seconds = time.Since(d.start).Round(10 * time.Millisecond).Seconds()
	p.RowsPerSecond = int64(float64(p.Rows) / d.loading.Seconds())
	return p, nil
}

var inTransactions = map[bool]string{true: ", each in the middle of a transaction"}

// show prints the proof and ten of the rows.
func (d *demo) show(ctx context.Context, p proof) {
	fmt.Fprintf(d.out, `
    rows        %d
    lost        %d
    duplicated  %d
    changed     %d
    kills       %d%s
    speed       %d rows/s, from the loader's first start to the last commit, kills included
    time        %.1f s in all (seed %d)

`, p.Rows, p.Lost, p.Duplicated, p.Changed, p.Kills, inTransactions[p.Kills > 0], p.RowsPerSecond, p.Seconds, p.Seed)
	if p.DeadLetters > 0 {
		fmt.Fprintf(d.out, "    %d records could not become rows: select * from sinker.dead_letters\n\n", p.DeadLetters)
	}
	rows, err := d.conn.Query(ctx, "SELECT * FROM orders LIMIT 10", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		fmt.Fprintln(d.out, err)
		return
	}
	defer rows.Close()
	printTable(d.out, rows)
}
