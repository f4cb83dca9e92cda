package txn

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// transactionPooler says whether a pooler stands between that gives a client's transactions to any server process: two
// sessions that are open at once then share a process, or one session meets two. What cannot be found out within a few
// seconds is taken for a direct connection.
func transactionPooler(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var conns [2]*pgx.Conn
	for i := range conns {
		conn, err := Connect(ctx, url, "sinker migrate")
		if err != nil {
			return false
		}
		defer conn.Close(context.WithoutCancel(ctx))
		conns[i] = conn
	}
	var pids [4]uint32
	for i := range pids {
		err := conns[i%2].QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeSimpleProtocol).Scan(&pids[i])
		if err != nil || !pooled(ctx, conns[0]) {
			return false
		}
	}
	return pids[0] == pids[1] || pids[0] != pids[2] || pids[1] != pids[3]
}
