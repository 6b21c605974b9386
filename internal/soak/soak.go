// Package soak lets many clients work on chains at once while requests go
// wrong, and compares the outcomes that each of them got with a model of a
// chain and with what is stored in the end.
//
// A history is the life of one aggregate under a seed: writers append, repeat
// commands and update, a settler ends uncertain appends, a reader reads, a
// collector removes orphans, and sometimes the aggregate is erased, all at
// once. Relays, a follower and a subscription work beside them. [Run] lives many histories at the same time, [Check] judges them, and
// [Figures] adds up what happened.
//
// The clients' choices, the faults and all times follow from the seed; the
// order of what happens at one moment is the scheduler's.
package soak

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"golang.org/x/sync/errgroup"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
)

// Changesets is a store of changesets that can list and delete them.
type Changesets interface {
	inspect.Changesets
	changeset.Deleter
}

// Place is a storage under test, without faults.
type Place struct {
	Changesets Changesets
	Heads      head.Store
	// Unit is the unit of all waiting: requests are delayed by parts of it, and
	// late by up to ten; clients wait for a few. In virtual time it is a second;
	// in real time it must be above a request's duration.
	Unit time.Duration
}

// History is the life of one aggregate.
type History struct {
	// Seed is what the history follows from.
	Seed uint64
	// Operations are the clients' calls with their outcomes, in no order.
	Operations []*Operation
	// Violations are what must not have happened; none if all is well.
	Violations []string
	// Inconclusive says that the check for linearizability took too long.
	Inconclusive bool
	// Faults counts the requests that went wrong, by what went wrong.
	Faults map[string]int
	// Orphans is how many there were at the end, before the last collection.
	Orphans int
	// Collected counts the objects that collectors have deleted, and Fences the
	// heads that they have fenced.
	Collected, Fences int
	// Erased says that the aggregate was erased in the end.
	Erased bool

	graph inspect.Graph
}

// Run lives one history for each seed, all at the same time, each of an
// aggregate of its own in the same place. Given the same empty place and the
// same seeds it does the same again, except for the order of simultaneous
// events. What the feed of the place does wrong is a violation of the first history.
func Run(ctx context.Context, place Place, seeds []uint64) []*History {
	all := make([]*History, len(seeds))
	beside := listen(ctx, place, seeds[0])
	var group sync.WaitGroup
	for i, seed := range seeds {
		group.Go(func() { all[i] = newWorld(place, seed).live(ctx) })
	}
	group.Wait()
	all[0].Violations = append(all[0].Violations, beside.finish(ctx)...)
	return all
}

// Check looks for an order of operations that explains each history, several
// at once; the timeout bounds the search in each. Its findings are noted in the
// histories.
func Check(histories []*History, timeout time.Duration) {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, h := range histories {
		group.Go(func() error {
			switch Linearizable(h.Operations, timeout) {
			case porcupine.Illegal:
				h.Violations = append(h.Violations, "no order of its operations explains what the clients were told")
			case porcupine.Unknown:
				h.Inconclusive = true
			}
			return nil
		})
	}
	_ = group.Wait()
}

// String returns the whole history as text: seed, violations, operations and
// graph.
func (h *History) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "seed %d\n", h.Seed)
	for _, v := range h.Violations {
		fmt.Fprintf(&text, "violation: %s\n", v)
	}
	text.WriteString(describe(h.Operations))
	fmt.Fprintf(&text, "head %s, revision %d, %s\n", h.graph.Head.Ref, h.graph.Head.Revision, h.graph.Head.State)
	for _, n := range h.graph.Nodes {
		fmt.Fprintf(&text, "%-9s %d.%s parent %s after-revision %d command %q part %s\n",
			n.Kind, n.Version, n.ID, n.Parent, n.AfterRevision, n.CommandID, n.Part)
	}
	return text.String()
}
