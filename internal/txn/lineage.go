package txn

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"sinker/internal/record"

	"github.com/jackc/pgx/v5/pgconn"
)

// Lineage remembers the furthest timeline that this process has met on a server. A promotion begins a new timeline,
// so a server that takes writes on a lower one is an old primary that came back, and whatever is written there is
// lost when it is rewound. All stores of a process share one.
type Lineage struct {
	mu       sync.Mutex
	system   string // identifier that a primary and its standbys share; "": the server does not tell
	timeline uint32
}

// A primary answers these to everybody, but for the system's identifier, for which a server may want a privilege. Where
// there is no answer (a server that only speaks Postgres' protocol) the check is left out.
const (
	askTimeline = `SELECT substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)`
	askSystem   = `SELECT system_identifier FROM pg_catalog.pg_control_system()`
)

// check refuses a server on a lower timeline than one of the same lineage that was met before. It is asked while a
// connection is made, so that the next host of the connection string is tried.
func (l *Lineage) check(ctx context.Context, conn *pgconn.PgConn) error {
	digits, ok := askOne(ctx, conn, askTimeline)
	timeline, err := strconv.ParseUint(digits, 16, 32)
	if !ok || err != nil {
		return ctx.Err()
	}
	system, _ := askOne(ctx, conn, askSystem)
	return l.meet(system, uint32(timeline))
}

// Database returns a short name that tells the store's database from others, also from a copy on another system, and
// that a primary shares with its standbys. Where the server does not tell its system, equal names do not tell
// databases apart.
func (s *Store) Database(ctx context.Context) (string, error) {
	conn, err := s.session(ctx)
	if err != nil {
		return "", err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	name, ok := askOne(ctx, conn.PgConn(), `SELECT pg_catalog.current_database()`)
	if !ok {
		return "", wrap(record.StepPrepare, "", cmp.Or(ctx.Err(), errors.New("Postgres did not tell the database's name")))
	}
	system, _ := askOne(ctx, conn.PgConn(), askSystem)
	sum := sha256.Sum256([]byte(system + "/" + name))
	return hex.EncodeToString(sum[:4]), nil
}

func askOne(ctx context.Context, conn *pgconn.PgConn, sql string) (value string, ok bool) {
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) != 1 || len(results[0].Rows) != 1 {
		return "", false
	}
	return string(results[0].Rows[0][0]), true
}

// meet compares with what was met before, and remembers.
func (l *Lineage) meet(system string, timeline uint32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.system == system && timeline < l.timeline {
		return fmt.Errorf("this server is an old primary: it takes writes on timeline %d, and timeline %d was met "+
			"before. Nothing is written to it; "+
			"point postgres.url at the present primary and shut this one down. If it is the one to use, restart sinker",
			timeline, l.timeline)
	}
	l.system, l.timeline = system, timeline
	return nil
}
