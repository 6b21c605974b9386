package figure

import (
	"fmt"
	"html"
	"iter"
	"slices"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"

	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/inspect"
)

// The measures of an SVG, in pixels.
const (
	svgMargin = 20
	svgTitle  = 22 // height of the title
	svgRow    = 28 // height of a changeset's row
	svgFork   = 16 // height of a row without a changeset
	svgLane   = 26 // width of a lane
	svgDot    = 8  // radius of a changeset's dot
	svgChar   = 8  // width of a character; generous, since fonts differ
	svgBadge  = 44 // width of the head's badge
)

// svgGraph draws a graph as text does, a row for each changeset, with the
// newest on top.
type svgGraph struct {
	strings.Builder
	graphWords
	rows []laneRow
	y    []int                 // of each row's middle
	at   map[*inspect.Node]int // each changeset's row
	left [4]int                // where the versions end, and the IDs, the times and the notes begin
}

// SVG returns a graph as an image.
func SVG(g inspect.Graph) ui.Safe {
	s := &svgGraph{graphWords: graphWords{g, uniqueEnd(g.Nodes)}, rows: layOut(g), at: map[*inspect.Node]int{}}
	title := ui.Escape(g.AggregateID, ui.MaxCell)
	width, height := s.place(lipgloss.Width(title))
	s.add(`<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" role="img"`, width, height)
	s.add(`     font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13">`)
	s.add(`  <title>The chain of %s</title>`, html.EscapeString(title))
	s.add(`  <rect x="0.5" y="0.5" width="%d" height="%d" rx="6" fill="#ffffff" stroke="#d0d7de"/>`, width-1, height-1)
	s.text(svgMargin, svgMargin+5, looksCommitted.text, ` font-weight="bold"`, title)
	if g.HeadFault != nil {
		s.text(svgMargin, svgMargin+svgTitle+5, looksBroken.text, "", s.headFault())
	}
	s.edges()
	for i, r := range s.rows {
		s.row(r, s.y[i])
	}
	s.add("</svg>")
	return ui.Safe(s.String())
}

func (s *svgGraph) add(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

// text adds text that begins at x on a base line.
func (s *svgGraph) text(x, y int, fill, more, text string) {
	s.add(`  <text x="%d" y="%d" fill="%s"%s>%s</text>`, x, y, fill, more, html.EscapeString(ui.Escape(text, ui.MaxCell)))
}

// place finds the position of every row and column, and returns the size of the
// image. The title is so many characters wide.
func (s *svgGraph) place(title int) (width, height int) {
	y := svgMargin + svgTitle
	if s.graph.HeadFault != nil {
		y += svgTitle
		title = max(title, lipgloss.Width(ui.Escape(s.headFault(), ui.MaxCell)))
	}
	for i, r := range s.rows {
		step := svgFork
		if r.node != nil || r.older {
			step = svgRow
		}
		s.y = append(s.y, y+step/2)
		y += step
		if r.node != nil {
			s.at[r.node] = i
		}
	}
	return max(s.columns(), svgMargin+title*svgChar) + svgMargin, y + svgMargin/2
}

// columns finds the positions of the columns, and returns the end of the last one.
func (s *svgGraph) columns() int {
	lane, version, id, note := 0, 0, 0, 0
	for _, r := range s.rows {
		if r.node == nil {
			continue
		}
		lane = max(lane, laneOf(r))
		version = max(version, len(strconv.FormatUint(r.node.Version, 10)))
		id = max(id, lipgloss.Width(s.shownID(r.node.ID)))
		note = max(note, svgChar*lipgloss.Width(ui.Escape(s.fate(*r.node), ui.MaxCell))+s.badge(*r.node))
	}
	s.left[0] = svgMargin + (lane+1)*svgLane + (version+1)*svgChar
	s.left[1] = s.left[0] + svgChar
	s.left[2] = s.left[1] + (id+2)*svgChar
	s.left[3] = s.left[2] + (len("2006-01-02 15:04:05Z")+2)*svgChar
	return s.left[3] + note
}

func (s *svgGraph) headFault() string { return "! head: " + s.graph.HeadFault.Reason }

// badge returns the width of the head's badge before a note.
func (s *svgGraph) badge(n inspect.Node) int {
	if n.Ref == s.graph.Head.Ref {
		return svgBadge + svgChar
	}
	return 0
}

// laneOf returns the lane of a row's changeset, from 0. In text a lane is two
// characters wide.
func laneOf(r laneRow) int { return len(r.lanes) / 2 }

// edges draws the line from each changeset to the changeset that it was built on.
func (s *svgGraph) edges() {
	for e := range s.lines() {
		dash := ""
		if e.dashed {
			dash = ` stroke-dasharray="4 3"`
		}
		s.add(`  <path d="%s" fill="none" stroke="%s" stroke-width="2"%s/>`, e.path, e.look.stroke, dash)
	}
}

// svgLine is a line between two changesets.
type svgLine struct {
	path   string // as the attribute d of a path has it
	look   look
	dashed bool
}

// lines yields the line from each changeset to the changeset that it was built on:
// down its lane, and at the end of the lane into the lane that it forks off.
func (s *svgGraph) lines() iter.Seq[svgLine] {
	return func(yield func(svgLine) bool) {
		for i, b := range slices.Backward(basesOf(s.graph)) { // the chain over what forks off it
			if b.node == nil && !b.older {
				continue
			}
			n := &s.graph.Nodes[i]
			if !yield(svgLine{s.pathDown(n, b), lookOf(*n), n.Kind != inspect.Committed || b.older}) {
				return
			}
		}
	}
}

func (s *svgGraph) pathDown(n *inspect.Node, b base) string {
	row, below := s.at[n], s.at[b.node]
	if b.older {
		below = slices.IndexFunc(s.rows, func(r laneRow) bool { return r.older })
	}
	from, to := laneX(s.rows[row]), laneX(s.rows[below])
	if from == to {
		return fmt.Sprintf("M%d %dV%d", from, s.y[row], s.y[below])
	}
	join := s.y[row+1] // the lanes join in the row below
	return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", from, s.y[row], from, join, to, join-svgFork/2, to, join+svgFork/2)
}

func laneX(r laneRow) int { return svgMargin + svgLane/2 + laneOf(r)*svgLane }

// row draws a changeset: its dot, and its text.
func (s *svgGraph) row(r laneRow, y int) {
	x, line := laneX(r), y+svgDot/2
	if r.older {
		s.dot(x, y, looksLost, "~")
		s.text(x+svgLane, line, looksLost.text, "", s.older())
	}
	if r.node == nil {
		return
	}
	n, l := *r.node, lookOf(*r.node)
	mark, _ := markOf(n)
	s.add(`  <g><title>%s</title>`, html.EscapeString(ui.Escape(n.Ref.String(), ui.MaxCell)))
	s.dot(x, y, l, strings.TrimPrefix(mark, "*"))
	s.text(s.left[0], line, l.text, ` text-anchor="end" font-weight="bold"`, strconv.FormatUint(n.Version, 10))
	s.text(s.left[1], line, l.text, "", s.shownID(n.ID))
	if HeaderKnown(n) {
		s.text(s.left[2], line, l.text, "", ui.Seconds(n.RecordedAt))
	}
	note := s.left[3] + s.badge(n)
	if note > s.left[3] {
		s.add(`  <rect x="%d" y="%d" width="%d" height="%d" rx="9" fill="%s"/>`, s.left[3], y-9, svgBadge, 18, looksHead.fill)
		s.text(s.left[3]+svgBadge/2, line, looksHead.text, ` text-anchor="middle" font-weight="bold" font-size="12"`, "head")
	}
	if fate := s.fate(n); fate != "" {
		s.text(note, line, l.text, "", fate)
	}
	s.add("  </g>")
}

// dot draws a dot. Without a mark it is full.
func (s *svgGraph) dot(x, y int, l look, mark string) {
	if mark == "" {
		s.add(`  <circle cx="%d" cy="%d" r="%d" fill="%s"/>`, x, y, svgDot-2, l.stroke)
		return
	}
	s.add(`  <circle cx="%d" cy="%d" r="%d" fill="%s" stroke="%s" stroke-width="2"/>`, x, y, svgDot, l.fill, l.stroke)
	s.text(x, y+svgDot/2, l.text, ` text-anchor="middle" font-weight="bold" font-size="12"`, mark)
}
