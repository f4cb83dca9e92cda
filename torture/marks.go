package main

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// marks are the moments by which the times to resume are measured, by this machine's clock, which is Postgres' too.
type marks struct {
	mu      sync.Mutex
	kills   []killMark
	starts  []startMark
	faults  []faultMark
	returns []returnMark
}

// killMark is a SIGKILL for a sinker that is started again at once.
type killMark struct {
	sinker string
	pid    int
	at     time.Time
}

// startMark is a process of a sinker's.
type startMark struct {
	sinker string
	pid    int
	at     time.Time
}

// faultMark is a fault in force. The faults that only kill sinkers have none: their kills are noted one by one.
type faultMark struct {
	name     string
	from, to time.Time
}

// returnMark is Postgres, or the way to it, that is there again.
type returnMark struct {
	sinkers  []string // for which it was away; nil: for all
	down     time.Time
	lastFail time.Time
	up       time.Time
}

func (m *marks) killed(k killMark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kills = append(m.kills, k)
}

func (m *marks) started(s startMark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.starts = append(m.starts, s)
}

func (m *marks) fault(f faultMark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, f)
}

func (m *marks) returned(r returnMark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.returns = append(m.returns, r)
}

// reached notes that the way to Postgres is whole again for some sinkers, from now on.
func (m *marks) reached(down time.Time, sinkers ...*sinker) {
	now := time.Now()
	r := returnMark{down: down, lastFail: now, up: now}
	for _, s := range sinkers {
		r.sinkers = append(r.sinkers, s.name)
	}
	m.returned(r)
}

// pulse writes to the primary all the time, on a connection of the harness' own, and notes when that works again
// after it did not.
func (st *stage) pulse(ctx context.Context) {
	var conn *pgx.Conn
	var down, lastFail time.Time
	lastGood := time.Now()
	beat := func() error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if conn == nil {
			var err error
			if conn, err = st.db.connect(ctx); err != nil {
				conn = nil
				return err
			}
		}
		_, err := conn.Exec(ctx, `UPDATE torture.pulse SET at = clock_timestamp()`)
		if err != nil {
			conn.Close(context.WithoutCancel(ctx))
			conn = nil
		}
		return err
	}
	for ctx.Err() == nil {
		switch err := beat(); {
		case ctx.Err() != nil:
		case err != nil:
			if lastFail = time.Now(); down.IsZero() {
				down = lastGood
			}
		default:
			lastGood = time.Now()
			if !down.IsZero() {
				st.marks.returned(returnMark{down: down, lastFail: lastFail, up: lastGood})
				down = time.Time{}
			}
		}
		wait(ctx, 25*time.Millisecond)
	}
	if conn != nil {
		conn.Close(context.WithoutCancel(ctx))
	}
}
