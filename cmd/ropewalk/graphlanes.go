package main

import (
	"slices"

	"ropewalk/changeset"
	"ropewalk/inspect"
)

// lanes lays a graph out. What was built beside the chain stands in a lane of
// its own, right above the changeset that it was built on, so that lanes never
// cross.
type lanes struct {
	above map[changeset.Ref][]*inspect.Node // by what they were built on, the one that continues its lane first
	rows  []laneRow
}

// laneRow is one line: its lanes, and but for a fork the changeset in the last
// of them.
type laneRow struct {
	lanes string
	node  *inspect.Node
	older bool // it stands for all that was left out below
}

// older names what stands below all that is shown.
var older = changeset.Ref{}

// layOut returns the lines of a graph, from the top.
func layOut(g inspect.Graph) []laneRow {
	l := lanes{above: map[changeset.Ref][]*inspect.Node{}}
	shown := map[changeset.Ref]bool{}
	var chain, roots []*inspect.Node
	for i := range g.Nodes {
		n := &g.Nodes[i]
		shown[n.Ref] = true
		if inChain(n) {
			chain = append(chain, n)
		}
	}
	for i := range g.Nodes { // of one version the committed one comes first, then the pending ones
		n := &g.Nodes[i]
		parent := changeset.Ref{AggregateID: n.AggregateID, Version: n.Version - 1, ID: n.Parent}
		switch {
		case inChain(n) && chain[0] == n && len(chain) > 1:
			chain = chain[1:] // its parent may be missing, and a missing one does not name its own
			l.add(chain[0].Ref, n)
		case n.Version > 0 && shown[parent]:
			l.add(parent, n)
		case n.Version == g.First && g.First > 0:
			l.add(older, n)
		default:
			roots = append(roots, n)
		}
	}
	l.draw(roots)
	return l.rows
}

func inChain(n *inspect.Node) bool { return n.Kind == inspect.Committed || n.Kind == inspect.Missing }

func (l *lanes) add(below changeset.Ref, n *inspect.Node) { l.above[below] = append(l.above[below], n) }

// draw draws what stands on nothing, each apart from the others: the chain
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
	if len(l.above[older]) > 0 {
		l.lane("", laneRow{older: true}, older)
	}
	for _, n := range roots {
		if len(l.rows) > 0 {
			l.rows = append(l.rows, laneRow{})
		}
		l.lane("", laneRow{node: n}, n.Ref)
	}
}

// lane draws a lane from its top down to the given bottom, and the lanes that
// fork off it.
func (l *lanes) lane(left string, bottom laneRow, ref changeset.Ref) {
	path := []laneRow{bottom}
	refs := []changeset.Ref{ref}
	for len(l.above[ref]) > 0 {
		next := l.above[ref][0]
		ref = next.Ref
		path, refs = append(path, laneRow{node: next}), append(refs, ref)
	}
	for i := len(path) - 1; i >= 0; i-- {
		beside := l.above[refs[i]]
		for _, n := range beside[min(1, len(beside)):] {
			l.lane(left+"| ", laneRow{node: n}, n.Ref)
			l.rows = append(l.rows, laneRow{lanes: left + "|/"})
		}
		path[i].lanes = left
		l.rows = append(l.rows, path[i])
	}
}
