package figure

import (
	"slices"

	"ropewalk/changeset"
	"ropewalk/inspect"
)

// lanes lays a graph out. Each changeset that was built beside the chain begins a
// lane of its own, right above the changeset that it was built on, so that lanes
// never cross.
type lanes struct {
	above map[*inspect.Node][]*inspect.Node // by the changeset they were built on; the first continues its lane
	rows  []laneRow
}

// laneRow is one line: its lanes, and the changeset in the last lane. A line where
// lanes join has no changeset.
type laneRow struct {
	lanes string
	node  *inspect.Node
	older bool // the line stands for the versions that were left out below
}

// base is the changeset that another was built on: a node of the graph, or older
// if it is below the versions that are shown. It is neither if it is missing.
type base struct {
	node  *inspect.Node
	older bool
}

// basesOf returns the base of each node of a graph.
func basesOf(g inspect.Graph) []base {
	bases := make([]base, len(g.Nodes))
	shown := map[changeset.Ref]*inspect.Node{}
	var chain []*inspect.Node
	for i := range g.Nodes {
		n := &g.Nodes[i]
		shown[n.Ref] = n
		if inChain(n) {
			chain = append(chain, n)
		}
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		parent := changeset.Ref{AggregateID: n.AggregateID, Version: n.Version - 1, ID: n.Parent}
		switch {
		case inChain(n) && chain[0] == n && len(chain) > 1:
			chain = chain[1:] // its parent may be missing, and a missing changeset names no parent
			bases[i].node = chain[0]
		case n.Version > 0 && shown[parent] != nil:
			bases[i].node = shown[parent]
		default:
			bases[i].older = n.Version == g.First && g.First > 0
		}
	}
	return bases
}

// layOut returns the lines of a graph, from the top.
func layOut(g inspect.Graph) []laneRow {
	l := lanes{above: map[*inspect.Node][]*inspect.Node{}}
	var roots []*inspect.Node
	for i, b := range basesOf(g) { // in a version, the committed changeset comes first, then pending ones
		n := &g.Nodes[i]
		if b.node == nil && !b.older {
			roots = append(roots, n)
			continue
		}
		l.above[b.node] = append(l.above[b.node], n)
	}
	l.draw(roots)
	return l.rows
}

func inChain(n *inspect.Node) bool { return n.Kind == inspect.Committed || n.Kind == inspect.Missing }

// draw draws the changesets without a base, apart from one another: the chain
// first.
func (l *lanes) draw(roots []*inspect.Node) {
	slices.SortStableFunc(roots, func(a, b *inspect.Node) int {
		switch {
		case inChain(a) == inChain(b):
			return 0
		case inChain(a):
			return -1
		default:
			return 1
		}
	})
	if len(l.above[nil]) > 0 {
		l.lane("", laneRow{older: true})
	}
	for _, n := range roots {
		if len(l.rows) > 0 {
			l.rows = append(l.rows, laneRow{})
		}
		l.lane("", laneRow{node: n})
	}
}

// lane draws a lane from its top down to the given bottom, and the lanes that
// fork off it.
func (l *lanes) lane(left string, bottom laneRow) {
	path := []laneRow{bottom}
	for above := l.above[bottom.node]; len(above) > 0; above = l.above[above[0]] {
		path = append(path, laneRow{node: above[0]})
	}
	for i := len(path) - 1; i >= 0; i-- {
		beside := l.above[path[i].node]
		for _, n := range beside[min(1, len(beside)):] {
			l.lane(left+"| ", laneRow{node: n})
			l.rows = append(l.rows, laneRow{lanes: left + "|/"})
		}
		path[i].lanes = left
		l.rows = append(l.rows, path[i])
	}
}
