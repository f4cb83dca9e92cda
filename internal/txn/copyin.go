package txn

import (
	"context"
	"io"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// copyIn runs a COPY, whose bytes src encodes while Postgres takes those before. When it returns, nobody reads src any
// more: what src reads from is the caller's alone again.
func (w *writer) copyIn(ctx context.Context, src io.Reader, sql string) (pgconn.CommandTag, error) {
	ctx, cancel := w.store.bounded(ctx)
	defer cancel()
	guard := &guardedReader{src: src}
	defer guard.close()
	return w.conn.PgConn().CopyFrom(ctx, guard, sql)
}

// guardedReader can be closed while it is read. pgx' CopyFrom reads on a goroutine of its own, and returns without
// waiting for it when the connection breaks: the rest of a Read would go on beside the next attempt at the same batch.
type guardedReader struct {
	mu     sync.Mutex
	src    io.Reader
	closed bool
}

// close waits for a Read in progress and lets none begin any more.
func (g *guardedReader) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

func (g *guardedReader) Read(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, io.ErrClosedPipe
	}
	return g.src.Read(p)
}
