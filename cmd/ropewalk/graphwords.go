package main

import (
	"fmt"
	"strings"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/inspect"
)

// graphWords is what a graph says of its changesets, in any format.
type graphWords struct {
	graph inspect.Graph
	id    int // how much of an ID is shown
}

// older says how many versions were left out.
func (w graphWords) older() string {
	return ui.Plural(int64(w.graph.First), "older version")
}

// uniqueEnd returns how many characters, from their ends, make the IDs
// distinct, 6 at least.
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
func (w graphWords) shownID(id changeset.ID) string {
	s := id.String()
	if w.id < len(s) {
		return "…" + s[len(s)-w.id:]
	}
	return s
}

// fate says what became of a changeset, and which part of an append it is.
func (w graphWords) fate(n inspect.Node) string {
	var notes []string
	if n.Part != (changeset.Part{}) {
		notes = append(notes, n.Part.String())
	}
	switch {
	case n.Fault != nil:
		notes = append(notes, n.Fault.Reason)
	case n.Kind == inspect.Lost && !n.LostTo.ID.IsZero():
		notes = append(notes, "lost to "+w.shownID(n.LostTo.ID))
	case n.Kind == inspect.Ahead:
		notes = append(notes, fmt.Sprintf("ahead: built on revision %d, the head is at %d", n.AfterRevision, w.graph.Head.Revision))
	case n.Kind == inspect.Untold:
		notes = append(notes, "in doubt")
	case n.Kind != inspect.Committed:
		notes = append(notes, n.Kind.String())
	}
	return strings.Join(notes, " ")
}
