package inspect

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Graph is the shape of an aggregate's history: its chain, and what was built
// beside it.
type Graph struct {
	// AggregateID is the aggregate's.
	AggregateID string
	// Head is the head at which the aggregate was looked at; the zero Head
	// if there is no head, or the head does not decode. The objects of an erased
	// chain are not looked at.
	Head head.Head
	// HeadFault is what is wrong with the head; nil if nothing is.
	HeadFault *Problem
	// Nodes are the changesets, the highest version first; of one version the
	// committed one first, then in the order of their IDs.
	Nodes []Node
	// First is the version at which the graph begins; the versions below were
	// left out.
	First uint64
}

// Node is one changeset of a [Graph].
type Node struct {
	// Header is the changeset's; of an object that does not decode, and of a
	// missing one, it is the reference alone.
	changeset.Header
	// Kind says what has become of it.
	Kind Kind
	// LostTo is the committed changeset that took the place of a lost one, or
	// of the first one of its append; zero if nothing did, as after a fence.
	LostTo changeset.Ref
	// Fault is why the object does not decode; nil if it does.
	Fault *Problem
}

// Graph looks at the latest versions of an aggregate, last of them below and
// including the head's and all above, or at all for last 0. It makes a request
// for the head, a metadata request for each object it shows, and one or more
// to list them; it reads no content and proves nothing. It returns the
// same errors as [Inspector.Verify].
func (in *Inspector) Graph(ctx context.Context, aggregateID string, last uint64) (Graph, error) {
	for {
		g, err := in.graph(ctx, aggregateID, last)
		if err != nil || g.whole() || g.Head.State == head.Erased {
			return g, err
		}
		if erased, err := in.erased(ctx, aggregateID); err != nil || !erased {
			return g, err
		}
	}
}

// whole reports whether nothing is missing or does not decode.
func (g Graph) whole() bool {
	return !slices.ContainsFunc(g.Nodes, func(n Node) bool { return n.Kind == Missing || n.Kind == Unknown || n.Fault != nil })
}

func (in *Inspector) graph(ctx context.Context, aggregateID string, last uint64) (Graph, error) {
	s, err := in.survey(ctx, aggregateID)
	if err != nil {
		return Graph{}, err
	}
	s.limit(last)
	g := Graph{AggregateID: aggregateID, Head: s.head, HeadFault: s.headFault, First: s.low}
	if s.head.State == head.Erased {
		return g, nil
	}
	var places []int
	for seen, err := range s.sights(ctx, false) {
		if err != nil {
			return Graph{}, err
		}
		places = append(places, seen.place)
		g.Nodes = append(g.Nodes, newNode(seen))
	}
	if s.head.Exists() {
		if err := s.walk(ctx); err != nil {
			return Graph{}, err
		}
	}
	s.missHead()
	s.label(&g, places)
	return g, nil
}

func newNode(seen sight) Node {
	n := Node{Header: seen.header, Fault: seen.fault}
	n.Ref = seen.object.Ref
	return n
}

// limit leaves out all versions except the latest.
func (s *survey) limit(last uint64) {
	newest := s.head.Version
	if !s.head.Exists() {
		newest, _ = s.objects.newest()
	}
	if last > 0 && newest >= last {
		s.low = newest - last + 1
	}
}

// order is the order of kinds among the changesets of one version.
var order = [...]int{Committed: 0, Missing: 1, Pending: 2, Ahead: 3, Lost: 4, Unknown: 5}

// label finds the kind of each node, adds missing changesets, and sorts the
// nodes. The node at each index must be for the place at that index.
func (s *survey) label(g *Graph, places []int) {
	chain := map[uint64]changeset.Ref{}
	for _, place := range places {
		if ref := s.ref(place); s.objects.at(place).is(committed) {
			chain[ref.Version] = ref
		}
	}
	for i, place := range places {
		g.Nodes[i].Kind = s.kind(place)
		if g.Nodes[i].Kind == Lost {
			g.Nodes[i].LostTo = chain[s.objects.at(place).start()]
		}
	}
	for _, p := range s.problems {
		if p.Missing != (changeset.Ref{}) {
			g.Nodes = append(g.Nodes, Node{Header: changeset.Header{Ref: p.Missing}, Kind: Missing})
		}
	}
	slices.SortFunc(g.Nodes, func(a, b Node) int {
		return cmp.Or(
			cmp.Compare(b.Version, a.Version),
			cmp.Compare(order[a.Kind], order[b.Kind]),
			bytes.Compare(a.ID[:], b.ID[:]),
		)
	})
}
