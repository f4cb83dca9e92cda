// Package table prints tables for people: columns that line up, two spaces apart.
package table

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table collects rows and prints them at Flush. It is for one goroutine.
type Table struct {
	w     *tabwriter.Writer
	right bool
	err   error // the first of the writer's
}

// New returns a table whose columns are aligned at their left. Without a header it begins with the first row.
func New(w io.Writer, header ...string) *Table {
	return begin(&Table{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}, header)
}

// NewRight returns a table whose columns are aligned at their right, for numbers that are compared.
func NewRight(w io.Writer, header ...string) *Table {
	return begin(&Table{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight), right: true}, header)
}

func begin(t *Table, header []string) *Table {
	if len(header) > 0 {
		t.write(header)
	}
	return t
}

// Row adds a row. A cell is printed as fmt.Print does. A tab in a cell becomes a space. A cell of several lines goes
// on in the rows below, in its own column.
func (t *Table) Row(cells ...any) {
	columns := make([][]string, len(cells))
	height := 1
	for i, c := range cells {
		columns[i] = strings.Split(strings.ReplaceAll(fmt.Sprint(c), "\t", " "), "\n")
		height = max(height, len(columns[i]))
	}
	for y := range height {
		line := make([]string, len(cells))
		for x, c := range columns {
			if y < len(c) {
				line[x] = c[y]
			}
		}
		t.write(line)
	}
}

func (t *Table) write(line []string) {
	end := "\n"
	if t.right {
		end = "\t\n" // a last cell that is not ended would not be aligned
	}
	if _, err := io.WriteString(t.w, strings.Join(line, "\t")+end); t.err == nil {
		t.err = err
	}
}

// Flush prints the rows. Its error is the first that the writer returned; the table may be printed in part then.
func (t *Table) Flush() error {
	if err := t.w.Flush(); t.err == nil {
		t.err = err
	}
	return t.err
}
