package main

import (
	"fmt"
	"image/color"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"

	"ropewalk/changeset"
	"ropewalk/inspect"
)

// graphText writes the lines of a graph.
type graphText struct {
	*app
	graph   inspect.Graph
	version int // the widest version
	id      int // how much of an ID is shown
	left    int // the widest left half of a line
}

// drawGraph prints a graph as text: the lanes, and what became of each changeset.
func (a *app) drawGraph(g inspect.Graph) error {
	t := graphText{app: a, graph: g, id: len(changeset.ID{}.String())}
	if a.terminal(a.stdout) {
		t.id = uniqueEnd(g.Nodes)
	}
	rows := layOut(g)
	for _, n := range g.Nodes {
		t.version = max(t.version, len(strconv.FormatUint(n.Version, 10)))
	}
	for _, r := range rows {
		if r.node != nil {
			t.left = max(t.left, lipgloss.Width(t.leftHalf(r)))
		}
	}
	if g.HeadFault != nil {
		if err := a.print("%s head: %s\n", a.paint(a.stdout, red, "!"), g.HeadFault.Reason); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if err := a.print("%s\n", t.line(r)); err != nil {
			return err
		}
	}
	return nil
}

// uniqueEnd returns how many characters tell the IDs apart, from their ends,
// 6 at least.
func uniqueEnd(nodes []inspect.Node) int {
	for n := 6; ; n++ {
		ends := map[string]bool{}
		for _, node := range nodes {
			id := node.ID.String()
			ends[id[len(id)-min(n, len(id)):]] = true
		}
		if len(ends) == len(nodes) || n >= len(changeset.ID{}.String()) {
			return n
		}
	}
}

// shownID returns as much of an ID as the graph shows.
func (t graphText) shownID(id changeset.ID) string {
	s := id.String()
	if t.id < len(s) {
		return "…" + s[len(s)-t.id:]
	}
	return s
}

func (t graphText) line(r laneRow) string {
	switch {
	case r.older:
		return fmt.Sprintf("~ %s: --last 0", plural(int64(t.graph.First), "older version"))
	case r.node == nil:
		return r.lanes
	}
	left := padded(t.leftHalf(r), t.left+8)
	mark, c := markOf(*r.node)
	note := t.note(*r.node)
	if c != nil {
		left = r.lanes + t.paint(t.stdout, c, mark) + left[len(r.lanes)+len(mark):]
		note = t.paint(t.stdout, c, note)
	}
	return strings.TrimRight(left+note, " ")
}

// leftHalf returns the lanes, the mark, the version, the ID and the time.
func (t graphText) leftHalf(r laneRow) string {
	n := *r.node
	mark, _ := markOf(n)
	left := fmt.Sprintf("%s%s %*d %s", r.lanes, mark, t.version, n.Version, t.shownID(n.ID))
	if known(n) {
		left += " " + seconds(n.RecordedAt)
	}
	return left
}

// markOf returns the mark of a changeset, and the colour of its line; none for
// what needs no attention.
func markOf(n inspect.Node) (string, color.Color) {
	switch {
	case !known(n):
		return "!", red
	case n.Kind == inspect.Committed:
		return "*", nil
	case n.Kind == inspect.Pending:
		return "?", yellow
	case n.Kind == inspect.Lost:
		return "x", nil
	case n.Kind == inspect.Ahead:
		return "+", yellow
	default:
		return "!", red
	}
}

// note says what became of a changeset.
func (t graphText) note(n inspect.Node) string {
	var notes []string
	if n.Part != (changeset.Part{}) {
		notes = append(notes, n.Part.String())
	}
	switch {
	case n.Fault != nil:
		notes = append(notes, n.Fault.Reason)
	case n.Kind == inspect.Lost && !n.LostTo.ID.IsZero():
		notes = append(notes, "lost to "+t.shownID(n.LostTo.ID))
	case n.Kind == inspect.Pending && n.Part.Last():
		ref := fmt.Sprintf("%s@%d.%s", n.AggregateID, n.Version, t.shownID(n.ID))
		notes = append(notes, "pending: ropewalk settle "+quote(ref))
	case n.Kind == inspect.Ahead:
		notes = append(notes, fmt.Sprintf("ahead: built on revision %d, the head is at %d", n.AfterRevision, t.graph.Head.Revision))
	case n.Kind == inspect.Untold:
		notes = append(notes, "in doubt")
	case n.Kind != inspect.Committed:
		notes = append(notes, n.Kind.String())
	}
	if n.Ref == t.graph.Head.Ref {
		notes = append(notes, "<- head")
	}
	return strings.Join(notes, " ")
}
