package soak

import (
	"context"
	"errors"
	"time"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/inspect"
)

// finish settles what is uncertain, reads the chain a last time, proves
// every stored object, and holds the operations against it.
func (w *world) finish(ctx context.Context) {
	for _, what := range w.uncertain() {
		_, err := w.settle(ctx, w.direct, what)
		for tries := 1; tries < 5 && stillUncertain(err); tries++ { // a storage under load may be slow to answer
			_, err = w.settle(ctx, w.direct, what)
		}
		w.requireSettled(ctx, what, err)
	}
	chain := w.readAll(ctx)
	w.hold(chain)
	w.holdSettled(chain)
	if w.prove(ctx) {
		w.sweep(ctx, chain)
	}
}

func stillUncertain(err error) bool {
	_, uncertain := errors.AsType[*ropewalk.UncertainError](err)
	return uncertain
}

// requireSettled notes where the last settling of all does not say. Without a
// head, which only an append can make, nothing can be refused for good.
func (w *world) requireSettled(ctx context.Context, what Settles, err error) {
	if !stillUncertain(err) {
		return
	}
	if _, headErr := w.direct.Head(ctx); !errors.Is(headErr, ropewalk.ErrNotFound) {
		w.violated("%s cannot be settled: %v", what.Ref, err)
	}
}

// holdSettled holds what Settle has said against the chain.
func (w *world) holdSettled(chain []changeset.Changeset) {
	for ref, refused := range w.refused {
		in := ref.Version < uint64(len(chain)) && chain[ref.Version].Ref == ref
		if in == refused && !w.Erased {
			w.violated("%s was settled as refused: %t; but it is in the chain: %t", ref, refused, in)
		}
	}
}

// readAll reads the chain without faults, as one more operation.
func (w *world) readAll(ctx context.Context) []changeset.Changeset {
	op := &Operation{Client: -1, Kind: Read, Outcome: Done, Call: time.Now().UnixNano()}
	r, err := w.direct.Reader(ctx)
	w.Erased = errors.Is(err, ropewalk.ErrErased)
	var all []changeset.Changeset
	switch {
	case w.Erased:
		op.Outcome = Gone
	case err == nil:
		op.Length = int(r.Head().Version) + 1
		all, err = ropewalk.Collect(r.All(ctx))
		for _, c := range all {
			op.Seen = append(op.Seen, string(c.Content))
		}
	}
	if err != nil && !w.Erased && !errors.Is(err, ropewalk.ErrNotFound) {
		w.violated("the chain cannot be read: %v", err)
	}
	op.Return = time.Now().UnixNano()
	w.record(op)
	return all
}

// hold compares the outcomes that the writers got with the chain.
func (w *world) hold(chain []changeset.Changeset) {
	contents := map[string]int{}
	for _, c := range chain {
		contents[string(c.Content)]++
		if n := contents[string(c.Content)]; n > 1 {
			w.violated("%s is in the chain %d times", c.Content, n)
		}
	}
	processed := map[string]bool{} // contents that stand for a command
	for _, op := range w.Operations {
		if op.Outcome == Done && op.isWrite() {
			processed[op.last()] = true
		}
	}
	for _, op := range w.Operations {
		if !op.isWrite() || len(op.Contents) == 0 || w.Erased {
			continue
		}
		stored := 0
		for _, content := range op.Contents {
			stored += contents[content]
		}
		switch {
		case op.Outcome == Done && !isAt(chain, op.Ref, op.last()):
			w.violated("told committed, is not: %s", op)
		case (op.Outcome == Failed || op.Outcome == Refused) && stored > 0 && !processed[op.last()]:
			w.violated("told not committed, is: %s", op)
		case stored > 0 && stored != len(op.Contents):
			w.violated("committed in part: %s", op)
		}
	}
}

// isAt reports whether the chain has the changeset of that reference and content.
func isAt(chain []changeset.Changeset, ref changeset.Ref, content string) bool {
	return ref.Version < uint64(len(chain)) && chain[ref.Version].Ref == ref && string(chain[ref.Version].Content) == content
}

// prove lets everything that is stored be verified: there are the chain,
// orphans, and nothing else. It reports false where nothing at all is stored.
func (w *world) prove(ctx context.Context) bool {
	report, ok := w.verify(ctx)
	if !ok {
		return false
	}
	w.Orphans = report.Lost + report.Pending + report.Ahead
	var err error
	if w.graph, err = w.inspector().Graph(ctx, w.chain.AggregateID(), 0); err != nil {
		w.violated("the graph cannot be drawn: %v", err)
	}
	return true
}

func (w *world) inspector() *inspect.Inspector {
	return inspect.New(w.place.Changesets, w.place.Heads, nil)
}

// verify reports false where nothing at all is stored.
func (w *world) verify(ctx context.Context) (inspect.Report, bool) {
	report, err := w.inspector().Verify(ctx, w.chain.AggregateID())
	if errors.Is(err, changeset.ErrNotFound) {
		return report, false
	}
	if err != nil {
		w.violated("verify: %v", err)
		return report, false
	}
	for _, p := range report.Problems {
		w.violated("verify: %s", p)
	}
	if report.Unknown > 0 {
		w.violated("verify: the kind of %d objects is unknown", report.Unknown)
	}
	return report, true
}
