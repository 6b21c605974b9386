package figure

import (
	"fmt"
	"strings"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/inspect"
)

// graphWords has the words of a graph, which are the same in every format.
type graphWords struct {
	graph inspect.Graph
	id    int // the number of characters of an ID that are shown
}

// older returns the number of versions that were left out, as text.
func (w graphWords) older() string {
	return ui.Plural(int64(w.graph.First), "older version")
}

// uniqueEnd returns the number of characters at the end of an ID that make the IDs
// distinct, at least 6.
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

// shownID returns the part of an ID that the graph shows.
func (w graphWords) shownID(id changeset.ID) string {
	s := id.String()
	if w.id < len(s) {
		return "…" + s[len(s)-w.id:]
	}
	return s
}

// fate returns the fate of a changeset, and which part of an append it is.
func (w graphWords) fate(n inspect.Node) string {
	var notes []string
	if n.Count > 1 { // a pack of which nothing is known
		notes = append(notes, fmt.Sprintf("versions %d to %d", n.First(), n.Version))
	}
	if n.Part != (changeset.Part{}) {
		notes = append(notes, n.Part.String())
	}
	if c := n.Commit(); !c.IsZero() {
		notes = append(notes, fmt.Sprintf("commit %s of %d", w.shownID(c.ID), c.Members))
	}
	switch {
	case n.Fault != nil:
		notes = append(notes, n.Fault.Reason)
	case n.Kind == inspect.Lost && !n.LostTo.ID.IsZero():
		notes = append(notes, "lost to "+w.shownID(n.LostTo.ID))
	case n.Kind == inspect.Ahead:
		notes = append(notes, fmt.Sprintf("ahead: built on revision %d, the head is at %d", n.AfterRevision, w.graph.Head.Revision))
	case n.Kind == inspect.Unknown:
		notes = append(notes, "unknown")
	case n.Kind != inspect.Committed:
		notes = append(notes, n.Kind.String())
	}
	return strings.Join(notes, " ")
}

// HeaderKnown reports whether the header of a changeset was read.
func HeaderKnown(n inspect.Node) bool { return n.Kind != inspect.Missing && n.Fault == nil }
