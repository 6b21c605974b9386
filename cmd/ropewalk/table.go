package main

import (
	"io"
	"strings"

	"charm.land/lipgloss/v2"

	"ropewalk/cmd/ropewalk/internal/visible"
)

// tableAhead is how many rows a table holds back to learn the widths of its
// columns. Later rows that are wider stand out; nothing is cut off.
const tableAhead = 256

// table writes rows in columns as a terminal shows them, wide characters
// included. The last column is not padded. It must be flushed.
type table struct {
	w      io.Writer
	right  map[int]bool // columns that align to the right
	widths []int
	held   [][]string
	fixed  bool // rows are no longer held back
}

func newTable(w io.Writer, header ...string) *table {
	return &table{w: w, right: map[int]bool{}, widths: make([]int, len(header)), held: [][]string{header}}
}

// alignRight aligns columns, counted from 0, to the right.
func (t *table) alignRight(columns ...int) *table {
	for _, c := range columns {
		t.right[c] = true
	}
	return t
}

// row adds a row with as many cells as the header has, each escaped.
func (t *table) row(cells ...string) error {
	for i, cell := range cells {
		cells[i] = visible.Text(cell)
	}
	if t.fixed {
		return t.write(cells)
	}
	t.held = append(t.held, cells)
	if len(t.held) > tableAhead {
		return t.flush()
	}
	return nil
}

// flush writes what is held back.
func (t *table) flush() error {
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

func (t *table) write(cells []string) error {
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
