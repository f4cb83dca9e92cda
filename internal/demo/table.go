package demo

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// tableWidth is what a terminal holds for certain.
const tableWidth = 80

// grid is rows of text, the first of them the names of the columns.
type grid struct {
	cells   [][]string
	numbers []bool // columns that stand to the right
}

// printTable prints the rows of a query as psql would, in 80 columns: wide values are cut, and columns that find no room
// are only named.
func printTable(ctx context.Context, w io.Writer, conn *pgx.Conn, sql string) error {
	rows, err := conn.Query(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	defer rows.Close()
	var g grid
	var names []string
	for _, f := range rows.FieldDescriptions() {
		names = append(names, inCell(f.Name))
		g.numbers = append(g.numbers, slices.Contains([]uint32{pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.NumericOID, pgtype.Float4OID, pgtype.Float8OID}, f.DataTypeOID))
	}
	g.cells = append(g.cells, names)
	for rows.Next() {
		var cells []string
		for _, v := range rows.RawValues() {
			if len(v) > 200 {
				v = v[:200]
			}
			cells = append(cells, inCell(string(v)))
		}
		g.cells = append(g.cells, cells)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	g.print(w)
	return nil
}

// inCell keeps a value in its cell.
func inCell(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return '⏎'
		}
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(s, "·"))
}

func (g grid) print(w io.Writer) {
	widths := g.widths()
	for n, cells := range g.cells {
		var line []string
		for i, width := range widths {
			line = append(line, pad(clip(cells[i], width), width, g.numbers[i] && n > 0))
		}
		fmt.Fprintln(w, strings.TrimRight(" "+strings.Join(line, " | "), " "))
		if n == 0 {
			for i, width := range widths {
				line[i] = strings.Repeat("-", width)
			}
			fmt.Fprintln(w, "-"+strings.Join(line, "-+-")+"-")
		}
	}
	if left := g.cells[0][len(widths):]; len(left) > 0 {
		names := strings.Join(left, ", ")
		fmt.Fprintln(w, clip(" and "+names, tableWidth))
	}
}

// narrowest is how far a column is cut to make room for others, unless its name is longer.
const narrowest, longestName = 7, 12

// widths are those of the columns that find room: the last are left out, and of the others the widest give way first.
func (g grid) widths() []int {
	natural := make([]int, len(g.cells[0]))
	for _, cells := range g.cells {
		for i, c := range cells {
			natural[i] = max(natural[i], utf8.RuneCountInString(c))
		}
	}
	least := make([]int, len(natural))
	for i, w := range natural {
		least[i] = min(w, max(narrowest, min(longestName, utf8.RuneCountInString(g.cells[0][i]))))
	}
	n := len(natural)
	for n > 1 && lineWidth(least[:n]) > tableWidth {
		n--
	}
	widths := natural[:n]
	for lineWidth(widths) > tableWidth {
		give := 0
		for i := range widths {
			if widths[i]-least[i] > widths[give]-least[give] {
				give = i
			}
		}
		if widths[give] == least[give] {
			break
		}
		widths[give]--
	}
	return widths
}

// lineWidth is how long a line of columns of these widths is.
func lineWidth(widths []int) (n int) {
	for _, w := range widths {
		n += w + 3
	}
	return n - 1
}

func pad(s string, width int, right bool) string {
	blank := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
	if right {
		return blank + s
	}
	return s + blank
}

func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
