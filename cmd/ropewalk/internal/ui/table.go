package ui

import (
	"io"
	"strings"

	"charm.land/lipgloss/v2"

	"ropewalk/cmd/ropewalk/internal/visible"
)

// tableAhead is the number of rows that a table holds back to find the widths of
// its columns. Later rows may be wider; nothing is cut off.
const tableAhead = 256

// Table writes rows in columns as a terminal shows them, wide characters
// included. The last column is not padded. A table must be flushed.
type Table struct {
	w      io.Writer
	right  map[int]bool // columns that align to the right
	widths []int
	held   [][]string
	fixed  bool // rows are no longer held back
}

// NewTable returns a table with a header.
func NewTable(w io.Writer, header ...string) *Table {
	return &Table{w: w, right: map[int]bool{}, widths: make([]int, len(header)), held: [][]string{header}}
}

// AlignRight aligns columns, counted from 0, to the right.
func (t *Table) AlignRight(columns ...int) *Table {
	for _, c := range columns {
		t.right[c] = true
	}
	return t
}

// Row adds a row with a cell for each column of the header, and escapes the cells.
func (t *Table) Row(cells ...string) error {
	for i, cell := range cells {
		cells[i] = visible.Text(cell)
	}
	if t.fixed {
		return t.write(cells)
	}
	t.held = append(t.held, cells)
	if len(t.held) > tableAhead {
		return t.Flush()
	}
	return nil
}

// Flush writes the rows that are held back.
func (t *Table) Flush() error {
	t.fixed = true
	for _, cells := range t.held {
		for i, cell := range cells {
			t.widths[i] = max(t.widths[i], lipgloss.Width(cell))
		}
	}
	for _, cells := range t.held {
		if err := t.write(cells); err != nil {
			return err
		}
	}
	t.held = nil
	return nil
}

func (t *Table) write(cells []string) error {
	var line strings.Builder
	for i, cell := range cells {
		padding := strings.Repeat(" ", max(0, t.widths[i]-lipgloss.Width(cell)))
		if t.right[i] {
			cell, padding = padding+cell, ""
		}
		line.WriteString(cell + padding + "  ")
	}
	_, err := io.WriteString(t.w, strings.TrimRight(line.String(), " ")+"\n")
	return err
}
