package table

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// gridWidth is what every terminal holds.
const gridWidth = 80

// Grid prints rows as psql would, in 80 columns: wide values are cut, and columns that find no room are only named.
type Grid struct {
	numbers []bool // columns that are aligned at their right
	cells   [][]string
}

// NewGrid returns a grid. numbers says which of the columns are aligned at their right.
func NewGrid(names []string, numbers []bool) *Grid {
	g := &Grid{numbers: numbers}
	g.Row(names)
	return g
}

// Row adds a row. What does not print becomes a dot.
func (g *Grid) Row(cells []string) {
	line := make([]string, len(cells))
	for i, c := range cells {
		line[i] = inCell(c[:min(len(c), 4*gridWidth)])
	}
	g.cells = append(g.cells, line)
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

// Print prints the rows so far.
func (g *Grid) Print(w io.Writer) {
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
		fmt.Fprintln(w, clip(" and "+names, gridWidth))
	}
}

// A column is cut to narrowest characters to make room for others, or to its name's length up to longestName.
const narrowest, longestName = 7, 12

// widths are those of the columns that find room: the last are left out, and of the others the widest give way first.
func (g *Grid) widths() []int {
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
	for n > 1 && lineWidth(least[:n]) > gridWidth {
		n--
	}
	widths := natural[:n]
	for lineWidth(widths) > gridWidth {
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
