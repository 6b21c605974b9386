package inspect

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
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

// Node is one changeset of a [Graph]. An object of a packed chain that is missing, or
// does not decode, is one node.
type Node struct {
	// Header is the changeset's; of an object that does not decode, and of a
	// missing one, it is the reference alone, which is the object's.
	changeset.Header
	// Kind says what has become of it.
	Kind Kind
	// Object is the object that the changeset is stored in; zero if it is in the tip of
	// the head. A changeset that several objects have is one node: if it is in the
	// chain, Object is the chain's.
	Object changeset.Ref
	// Line is the changeset's line in the pack or in the tip, from 1; 0 if the changeset
	// is an object of its own.
	Line int
	// LostTo is the committed changeset that took the place of a lost one, or
	// of the first one of its append; zero if nothing did, as after a fence.
	LostTo changeset.Ref
	// Fault is why the object does not decode; nil if it does.
	Fault *Problem
}

// Graph looks at the latest versions of an aggregate, last of them below and
// including the head's and all above, or at all for last 0. It makes a request
// for the head, one for each object it shows, and one or more
// to list them; it reads no content except the lines of packs, and does not prove the
// chain. Changesets in packs and in the tip are nodes like any other; of a pack
// outside the chain only those that the chain does not have. It returns the
// same errors as [Inspector.Verify]; [changeset.ErrNotFound] also if there is a void
// head ([head.Void]) and no object.
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
	if s.head.State == head.Void && s.objects.len() == 0 {
		return Graph{}, fmt.Errorf("%q: %w", aggregateID, changeset.ErrNotFound)
	}
	s.limit(last)
	g := Graph{AggregateID: aggregateID, Head: s.head, HeadFault: s.headFault, First: s.low}
	if s.head.State == head.Erased {
		return g, nil
	}
	s.wantsHeaders = true
	var seen []sight
	for o, err := range s.sights(ctx, lines) {
		if err != nil {
			return Graph{}, err
		}
		seen = append(seen, o)
	}
	if s.head.Exists() {
		if err := s.walk(ctx); err != nil {
			return Graph{}, err
		}
	}
	s.missHead()
	g.Nodes = s.nodes(seen)
	return g, nil
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

// nodes returns what was seen, and what is missing, as sorted nodes, each changeset
// once.
func (s *survey) nodes(seen []sight) (all []Node) {
	for i, c := range s.tip {
		all = append(all, Node{Header: c.Header, Kind: Committed, Line: i + 1})
	}
	for _, o := range seen {
		all = append(all, s.nodesIn(o)...)
	}
	for _, p := range s.problems {
		if p.Missing != (changeset.Ref{}) {
			all = append(all, Node{Header: changeset.Header{Ref: p.Missing}, Kind: Missing, Object: p.Missing})
		}
	}
	slices.SortStableFunc(all, func(a, b Node) int {
		return cmp.Or(
			cmp.Compare(b.Version, a.Version),
			cmp.Compare(order[a.Kind], order[b.Kind]),
			bytes.Compare(a.ID[:], b.ID[:]),
		)
	})
	all = s.withoutCopies(all)
	loseTo(all)
	return all
}

// nodesIn returns the changesets in an object.
func (s *survey) nodesIn(o sight) (all []Node) {
	kind := s.kind(o.place)
	if o.contents == nil || len(o.contents.headers) == 0 {
		n := Node{Header: o.header, Kind: kind, Object: o.object.Ref, Fault: o.fault}
		n.Ref = o.object.Ref
		return []Node{n}
	}
	for i, h := range o.contents.headers {
		if h.Version < s.low {
			continue
		}
		n := Node{Header: h, Kind: kind, Object: o.object.Ref, Fault: o.fault}
		if hasLines(o.header) {
			n.Line = i + 1
		}
		all = append(all, n)
	}
	return all
}

// withoutCopies keeps the first node of each changeset, which is the chain's if the
// chain has it, and leaves out versions that are not shown.
func (s *survey) withoutCopies(all []Node) []Node {
	had := map[changeset.Ref]bool{}
	return slices.DeleteFunc(all, func(n Node) bool {
		copied := had[n.Ref] || n.Version < s.low
		had[n.Ref] = true
		return copied
	})
}

// loseTo finds what took the place of each lost append.
func loseTo(all []Node) {
	chain := map[uint64]changeset.Ref{}
	for _, n := range all {
		if n.Kind == Committed {
			chain[n.Version] = n.Ref
		}
	}
	for i, n := range all {
		if n.Kind == Lost {
			all[i].LostTo = chain[n.Version-uint64(max(1, n.Part.Number)-1)]
		}
	}
}
