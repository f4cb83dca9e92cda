package txn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"sinker/internal/failpoint"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// pipe sends statements and COPYs together and reads their answers, in one round trip. When one of them fails, Postgres
// does none of those behind it: so a COMMIT at the end is only done if all before it went well.
//
// pgx has no COPY among other statements. The protocol has: a COPY reads the data that follows it at once.
type pipe struct {
	conn    *pgx.Conn
	binary  map[string]string // names of prepared statements, by their SQL
	named   int
	build   pgx.ExtendedQueryBuilder
	buf     []byte // of messages
	answers []answer
	done    int // statements that were answered well
}

// answer is what Postgres answered to one statement.
type answer struct {
	tag    pgconn.CommandTag
	fields []pgconn.FieldDescription
	row    [][]byte // the first one; nil: none came
}

// begin forgets what was sent before.
func (p *pipe) begin(conn *pgx.Conn) {
	*p = pipe{conn: conn, binary: p.binary, named: p.named, build: p.build, buf: p.buf[:0], answers: p.answers[:0]}
	if cap(p.buf) > mostPiped {
		p.buf = nil
	}
	if p.binary == nil {
		p.binary = map[string]string{}
	}
}

// mostPiped is how much memory for messages is kept for the next time.
const mostPiped = 1 << 20

// exec adds a statement. Its first use on a connection prepares it, which is a round trip of its own.
func (p *pipe) exec(ctx context.Context, sql string, args ...any) error {
	sd, err := p.conn.Prepare(ctx, sql, sql)
	if err == nil {
		err = p.build.Build(p.conn.TypeMap(), sd, args)
	}
	if err == nil {
		err = p.add(&pgproto3.Bind{PreparedStatement: sd.Name, ParameterFormatCodes: p.build.ParamFormats,
			Parameters: p.build.ParamValues, ResultFormatCodes: p.build.ResultFormats}, &pgproto3.Execute{})
	}
	p.answers = append(p.answers, answer{})
	if err == nil {
		p.answers[len(p.answers)-1].fields = fieldsIn(sd.Fields, p.build.ResultFormats)
	}
	return err
}

func fieldsIn(fields []pgconn.FieldDescription, formats []int16) []pgconn.FieldDescription {
	out := make([]pgconn.FieldDescription, len(fields))
	for i, f := range fields {
		out[i] = f
		out[i].Format = formats[i]
	}
	return out
}

// execBinary adds a statement whose parameters, of these types, are in binary form already.
func (p *pipe) execBinary(ctx context.Context, sql string, types []uint32, values [][]byte) error {
	name, ok := p.binary[sql]
	if !ok {
		p.named++
		name = fmt.Sprintf("sinker_%d", p.named)
		if _, err := p.conn.PgConn().Prepare(ctx, name, sql, types); err != nil {
			return err
		}
		p.binary[sql] = name
	}
	p.answers = append(p.answers, answer{})
	return p.add(&pgproto3.Bind{PreparedStatement: name, ParameterFormatCodes: []int16{1}, Parameters: values},
		&pgproto3.Execute{})
}

// forget is for a new connection, where nothing is prepared.
func (p *pipe) forget() { clear(p.binary) }

// unprepare drops what is prepared of tables: Postgres keeps a plan although a domain has got another default.
func (p *pipe) unprepare(ctx context.Context, conn *pgx.Conn) error {
	for sql, name := range p.binary {
		if err := conn.PgConn().Deallocate(ctx, name); err != nil {
			return err
		}
		delete(p.binary, sql)
	}
	return nil
}

// copy adds a COPY … FROM STDIN and all of its data.
func (p *pipe) copy(sql string, rows io.Reader) error {
	if err := p.add(&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}); err != nil {
		return err
	}
	for {
		at := len(p.buf)
		p.buf = append(p.buf, 'd', 0, 0, 0, 0)
		n, err := readInto(&p.buf, rows)
		if n > 0 {
			putSize(p.buf[at+1:], 4+n)
		} else {
			p.buf = p.buf[:at]
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	p.answers = append(p.answers, answer{})
	return p.add(&pgproto3.CopyDone{})
}

// readInto appends what one Read gives.
func readInto(buf *[]byte, r io.Reader) (int, error) {
	const step = 16 << 10
	at := len(*buf)
	*buf = append(*buf, make([]byte, step)...)
	n, err := r.Read((*buf)[at:])
	*buf = (*buf)[:at+n]
	return n, err
}

func putSize(b []byte, n int) { b[0], b[1], b[2], b[3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n) }

func (p *pipe) add(messages ...pgproto3.FrontendMessage) (err error) {
	for _, m := range messages {
		if p.buf, err = m.Encode(p.buf); err != nil {
			return err
		}
	}
	return nil
}

// send sends everything and reads the answers, which takes until the deadline at most. The error is that of statement
// p.done, after which Postgres did none; or the connection is broken, and what became of a COMMIT is not known.
func (p *pipe) send(deadline time.Time) error {
	if err := p.add(&pgproto3.Sync{}); err != nil {
		return err
	}
	pg := p.conn.PgConn()
	if failpoint.On { // in the middle of what is sent
		half := len(p.buf) / 2
		if _, err := pg.Conn().Write(p.buf[:half]); err != nil {
			return p.broken(err)
		}
		if err := failpoint.Hit(failpoint.MidCopy); err != nil {
			return p.broken(err)
		}
		p.buf = p.buf[half:]
	}
	if err := pg.Conn().SetDeadline(deadline); err != nil {
		return p.broken(err)
	}
	if len(p.buf) <= unreadBytes {
		if _, err := pg.Conn().Write(p.buf); err != nil {
			return p.broken(err)
		}
		return p.receive(nil)
	}
	written := make(chan error, 1)
	go func() {
		_, err := pg.Conn().Write(p.buf)
		written <- err
	}()
	return p.receive(written)
}

// unreadBytes is how much may be sent before answers are read: a server that cannot send (a notice for each row)
// reads no more.
const unreadBytes = 8 << 10

// receive reads the answers. written says when everything is sent; nil: it is.
func (p *pipe) receive(written <-chan error) (failed error) {
	pg := p.conn.PgConn()
	for {
		msg, err := pg.ReceiveMessage(context.Background()) // the deadline is the connection's
		if err != nil {
			err = p.broken(err)
			if written != nil {
				<-written
			}
			return cmp.Or(failed, err)
		}
		switch m := msg.(type) {
		case *pgproto3.DataRow:
			if a := &p.answers[p.done]; a.row == nil {
				a.row = cloneRow(m.Values)
			}
		case *pgproto3.CommandComplete:
			p.answers[p.done].tag = pgconn.NewCommandTag(string(m.CommandTag))
			p.done++
		case *pgproto3.ErrorResponse:
			failed = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			if written != nil {
				err = <-written
			}
			if err == nil {
				err = pg.Conn().SetDeadline(time.Time{})
			}
			if err != nil {
				return p.broken(err)
			}
			return failed
		}
	}
}

func cloneRow(values [][]byte) [][]byte {
	row := make([][]byte, len(values))
	for i, v := range values {
		if v != nil {
			row[i] = append([]byte{}, v...)
		}
	}
	return row
}

// scan reads the row that a statement has answered.
func (p *pipe) scan(i int, into ...any) error {
	a := &p.answers[i]
	if a.row == nil {
		return pgx.ErrNoRows
	}
	return pgx.ScanRow(p.conn.TypeMap(), a.fields, a.row, into...)
}

// broken drops the connection, on which answers are still to come, and returns why.
func (p *pipe) broken(err error) error {
	p.close()
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("Postgres did not answer in time: %w", context.DeadlineExceeded)
	}
	return err
}

// close drops the connection. A server that is at work for it is asked to stop, as pgx does.
func (p *pipe) close() {
	pg := p.conn.PgConn()
	if pg.IsClosed() {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		_ = pg.CancelRequest(ctx)
	}()
	_ = pg.Conn().Close()
	_ = p.conn.Close(context.Background())
}
