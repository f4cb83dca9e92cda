package txn

import (
	"cmp"
	"context"
	"errors"
	"io"

	"sinker/internal/failpoint"

	"github.com/jackc/pgx/v5/pgconn"
)

// feedSize is how much pgx reads for one message of a COPY. Smaller pieces would be messages of their own.
const feedSize = 65536 - 5

// feed is a COPY that is open. A goroutine of its own runs it, and owns nothing but the connection for as long; what it
// is fed with is encoded by the caller meanwhile.
type feed struct {
	to     *io.PipeWriter
	done   chan struct{} // closed when the COPY is over
	cancel context.CancelFunc
	tag    pgconn.CommandTag
	err    error
	fed    bool
}

// newFeed begins a COPY. It is to be ended by close or abort; until then nothing else may use the connection.
func (w *writer) newFeed(ctx context.Context, sql string) *feed {
	ctx, cancel := w.store.bounded(ctx)
	from, to := io.Pipe()
	f := &feed{to: to, cancel: cancel, done: make(chan struct{})}
	conn := w.conn.PgConn()
	go func() {
		defer close(f.done)
		f.tag, f.err = conn.CopyFrom(ctx, from, sql)
		// pgx may have left a goroutine that reads on (the connection broke), and the caller may wait in write.
		from.CloseWithError(errFeedOver)
	}()
	return f
}

// errFeedOver wakes who feeds a COPY that is over.
var errFeedOver = errors.New("the COPY is over")

// write gives the COPY the next bytes, and returns once they are taken, or why the COPY is over.
func (f *feed) write(p []byte) error {
	if f.fed {
		if err := failpoint.Hit(failpoint.MidCopy); err != nil {
			return err
		}
	}
	f.fed = true
	if _, err := f.to.Write(p); err != nil {
		<-f.done
		return cmp.Or(f.err, err)
	}
	return nil
}

// close ends the COPY and returns what Postgres says of it.
func (f *feed) close() (pgconn.CommandTag, error) {
	f.to.Close()
	return f.wait()
}

// abort has the COPY fail.
func (f *feed) abort() {
	f.to.CloseWithError(errors.New("the batch is given up"))
	_, _ = f.wait()
}

func (f *feed) wait() (pgconn.CommandTag, error) {
	<-f.done
	f.cancel()
	return f.tag, f.err
}
