// Package figure draws the graph of a chain and of the changesets beside it: as text
// for a terminal, for Mermaid and Graphviz, and as SVG.
package figure

import (
	"fmt"
	"image/color"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/cmd/ropewalk/internal/visible"
	"ropewalk/inspect"
)

// graphText writes the lines of a graph.
type graphText struct {
	*ui.Streams
	graphWords
	version int // the widest version
	left    int // the widest left half of a line
}

// Text prints a graph as text: the lanes, and the fate of each changeset.
func Text(std *ui.Streams, g inspect.Graph) error {
	t := graphText{Streams: std, graphWords: graphWords{g, len(changeset.ID{}.String())}}
	if std.IsTerminal(std.Out) {
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
		if err := std.Print("%s head: %s\n", std.Paint(std.Out, ui.Red, "!"), g.HeadFault.Reason); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if err := std.Print("%s\n", t.line(r)); err != nil {
			return err
		}
	}
	return nil
}

func (t graphText) line(r laneRow) ui.Safe {
	switch {
	case r.older:
		return ui.Safe("~ " + t.older() + ": --limit 0")
	case r.node == nil:
		return ui.Safe(r.lanes)
	}
	left := ui.Padded(t.leftHalf(r), t.left+8)
	mark, c := markOf(*r.node)
	note := t.note(*r.node)
	if c == nil {
		return ui.Safe(strings.TrimRight(left+visible.Text(note), " "))
	}
	return ui.Safef("%s%s%s%s", r.lanes, t.Paint(t.Out, c, mark), left[len(r.lanes)+len(mark):], t.Paint(t.Out, c, note))
}

// leftHalf returns the lanes, the mark, the version, the ID and the time.
func (t graphText) leftHalf(r laneRow) string {
	n := *r.node
	mark, _ := markOf(n)
	left := fmt.Sprintf("%s%s %*d %s", r.lanes, mark, t.version, n.Version, t.shownID(n.ID))
	if HeaderKnown(n) {
		left += " " + ui.Seconds(n.RecordedAt)
	}
	return left
}

// markOf returns the mark of a changeset and the colour of its line. The colour is
// nil if the changeset needs no attention.
func markOf(n inspect.Node) (string, color.Color) {
	switch {
	case !HeaderKnown(n):
		return "!", ui.Red
	case n.Kind == inspect.Committed:
		return "*", nil
	case n.Kind == inspect.Pending:
		return "?", ui.Yellow
	case n.Kind == inspect.Lost:
		return "x", nil
	case n.Kind == inspect.Ahead:
		return "+", ui.Yellow
	default:
		return "!", ui.Red
	}
}

// note returns the fate of a changeset, what to do about it, and the head's mark.
func (t graphText) note(n inspect.Node) string {
	note := t.fate(n)
	if n.Kind == inspect.Pending && n.Fault == nil && n.Part.Last() {
		ref := fmt.Sprintf("%s@%d.%s", n.AggregateID, n.Version, t.shownID(n.ID))
		note += ": ropewalk settle " + ui.Operand(ref)
		if !t.graph.Head.IsZero() { // else there is nothing that settle could fence
			note += " # refuses it for good"
		}
	}
	if n.Ref == t.graph.Head.Ref {
		note = strings.TrimSpace(note + " <- head")
	}
	return note
}
