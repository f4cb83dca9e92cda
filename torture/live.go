package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sinker/internal/local"

	"github.com/jackc/pgx/v5"
)

// live reads the tables and the positions in one snapshot, again and again while everything breaks: a torn commit
// would be seen. Between two looks, the rows of the offsets that a position passed must be as many as it says were
// written.
type live struct {
	st       *stage
	where    string
	server   func() *local.Postgres
	mu       sync.Mutex
	looks    int64
	counted  int64 // rows that were counted in some look
	at       map[string]map[int32]seen
	history  int64
	moved    time.Time     // when a position was last seen to move
	longest  time.Duration // the longest time without
	problems int
}

// seen is what the look before saw of a partition.
type seen struct{ next, written int64 }

func newLive(st *stage, where string, server func() *local.Postgres) *live {
	return &live{st: st, where: where, server: server, at: map[string]map[int32]seen{}, moved: time.Now()}
}

// run looks until ctx ends. A server that is away is no problem of the live reader's.
func (l *live) run(ctx context.Context, every time.Duration) {
	var conn *pgx.Conn
	var on *local.Postgres
	for ctx.Err() == nil {
		if server := l.server(); server != on && conn != nil {
			conn.Close(context.WithoutCancel(ctx))
			conn = nil
		}
		if conn == nil {
			if on = l.server(); on != nil {
				c, err := pgx.Connect(ctx, on.URL("postgres")+"&application_name=torture-live&connect_timeout=2")
				if err == nil {
					conn = c
				}
			}
		}
		if conn != nil {
			look, cancel := context.WithTimeout(ctx, 20*time.Second)
			if err := l.look(look, conn); err != nil {
				conn.Close(context.WithoutCancel(ctx))
				conn = nil
			}
			cancel()
		}
		wait(ctx, every)
	}
	if conn != nil {
		conn.Close(context.WithoutCancel(ctx))
	}
}

// look is one snapshot.
func (l *live) look(ctx context.Context, conn *pgx.Conn) error {
	history := l.st.db.generation()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	found := map[string]map[int32]partition{}
	for _, t := range tables {
		if t.upsert {
			continue
		}
		if found[t.name], err = l.partitions(ctx, tx, t.name); err != nil {
			return err
		}
	}
	l.judge(found, history != l.history || history != l.st.db.generation())
	l.history = history
	return nil
}

// partition is what one snapshot says of a partition.
type partition struct {
	next, written int64
	highest       int64 // offset in the table; -1: there is none
	since         int64 // rows from the position that was seen before up to the one now
}

func (l *live) partitions(ctx context.Context, tx pgx.Tx, topic string) (map[int32]partition, error) {
	var numbers []int32
	var before []int64
	for p, s := range l.at[topic] {
		numbers, before = append(numbers, p), append(before, s.next)
	}
	rows, err := tx.Query(ctx, fmt.Sprintf(`SELECT o.partition, o.next_offset, o.written,
		coalesce((SELECT max(kafka_offset) FROM %[1]s t WHERE t.kafka_partition = o.partition), -1),
		(SELECT count(*) FROM %[1]s t WHERE t.kafka_partition = o.partition AND t.kafka_offset >= b.next
		AND t.kafka_offset < o.next_offset)
		FROM sinker.offsets o LEFT JOIN unnest($2::int[], $3::bigint[]) AS b(partition, next) USING (partition)
		WHERE o.pipeline = $1 AND o.topic = '%[1]s'`, topic), mainPipeline, numbers, before)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[int32]partition{}
	for rows.Next() {
		var n int32
		var p partition
		if err := rows.Scan(&n, &p.next, &p.written, &p.highest, &p.since); err != nil {
			return nil, err
		}
		found[n] = p
	}
	return found, rows.Err()
}

// judge holds a snapshot against the one before. When the newest commits may have been lost in between, positions may
// have gone back, and only what one snapshot says by itself counts.
func (l *live) judge(found map[string]map[int32]partition, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looks++
	for topic, partitions := range found {
		if l.at[topic] == nil {
			l.at[topic] = map[int32]seen{}
		}
		for n, p := range partitions {
			before, known := l.at[topic][n]
			at := fmt.Sprintf("I5: %s, %s/%d: ", l.where, topic, n)
			switch {
			case p.highest >= p.next:
				l.problem(at+"there is a row of offset %d, and the position is %d", p.highest, p.next)
			case known && !lost && p.next < before.next:
				l.problem(at+"the position went from %d back to %d, and no commit can have been lost", before.next, p.next)
			case known && p.next >= before.next && !lost:
				l.counted += p.since
				if p.since != p.written-before.written {
					l.problem(at+"from offset %d to %d there are %d rows, and %d were written", before.next, p.next, p.since,
						p.written-before.written)
				}
			}
			if p.next != before.next {
				l.longest, l.moved = max(l.longest, time.Since(l.moved)), time.Now()
			}
			l.at[topic][n] = seen{p.next, p.written}
		}
	}
}

func (l *live) problem(format string, args ...any) {
	if l.problems++; l.problems <= 20 {
		l.st.tally.problem(format, args...)
	}
}
