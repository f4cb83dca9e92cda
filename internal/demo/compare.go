package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"sinker/internal/orderdata"
)

// compareRows counts the rows that do not say what the record at their place says.
func (d *demo) compareRows(ctx context.Context) (changed int64, err error) {
	if lines, ok := d.records.(*lineSource); ok {
		return d.compareLines(ctx, lines)
	}
	return d.compareOrders(ctx)
}

// rowsAsText gives each row's place and values in one line, with a separator that no value has. COPY itself doubles
// backslashes and writes a newline as \n.
const rowsAsText = `
COPY (SELECT concat_ws(chr(31), kafka_partition, kafka_offset, id, customer_id, country, status, total, items,
express::int, note,
             to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), ref)
      FROM orders) TO STDOUT`

// compareOrders reads the whole table back.
func (d *demo) compareOrders(ctx context.Context) (changed int64, err error) {
	r, w := io.Pipe()
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, err := d.conn.PgConn().CopyTo(ctx, w, rowsAsText)
		w.CloseWithError(err)
	}()
	defer func() { r.Close(); <-copied }()
	lines := lineReader{r: r}
	var want, original []byte
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return changed, nil
		}
		if err != nil {
			return changed, err
		}
		i, values, ok := cutPlace(line)
		if ok {
			original = orderdata.Order(original[:0], i)
			if want, err = orderAsText(want[:0], original); err != nil {
				return changed, err
			}
		}
		if !ok || !bytes.Equal(values, want) {
			changed++
		}
	}
}

// cutPlace parts a line of rowsAsText into the number of its record and the values.
func cutPlace(line []byte) (record int64, values []byte, ok bool) {
	partition, rest, _ := bytes.Cut(line, []byte{31})
	offset, values, _ := bytes.Cut(rest, []byte{31})
	p, err1 := strconv.ParseInt(string(partition), 10, 32)
	o, err2 := strconv.ParseInt(string(offset), 10, 64)
	return recordAt(int32(p), o), values, err1 == nil && err2 == nil
}

// order is an order's values; numbers stay as they are written.
type order struct {
	ID       int64
	Customer struct {
		ID      int64
		Country string
	}
	Status    string
	Total     json.Number
	Items     int64
	Express   bool
	Note      string
	CreatedAt string `json:"created_at"`
	Ref       string
}

// orderAsText appends what rowsAsText must give for an order. It reads the JSON with the standard library, so that
// sinker's own reading is held against another one.
func orderAsText(dst, src []byte) ([]byte, error) {
	var o order
	if err := json.Unmarshal(src, &o); err != nil {
		return dst, fmt.Errorf("a generated order: %w", err)
	}
	dst = append(strconv.AppendInt(dst, o.ID, 10), 31)
	dst = append(strconv.AppendInt(dst, o.Customer.ID, 10), 31)
	dst = append(append(dst, o.Customer.Country...), 31)
	dst = append(append(dst, o.Status...), 31)
	dst = append(append(dst, o.Total...), 31)
	dst = append(strconv.AppendInt(dst, o.Items, 10), 31)
	if o.Express {
		dst = append(dst, '1', 31)
	} else {
		dst = append(dst, '0', 31)
	}
	for i := range len(o.Note) {
		switch c := o.Note[i]; c {
		case '\\':
			dst = append(dst, `\\`...)
		case '\n':
			dst = append(dst, `\n`...)
		default:
			dst = append(dst, c)
		}
	}
	dst = append(dst, 31)
	dst = append(append(dst, o.CreatedAt...), 31)
	return append(dst, o.Ref...), nil
}

// lineReader cuts a stream at newlines, without a copy.
type lineReader struct {
	r    io.Reader
	buf  []byte
	from int
	err  error
}

func (l *lineReader) next() ([]byte, error) {
	for {
		if i := bytes.IndexByte(l.buf[l.from:], '\n'); i >= 0 {
			line := l.buf[l.from : l.from+i]
			l.from += i + 1
			return line, nil
		}
		if l.err != nil {
			return nil, l.err
		}
		rest := copy(l.buf, l.buf[l.from:])
		l.buf, l.from = l.buf[:cap(l.buf)], 0
		if rest == len(l.buf) {
			l.buf = append(l.buf, make([]byte, 256<<10)...)
		}
		var n int
		n, l.err = l.r.Read(l.buf[rest:])
		l.buf = l.buf[:rest+n]
	}
}
