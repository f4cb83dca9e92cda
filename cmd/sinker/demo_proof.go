package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"sinker/internal/local"

	"github.com/jackc/pgx/v5"
)

// columnsAsText gives each row's values in one line, with a separator that no value has. COPY itself doubles
// backslashes and writes a newline as \n.
const columnsAsText = `
COPY (SELECT concat_ws(chr(31), id, customer_id, country, status, total, items, express::int, note, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), ref)
      FROM orders ORDER BY id) TO STDOUT`

// compareContent reads the whole table back and compares every value with the order it came from.
func (d *demo) compareContent(ctx context.Context) (changed int64, err error) {
	r, w := io.Pipe()
	go func() {
		_, err := d.conn.PgConn().CopyTo(ctx, w, columnsAsText)
		w.CloseWithError(err)
	}()
	defer r.Close()
	lines := newLines(r)
	var want, original []byte
	for last := int64(-1); ; {
		line, err := lines.next()
		if err == io.EOF {
			return changed, nil
		}
		if err != nil {
			return changed, fmt.Errorf("read the table back: %w", err)
		}
		digits, _, _ := bytes.Cut(line, []byte{31})
		id, err := strconv.ParseInt(string(digits), 10, 64)
		if err != nil {
			return changed, fmt.Errorf("read the table back: %w", err)
		}
		if id == last {
			continue // counted as duplicated
		}
		last = id
		original = local.Order(original[:0], id)
		if want, err = orderAsText(want[:0], original); err != nil {
			return changed, err
		}
		if !bytes.Equal(line, want) {
			changed++
		}
	}
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
	Items     int
	Express   bool
	Note      string
	CreatedAt string `json:"created_at"`
	Ref       string
}

var copyEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`)

// orderAsText appends what columnsAsText must give for an order. It reads the JSON with the standard library, so that
// sinker's own reading is held against another one.
func orderAsText(dst, src []byte) ([]byte, error) {
	var o order
	if err := json.Unmarshal(src, &o); err != nil {
		return dst, err
	}
	express := 0
	if o.Express {
		express = 1
	}
	values := []any{o.ID, o.Customer.ID, o.Customer.Country, o.Status, o.Total, o.Items, express, copyEscapes.Replace(o.Note), o.CreatedAt, o.Ref}
	for i, v := range values {
		if i > 0 {
			dst = append(dst, 31)
		}
		dst = fmt.Append(dst, v)
	}
	return dst, nil
}

// lines cuts a stream at newlines, without a copy.
type lines struct {
	r    io.Reader
	buf  []byte
	from int
	err  error
}

func newLines(r io.Reader) *lines { return &lines{r: r} }

func (l *lines) next() ([]byte, error) {
	for {
		if i := bytes.IndexByte(l.buf[l.from:], '\n'); i >= 0 {
			line := l.buf[l.from : l.from+i]
			l.from += i + 1
			return line, nil
		}
		if l.err != nil {
			return nil, l.err
		}
		l.buf = append(l.buf[:0], l.buf[l.from:]...)
		l.from = 0
		n := len(l.buf)
		l.buf = append(l.buf, make([]byte, 256<<10)...)
		var m int
		m, l.err = l.r.Read(l.buf[n:])
		l.buf = l.buf[:n+m]
	}
}

// printTable prints rows as psql would, cut to what a terminal holds.
func printTable(w io.Writer, rows pgx.Rows) {
	var names []string
	for _, f := range rows.FieldDescriptions() {
		names = append(names, f.Name)
	}
	table := [][]string{names}
	for rows.Next() {
		cells := make([]string, len(names))
		for i, v := range rows.RawValues() {
			cells[i] = clip(strings.ReplaceAll(string(v), "\n", "⏎"), 20)
		}
		table = append(table, cells)
	}
	widths := make([]int, len(names))
	for _, cells := range table {
		for i, c := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for n, cells := range table {
		var b strings.Builder
		for i, c := range cells {
			fmt.Fprintf(&b, " %s%s |", c, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)))
		}
		fmt.Fprintln(w, strings.TrimSuffix(b.String(), "|"))
		if n == 0 {
			for i, width := range widths {
				fmt.Fprint(w, strings.Repeat("-", width+2))
				if i < len(widths)-1 {
					fmt.Fprint(w, "+")
				}
			}
			fmt.Fprintln(w)
		}
	}
}

func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
