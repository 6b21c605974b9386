package figure

import (
	"strings"

	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/inspect"
)

// Row is a line of a graph whose text stands beside the lanes, in a page of HTML. A
// line where lanes join has neither a node nor a number of older versions.
type Row struct {
	Node *inspect.Node
	// Older is the number of versions that were left out below, as text.
	Older string
	// ID is the end of the node's ID that makes it distinct in the graph.
	ID string
	// Look is the look of the node: committed, open, lost or broken.
	Look string
	// Fate is what has become of a node that is not simply committed.
	Fate string
}

// The classes of the lines and the dots in the image of [Lanes] are lane and dot, with
// the look; a line of an append that is not committed is dashed as well.
const (
	lanesLine = `<path class="lane %s" d="%s"/>`
	lanesDot  = `<circle class="dot %s" cx="%d" cy="%d" r="%d"/>`
)

// Lanes returns a graph as rows, and the lanes beside them as an image of SVG without
// colours, which holds no text of the store. A row is 28 pixels high, and 16 if lanes
// join there.
func Lanes(g inspect.Graph) ([]Row, ui.Safe) {
	s := &svgGraph{graphWords: graphWords{g, uniqueEnd(g.Nodes)}, rows: layOut(g), at: map[*inspect.Node]int{}}
	_, height := s.place(0)
	top, lanes := svgMargin+svgTitle, 0
	if g.HeadFault != nil {
		top += svgTitle
	}
	rows := make([]Row, len(s.rows))
	for i, r := range s.rows {
		rows[i], lanes = s.besides(r), max(lanes, laneOf(r)+1)
	}
	s.add(`<svg class="lanes" aria-hidden="true" width="%[1]d" height="%[2]d" viewBox="%[3]d %[4]d %[1]d %[2]d">`,
		lanes*svgLane, height-svgMargin/2-top, svgMargin, top)
	for l := range s.lines() {
		s.add(lanesLine, classes(l.look, l.dashed), l.path)
	}
	for i, r := range s.rows {
		s.laneDot(r, s.y[i])
	}
	s.add("</svg>")
	return rows, ui.Safe(s.String())
}

func classes(l look, dashed bool) string {
	if dashed {
		return l.class + " dashed"
	}
	return l.class
}

// besides returns what stands beside a row.
func (s *svgGraph) besides(r laneRow) Row {
	switch {
	case r.older:
		return Row{Older: s.older()}
	case r.node == nil:
		return Row{}
	default:
		return Row{Node: r.node, ID: s.shownID(r.node.ID), Look: lookOf(*r.node).class, Fate: s.fate(*r.node)}
	}
}

func (s *svgGraph) laneDot(r laneRow, y int) {
	x := laneX(r)
	switch {
	case r.older:
		s.add(lanesDot, looksLost.class, x, y, svgDot-3)
	case r.node != nil:
		s.add(lanesDot, lookOf(*r.node).class, x, y, svgDot-2)
		mark, _ := markOf(*r.node)
		if mark = strings.TrimPrefix(mark, "*"); mark != "" {
			s.add(`<circle class="ring %s" cx="%d" cy="%d" r="%d"/>`, lookOf(*r.node).class, x, y, svgDot)
			s.add(`<text class="mark %s" x="%d" y="%d">%s</text>`, lookOf(*r.node).class, x, y+svgDot/2, mark)
		}
	}
}
